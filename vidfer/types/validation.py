"""Shape and dtype checks that the dataclasses run where they are built."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, Any, Self, get_origin, get_type_hints

import numpy as np

from vidfer.types.stored import StoredArray

Shape = tuple[int | str, ...]  # fixed sizes, and names that stand for the same size in all columns


class Columns:
    """Base of dataclasses of arrays whose annotations tell shape and dtype; they are checked where one is built.

    A column is ``xyxy: Annotated[np.ndarray, "N", 4, np.float32]``, say. ``len`` counts the rows of the first.
    """

    def __post_init__(self) -> None:
        check_arrays(self)

    def __len__(self) -> int:
        return len(next(iter(vars(self).values())))


class Rows(Columns):
    """Columns that all have one row for each of the same things."""

    def take(self, rows: np.ndarray) -> Self:
        """Return the rows that a mask (N,) bool or an index (M,) selects."""
        names = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return type(self)(**{name: getattr(self, name)[rows] for name in names})

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all parts (at least one), one after the other; a single part as it is."""
        if len(parts) == 1:
            return parts[0]
        names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def rows_by_number(ids: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each number in ids (N,), by number, with its rows in order; rows of negative ids are left out."""
    order = np.argsort(ids, kind="stable")
    order = order[ids[order] >= 0]
    numbers, starts = np.unique(ids[order], return_index=True)
    return zip(numbers.tolist(), np.split(order, starts[1:]), strict=False)


def check_arrays(owner: object, **sizes: int) -> None:
    """Raise ValueError unless the columns of a dataclass have the shapes and dtypes that they are annotated with.

    ``sizes`` are those of named dimensions that are known already.
    """
    kind: Any = type(owner)
    for field, (shape, dtype) in _declared(kind).items():
        check_array(owner, field, shape, dtype, sizes)


@cache
def _declared(owner: type) -> dict[str, tuple[Shape, np.dtype[Any]]]:
    """Return shape and dtype by the name of each annotated column."""
    hints = get_type_hints(owner, include_extras=True)
    declared = {name: hint.__metadata__ for name, hint in hints.items() if get_origin(hint) is Annotated}
    return {name: (tuple(shape), np.dtype(dtype)) for name, (*shape, dtype) in declared.items()}


def check_array(owner: object, field: str, shape: Shape, dtype: Any, dims: dict[str, int]) -> None:
    """Raise ValueError unless ``owner.field`` is an array of this dtype and shape.

    ``shape`` mixes fixed sizes and names; a name stands for the same size in every call that shares ``dims``.
    """
    value = getattr(owner, field)
    wanted = np.dtype(dtype)
    # Messages are made for what fails alone: a stream checks fifty arrays a frame.
    if not isinstance(value, np.ndarray | StoredArray):
        raise _wrong(owner, field, f"an array {_described(shape, wanted)}", type(value).__name__)
    if value.dtype != wanted or value.ndim != len(shape):
        raise _wrong(owner, field, _described(shape, wanted), _described(value.shape, value.dtype))
    for want, have in zip(shape, value.shape, strict=True):
        size = dims.setdefault(want, have) if isinstance(want, str) else want
        if size != have:
            expected = f"{_described(shape, wanted)} with {dims}"
            raise _wrong(owner, field, expected, _described(value.shape, value.dtype))


def _described(shape: Shape, dtype: np.dtype[Any]) -> str:
    return f"({', '.join(str(d) for d in shape)}{',' if len(shape) == 1 else ''}) {dtype.name}"


def _wrong(owner: object, field: str, expected: str, got: str) -> ValueError:
    return ValueError(f"{type(owner).__name__}.{field}: expected {expected}, got {got}")
