"""timeline.csv: one row per sampled frame and face, for every tool that reads CSV."""

from __future__ import annotations

from vidfer.exporters import exporter
from vidfer.exporters.rows import format_rows, join_lines
from vidfer.exporters.table import timeline_table
from vidfer.labels import EMOTIONS
from vidfer.types import ClipResult

# Microseconds, 1/100 px, 1/100 degree, a millionth of probability: beyond what any of them means.
FORMATS: dict[str, str] = {
    "timestamp": "%.6f",
    "confidence": "%.4f",
    **dict.fromkeys(("x", "y", "width", "height", "pitch", "yaw", "roll"), "%.2f"),
    "quality": "%.4f",
    **dict.fromkeys(("emotion_confidence", *EMOTIONS), "%.6f"),
}


def formats_of(clip: ClipResult) -> dict[str, str]:
    """Return the format of each column of a clip's timeline that is a number."""
    names = clip.movements.columns if clip.movements else ()
    return {**FORMATS, **{name: "%.2f" if name.startswith("gaze") else "%.4f" for name in names}}


@exporter("csv", filenames=("timeline.csv",), version=2)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return timeline.csv."""
    table = timeline_table(clip)
    return {"timeline.csv": join_lines(table.columns, format_rows(table.columns, formats_of(clip)))}
