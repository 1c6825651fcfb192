"""Text of tables: rows of numbers with fixed decimals, fast enough for hours of video."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vidfer.spreadsheet import guarded

_CHUNK_ROWS = 8192  # bounds the memory for Python numbers in wide tables


def format_rows(columns: Mapping[str, np.ndarray], formats: Mapping[str, str]) -> Iterator[str]:
    """Yield one comma-separated line per row; NaN and None become empty cells.

    Parameters
    ----------
    columns
        Name -> (R,) values. Text must need no quoting and not contain ``nan`` or ``None``: emotion labels only.
    formats
        Name -> printf format; a column not named is written with ``%s``.
    """
    pattern = ",".join(formats.get(name, "%s") for name in columns)
    arrays = list(columns.values())
    for start in range(0, len(arrays[0]), _CHUNK_ROWS):
        values = zip(*(array[start : start + _CHUNK_ROWS].tolist() for array in arrays), strict=True)
        yield from ((pattern % row).replace("nan", "").replace("None", "") for row in values)


def join_lines(header: Iterable[str], lines: Iterable[str]) -> bytes:
    """Return the table's bytes: UTF-8, one header line, lines ended by a bare line feed."""
    buffer = io.BytesIO()
    every_line = itertools.chain([",".join(header)], lines)
    while batch := list(itertools.islice(every_line, _CHUNK_ROWS)):
        buffer.write("\n".join([*batch, ""]).encode(errors="backslashreplace"))
    return buffer.getvalue()


def records_csv(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> bytes:
    """Return a small table of mixed values, quoted where needed, without formulas; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: guarded(value) for name, value in record.items()} for record in records)
    return text.getvalue().encode(errors="backslashreplace")  # a file name may be no text


def quoted(text: str) -> str:
    """Return one cell of text, quoted where CSV needs it and safe to open in a spreadsheet."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([guarded(text)])
    return buffer.getvalue()
