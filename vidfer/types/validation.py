"""Shape and dtype checks that the dataclasses run where they are built."""

from __future__ import annotations

from typing import Any

import numpy as np

from vidfer.types.stored import StoredArray


def check_array(owner: object, field: str, shape: tuple[int | str, ...], dtype: Any, dims: dict[str, int]) -> None:
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


def _described(shape: tuple[int | str, ...], dtype: np.dtype[Any]) -> str:
    return f"({', '.join(str(d) for d in shape)}{',' if len(shape) == 1 else ''}) {dtype.name}"


def _wrong(owner: object, field: str, expected: str, got: str) -> ValueError:
    return ValueError(f"{type(owner).__name__}.{field}: expected {expected}, got {got}")
