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
    where = f"{type(owner).__name__}.{field}"
    expected = f"({', '.join(str(d) for d in shape)}{',' if len(shape) == 1 else ''}) {np.dtype(dtype).name}"
    if not isinstance(value, np.ndarray | StoredArray):
        raise ValueError(f"{where}: expected an array {expected}, got {type(value).__name__}")
    found = f"{value.shape} {value.dtype.name}"
    if value.dtype != np.dtype(dtype) or value.ndim != len(shape):
        raise ValueError(f"{where}: expected {expected}, got {found}")
    for want, have in zip(shape, value.shape, strict=True):
        size = dims.setdefault(want, have) if isinstance(want, str) else want
        if size != have:
            raise ValueError(f"{where}: expected {expected} with {dims}, got {found}")
