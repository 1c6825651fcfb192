"""Valence and arousal over time: one CSV file a video, with the columns ``seconds, valence, arousal``.

Valence is how pleasant, arousal how excited a person seems, each from -1 to 1 (Russell 1980). Moments without a value
are simply not in the file.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from vidfer.errors import DataError
from vidfer.store.atomic import write_text
from vidfer.types.validation import Columns

COLUMNS = ("seconds", "valence", "arousal")
MAX_GAP_SECONDS = 0.5  # between two values; nothing is known of what lies in a longer one


@dataclass(frozen=True, kw_only=True)
class ValenceArousal(Columns):
    """One video's values.

    Attributes
    ----------
    pts_seconds
        (M,) float64, ascending.
    values
        (M, 2) float32, -1..1: valence, arousal.
    """

    pts_seconds: Annotated[np.ndarray, "M", np.float64]
    values: Annotated[np.ndarray, "M", 2, np.float32]

    def at(self, pts_seconds: np.ndarray) -> np.ndarray:
        """Return the values at times (T,), on the line between the neighbours: (T, 2) float32, NaN where unknown."""
        times = self.pts_seconds
        if not len(times):
            return np.full((len(pts_seconds), 2), np.nan, np.float32)
        found = np.stack([np.interp(pts_seconds, times, column) for column in self.values.T], 1)
        right = np.searchsorted(times, pts_seconds)
        after = times[np.minimum(right, len(times) - 1)] - pts_seconds
        before = pts_seconds - times[np.maximum(right - 1, 0)]
        near = np.minimum(np.abs(after), np.abs(before))
        outside = (pts_seconds < times[0]) | (pts_seconds > times[-1])
        unknown = np.where(outside, near > MAX_GAP_SECONDS / 2, (after + before > MAX_GAP_SECONDS) & (near > 1e-6))
        found[unknown] = np.nan
        return found.astype(np.float32)


def read_valence_arousal(path: Path) -> ValenceArousal:
    """Read a file; raises DataError with file and line for what is no such table."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = tuple(name.strip() for name in next(reader, []))
            if header != COLUMNS:
                raise DataError(
                    f"{path}: expected the columns {','.join(COLUMNS)}, got {','.join(header) or 'nothing'}"
                )
            rows = [_values(row, f"{path}: line {reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    table = np.array(rows, np.float64).reshape(len(rows), len(COLUMNS))
    if np.any(np.diff(table[:, 0]) <= 0):
        line = int(np.flatnonzero(np.diff(table[:, 0]) <= 0)[0]) + 3
        raise DataError(f"{path}: line {line}: seconds must ascend")
    return ValenceArousal(pts_seconds=table[:, 0].copy(), values=table[:, 1:].astype(np.float32))


def write_valence_arousal(table: ValenceArousal, path: Path) -> None:
    """Write a file, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for seconds, (valence, arousal) in zip(table.pts_seconds, table.values, strict=True):
        writer.writerow([repr(float(seconds)), f"{valence:.6g}", f"{arousal:.6g}"])
    write_text(path, text.getvalue())


def _values(row: list[str], where: str) -> list[float]:
    try:
        seconds, valence, arousal = map(float, row)
    except ValueError:
        raise DataError(f"{where}: expected three numbers, got {','.join(row)[:60]!r}") from None
    if not (-1 <= valence <= 1 and -1 <= arousal <= 1 and np.isfinite(seconds)):
        raise DataError(f"{where}: expected valence and arousal from -1 to 1, got {valence:g} and {arousal:g}")
    return [seconds, valence, arousal]
