"""An array that stays on disk until its rows are asked for: landmarks of an hour take 50 MB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


class StoredArray:
    """Reads like a NumPy array that never changes: ``array[rows]`` gives these rows, ``np.asarray(array)`` everything.

    Any index of NumPy's goes. All that lies between the first and the last row of an index is read at once, so a loop
    over pieces of consecutive rows takes little memory.

    Parameters
    ----------
    shape, dtype
        Of the whole.
    read
        Gives rows [first, last).
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, read: Callable[[int, int], np.ndarray]) -> None:
        self.shape, self.dtype, self._read = shape, np.dtype(dtype), read

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        rows, *rest = index if isinstance(index, tuple) else (index,)
        if isinstance(rows, slice):
            wanted = range(len(self))[rows]
            return np.asarray(self._between(wanted)[(slice(None, None, wanted.step), *rest)])
        if rows is None or rows is Ellipsis:
            return np.asarray(np.asarray(self)[index])
        numbers = np.arange(len(self))[rows]
        first = int(numbers.min()) if numbers.size else 0
        return np.asarray(self._between(np.ravel(numbers))[(numbers - first, *rest)])

    def _between(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return all rows from the lowest to the highest of these."""
        return self._read(int(min(numbers)), int(max(numbers)) + 1) if len(numbers) else self._read(0, 0)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._read(0, len(self)), dtype=dtype)
