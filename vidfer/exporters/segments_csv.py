"""segments.csv: one row per episode."""

from __future__ import annotations

from vidfer.exporters import exporter
from vidfer.exporters.rows import records_csv
from vidfer.people.by_person import people_of_segments
from vidfer.types import ClipResult

COLUMNS = (
    *("face_id", "emotion", "start_seconds", "end_seconds", "duration_seconds"),
    *("peak_seconds", "mean_probability", "peak_probability"),
    *("person_id", "name", "include"),
)


@exporter("segments", filenames=("segments.csv",), version=3)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return segments.csv, ordered by face, then time."""
    records = [
        {
            "face_id": segment.track_id,
            "emotion": segment.emotion,
            "start_seconds": f"{segment.start_seconds:.6f}",
            "end_seconds": f"{segment.end_seconds:.6f}",
            "duration_seconds": f"{segment.end_seconds - segment.start_seconds:.6f}",
            "peak_seconds": f"{segment.peak_seconds:.6f}",
            "mean_probability": f"{segment.mean_probability:.6f}",
            "peak_probability": f"{segment.peak_probability:.6f}",
            **_person(clip, person),
        }
        for segment, person in zip(clip.segments, people_of_segments(clip), strict=True)
    ]
    return {"segments.csv": records_csv(COLUMNS, records)}


def _person(clip: ClipResult, number: int) -> dict[str, str]:
    """Return whose an episode is, by number and name, and whether they count: see people.csv."""
    person = clip.roster.by_number[number] if clip.roster else None
    include = "yes" if person is None or person.include else "no"
    return {"person_id": str(number), "name": person.name if person else "", "include": include}
