"""Small tables that people wrote: read as text, with the row and column named where something is wrong."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidfer.errors import DataError
from vidfer.spreadsheet import unguarded

EMPTY = frozenset({"", "n/a", "na", "nan"})  # n/a: BIDS


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table as text; ``where`` names file and row in messages."""

    where: str
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """Return a cell, empty where the table has no such column or the cell says that there is nothing."""
        value = self.cells.get(column, "")
        return "" if value.lower() in EMPTY else value

    def number(self, column: str) -> float | None:
        """Return a cell as a number, None if it is empty; raises DataError."""
        text = self.text(column)
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            pass
        try:
            meant = float(text.replace(",", ".", 1))
        except ValueError:
            raise DataError(f"{self.where}, column {column}: expected a number, got {text!r}") from None
        raise DataError(
            f"{self.where}, column {column}: {text!r} has a decimal comma: write {meant:g} (Excel: save with the "
            "language set to English, or replace them)"
        )


def read_rows(path: Path, required: Sequence[str], optional: Sequence[str] = (), *, further: bool) -> list[Row]:
    """Read a table with a header: commas, semicolons or tabs, UTF-8.

    Parameters
    ----------
    path
        The file.
    required, optional
        Its columns.
    further
        Whether it may have others.

    Raises
    ------
    DataError
        The file cannot be read, a column is missing or (with the nearest match) unknown, or a row has too many or
        too few cells.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            sign = max("\t;,", key=header.count)
            names = [name.strip() for name in next(csv.reader([header], delimiter=sign), [])]
            rows = list(csv.reader(file, delimiter=sign))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read as a table in UTF-8: {reason}") from error
    known = [*required, *optional]
    for name in required:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            raise DataError(f"{path}: missing column {name!r}; " + (f"is it {near[0]!r}?" if near else f"got {names}"))
    for name in names:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if name not in known and (near or not further):
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise DataError(f"{path}: unknown column {name!r}; {hint}")
    found = []
    for number, cells in enumerate(rows):
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path}: row {number + 1} (line {number + 2})"
        if len(cells) != len(names):
            hint = " (a decimal comma in a table with commas?)" if sign == "," and len(cells) > len(names) else ""
            raise DataError(f"{where}: expected {len(names)} cells as in the header, got {len(cells)}{hint}")
        values = dict(zip(names, (unguarded(cell.strip()) for cell in cells), strict=True))
        found.append(Row(where=where, cells=values))
    return found
