"""blinks.csv: one row per blink or wink; empty where movements are not measured."""

from __future__ import annotations

from vidfer.exporters import exporter
from vidfer.exporters.rows import records_csv
from vidfer.people.by_person import people_at
from vidfer.types import ClipResult

COLUMNS = ("face_id", "start_seconds", "closed_seconds", "end_seconds", "depth", "side", "person_id")


@exporter("blinks", filenames=("blinks.csv",), version=2)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return blinks.csv, ordered by face, then time."""
    blinks = clip.movements.blinks if clip.movements else ()
    people = people_at(clip, [(blink.track_id, blink.closed_seconds) for blink in blinks])
    records = [
        {
            "face_id": blink.track_id,
            "start_seconds": f"{blink.start_seconds:.6f}",
            "closed_seconds": f"{blink.closed_seconds:.6f}",
            "end_seconds": f"{blink.end_seconds:.6f}",
            "depth": f"{blink.depth:.4f}",
            "side": blink.side,
            "person_id": str(person),
        }
        for blink, person in zip(blinks, people, strict=True)
    ]
    return {"blinks.csv": records_csv(COLUMNS, records)}
