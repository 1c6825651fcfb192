"""timeline.json: the table of timeline.csv by column, and the episodes, for web pages and scripts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from vidfer.exporters import exporter
from vidfer.exporters.table import timeline_table
from vidfer.exporters.timeline_csv import formats_of
from vidfer.people.by_person import people_of_segments
from vidfer.types import ClipResult


@exporter("json", filenames=("timeline.json",), version=3)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return timeline.json: ``{"clip", "start_seconds", "timeline": {column: [...]}, "segments": [{...}]}``.

    No value is null there.
    """
    columns, formats = timeline_table(clip).columns, formats_of(clip)
    document = {
        "clip": clip.clip_id,
        "start_seconds": round(clip.info.start_seconds, 6),
        "timeline": {name: _values(column, formats.get(name)) for name, column in columns.items()},
        "segments": [
            {
                "face_id": segment.track_id,
                "person_id": person,
                "emotion": segment.emotion,
                "start_seconds": round(segment.start_seconds, 6),
                "end_seconds": round(segment.end_seconds, 6),
                "peak_seconds": round(segment.peak_seconds, 6),
                "mean_probability": round(segment.mean_probability, 6),
                "peak_probability": round(segment.peak_probability, 6),
            }
            for segment, person in zip(clip.segments, people_of_segments(clip), strict=True)
        ],
    }
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return {"timeline.json": (text + "\n").encode(errors="backslashreplace")}


def _values(column: np.ndarray, number_format: str | None) -> list[Any]:
    """Return the column's values, rounded as timeline.csv rounds them."""
    if number_format is None:
        values: list[Any] = column.tolist()
        return values
    decimals = int(number_format[2:-1])  # of "%.4f"
    rounded = np.round(column.astype(np.float64), decimals).tolist()
    return [None if value != value else value for value in rounded]
