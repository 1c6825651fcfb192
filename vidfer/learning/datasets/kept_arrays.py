"""Tables of arrays that take minutes to make, kept as npz for further runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from zipfile import BadZipFile

import numpy as np

from vidfer.errors import DataError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TableT = TypeVar("TableT", bound="DataclassInstance")


def save_arrays(path: Path, table: DataclassInstance) -> None:
    """Write a dataclass of arrays as npz, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part.npz")
    np.savez(unfinished, **{field.name: getattr(table, field.name) for field in fields(table)})
    unfinished.replace(path)


def load_arrays(path: Path, kind: type[TableT]) -> TableT:
    """Read what ``save_arrays`` wrote of a dataclass; raises DataError if the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return kind(**{field.name: file[field.name] for field in fields(kind)})
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DataError(f"{path} is damaged ({error}); delete it, and it is made again") from error


def kept_arrays(path: Path | None, kind: type[TableT], make: Callable[[], TableT]) -> TableT:
    """Return the table that is kept at ``path``, or make it and keep it; None: it is not kept."""
    if path is not None and path.is_file():
        return load_arrays(path, kind)
    table = make()
    if path is not None:
        save_arrays(path, table)
    return table
