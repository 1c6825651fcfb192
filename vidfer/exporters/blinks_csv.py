"""blinks.csv: one row per blink or wink; empty where movements are not measured."""

from __future__ import annotations

from vidfer.exporters import exporter
from vidfer.exporters.rows import records_csv
from vidfer.types import ClipResult

COLUMNS = ("face_id", "start_seconds", "closed_seconds", "end_seconds", "depth", "side")


@exporter("blinks", filenames=("blinks.csv",), version=1)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return blinks.csv, ordered by face, then time."""
    records = [
        {
            "face_id": blink.track_id,
            "start_seconds": f"{blink.start_seconds:.6f}",
            "closed_seconds": f"{blink.closed_seconds:.6f}",
            "end_seconds": f"{blink.end_seconds:.6f}",
            "depth": f"{blink.depth:.4f}",
            "side": blink.side,
        }
        for blink in (clip.movements.blinks if clip.movements else ())
    ]
    return {"blinks.csv": records_csv(COLUMNS, records)}
