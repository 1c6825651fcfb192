"""fex.csv: the names of Py-Feat (Cheong et al. 2023), to be read with its ``read_feat`` or as a ``Fex`` table.

Columns as in ``feat.utils`` of Py-Feat 0.6 to 2.1: face box, landmarks, pose, seven emotions, frame (from 0). Angles
are in degrees with the signs of timeline.csv. Py-Feat has no contempt: the seven columns hold vidfer's probabilities as
they are, and an eighth column ``contempt`` follows, with which a row sums to 1. A frame without a face has a row of
empty cells, as there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

import numpy as np

from vidfer.exporters import exporter
from vidfer.exporters.rows import format_rows, join_lines, quoted
from vidfer.exporters.table import LANDMARK_COLUMNS, TimelineTable, landmark_columns, timeline_table
from vidfer.types import ClipResult

EMOTION_COLUMNS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


_NUMBERS: tuple[str, ...] = (
    *("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"),
    *LANDMARK_COLUMNS,
    *("Pitch", "Roll", "Yaw"),
    *(*EMOTION_COLUMNS, "contempt"),
)
COLUMNS: tuple[str, ...] = ("frame", "timestamp", *_NUMBERS, "Identity", "input")
FORMATS: dict[str, str] = {
    **dict.fromkeys(_NUMBERS, "%.3f"),
    **dict.fromkeys((*EMOTION_COLUMNS, "contempt", "FaceScore", "timestamp"), "%.6f"),
}


@exporter("fex", filenames=("fex.csv",), version=2)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return fex.csv."""
    lines = (line for part in timeline_table(clip).parts() for line in _lines(clip, part))
    return {"fex.csv": join_lines(COLUMNS, lines)}


def _lines(clip: ClipResult, table: TimelineTable) -> Iterator[str]:
    """Yield some rows of the table."""
    timeline = table.columns
    score = np.full(len(table), np.nan, dtype=np.float32)
    score[table.has_face] = clip.faces.score[table.face_row[table.has_face]]
    numbers = {
        "FaceRectX": timeline["x"],
        "FaceRectY": timeline["y"],
        "FaceRectWidth": timeline["width"],
        "FaceRectHeight": timeline["height"],
        "FaceScore": score,
        **landmark_columns(clip, table),
        "Pitch": timeline["pitch"],
        "Roll": timeline["roll"],
        "Yaw": timeline["yaw"],
        **{name: timeline[name] for name in (*EMOTION_COLUMNS, "contempt")},
    }
    columns = {"frame": clip.frames.frame_index[table.frame_row], "timestamp": timeline["timestamp"], **numbers}
    ids = clip.roster.person_id if clip.roster else clip.timeline.track_id
    names = {person.number: quoted(person.name) for person in clip.roster.people if person.name} if clip.roster else {}
    who = np.full(len(table), -1)
    who[table.has_face] = ids[table.face_row[table.has_face]]
    people = [names.get(number, f"Person_{number}") if number >= 0 else "" for number in who.tolist()]
    source = quoted(PurePath(clip.info.path).name)
    rows = zip(format_rows(columns, FORMATS), people, strict=True)
    return (f"{line},{person},{source}" for line, person in rows)
