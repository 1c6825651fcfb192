"""Text in tables that spreadsheets open: what they would take for a formula gets an apostrophe in front.

Excel, LibreOffice and Google Sheets run a cell that begins with one of these signs, whatever file it came from.
"""

from __future__ import annotations

from typing import TypeVar

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
