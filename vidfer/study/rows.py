"""Small tables that people wrote: read as text, with the row and column named where something is wrong."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidfer.errors import DataError
from vidfer.people.table import decoded
from vidfer.spreadsheet import unguarded

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")  # no infinity
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d*)?)")
NOTHING = "n/a"  # in BIDS
_NO_NUMBER = frozenset({"", "na", "nan"})


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table as text; ``where`` names file and row in messages."""

    where: str
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """Return a cell, empty where the table has no such column or the cell says that there is nothing."""
        value = self.cells.get(column, "")
        return "" if value.lower() == NOTHING else value

    def number(self, column: str) -> float | None:
        """Return a cell as a number, None if it is empty; raises DataError."""
        text = self.text(column)
        if text.lower() in _NO_NUMBER:
            return None
        if _NUMBER.fullmatch(text):
            return float(text)
        wrong = f"{self.where}, column {column}: "
        if _NUMBER.fullmatch(meant := text.replace(",", ".", 1)):
            remedy = f"write {float(meant):g} (Excel: save with the language set to English, or replace them)"
            raise DataError(f"{wrong}{text!r} has a decimal comma: {remedy}")
        if clock := _CLOCK.fullmatch(text):
            hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in clock.groups())
            raise DataError(
                f"{wrong}{text!r} is a time of day: write {3600 * hours + 60 * minutes + seconds:g} (seconds)"
            )
        raise DataError(f"{wrong}expected a number, got {text!r}")


def read_rows(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
    """Read a table with a header: commas, semicolons or tabs, in what Excel saves.

    Parameters
    ----------
    path
        The file.
    required, optional
        Its columns; it may have others.

    Raises
    ------
    DataError
        The file cannot be read, has no rows, a column is missing, twice there or (with the nearest match) unknown, or
        a row has too many or too few cells.
    """
    try:
        text, _ = decoded(path.read_bytes(), str(path))
        text = re.sub(r"\Asep=.\r?\n", "", text)  # which Excel understands
        sign = max("\t;,", key=text.partition("\n")[0].count)
        header, *lines = [*csv.reader(io.StringIO(text, newline=""), delimiter=sign)] or [[]]
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table: {getattr(error, 'strerror', None) or error}") from error
    names = [name.strip() for name in header]
    if not any(any(map(str.strip, cells)) for cells in lines):
        raise DataError(
            f"{path}: no rows: expected a header with {', '.join(required) or 'columns'}, and a row for each"
        )
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise DataError(f"{path}: two columns are called {twice[0]!r}")
    known = [*required, *optional]
    for name in required:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            raise DataError(f"{path}: missing column {name!r}; " + (f"is it {near[0]!r}?" if near else f"got {names}"))
    for name in names:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if name not in known and near:
            raise DataError(f"{path}: unknown column {name!r}; did you mean {near[0]!r}?")
    found = []
    for number, cells in enumerate(lines):
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path}: row {number + 1} (line {number + 2})"
        if len(cells) != len(names):
            hint = " (a decimal comma in a table with commas?)" if sign == "," and len(cells) > len(names) else ""
            raise DataError(f"{where}: expected {len(names)} cells as in the header, got {len(cells)}{hint}")
        values = dict(zip(names, (unguarded(cell.strip()) for cell in cells), strict=True))
        found.append(Row(where=where, cells=values))
    return found
