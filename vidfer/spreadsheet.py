"""Text in tables that spreadsheets open: what they would take for a formula gets an apostrophe in front.

Excel, LibreOffice and Google Sheets run a cell that begins with one of these signs, whatever file it came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pandas as pd

_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")

Cell = TypeVar("Cell")


def guarded(cell: Cell) -> Cell | str:
    """Return a cell as it is written: numbers and harmless text as they are."""
    return f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell


def unguarded(cell: str) -> str:
    """Return what ``guarded`` was given."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _is_formula(text: str) -> bool:
    return text.lstrip("'").startswith(_FORMULA_SIGNS)  # with apostrophes already there: so that each can be undone


def table_csv(table: pd.DataFrame) -> bytes:
    """Return a table as CSV: UTF-8, six significant digits, names that no spreadsheet takes for formulas."""
    text = [name for name in table.columns if table[name].dtype.kind not in "fiub"]
    table = table.assign(**{name: table[name].map(guarded) for name in text})
    written: str = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return written.encode(errors="backslashreplace")
