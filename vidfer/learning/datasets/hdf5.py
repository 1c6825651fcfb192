"""HDF5 files of training data, opened so that what is wrong with one is said in one way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vidfer.errors import DataError

if TYPE_CHECKING:
    import h5py


@contextmanager
def opened(path: Path, *, expected: str) -> Iterator[h5py.File]:
    """Open a file to read it; raises DataError if it is missing, damaged, or lacks a data set that is read."""
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: expected {expected}, got: {error}") from error
