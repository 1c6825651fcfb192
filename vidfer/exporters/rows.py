"""Text of tables: rows of numbers with fixed decimals, fast enough for hours of video."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


def format_rows(columns: Mapping[str, np.ndarray], formats: Mapping[str, str]) -> list[str]:
    """Return one comma-separated line per row; NaN and None become empty cells.

    Parameters
    ----------
    columns
        Name -> (R,) values. Text must need no quoting and not contain ``nan`` or ``None``: emotion labels only.
    formats
        Name -> printf format; a column not named is written with ``%s``.
    """
    pattern = ",".join(formats.get(name, "%s") for name in columns)
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [(pattern % row).replace("nan", "").replace("None", "") for row in values]


def join_lines(header: Iterable[str], lines: Iterable[str]) -> bytes:
    """Return the table's bytes: UTF-8, one header line, lines ended by a bare line feed."""
    return "\n".join([",".join(header), *lines, ""]).encode()


def records_csv(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> bytes:
    """Return a small table of mixed values, quoted where needed; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode(errors="backslashreplace")  # a file name may be no text
