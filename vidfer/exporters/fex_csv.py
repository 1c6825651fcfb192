"""fex.csv: the names of Py-Feat (Cheong et al. 2023), to be read with its ``read_feat`` or as a ``Fex`` table.

Columns as in ``feat.utils`` of Py-Feat 0.6 to 2.1: face box, landmarks, pose, seven emotions, frame (from 0). Angles
are in degrees with the signs of timeline.csv. Py-Feat has no contempt: the seven columns hold vidfer's probabilities as
they are, and an eighth column ``contempt`` follows, with which a row sums to 1. A frame without a face has a row of
empty cells, as there.

Where ``[movements]`` is on, the blendshapes that they correspond to follow under MediaPipe's names, as in Py-Feat's
``MPDetector``. Where vidfer gives one value for both sides, both columns hold it.
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


# Blendshape: the movement that it corresponds to.
BLENDSHAPES: dict[str, str] = {
    **{f"mouthSmile{side}": f"smile_{side.lower()}" for side in ("Left", "Right")},
    **{"jawOpen": "mouth_open", "mouthPucker": "mouth_pucker", "browInnerUp": "brow_raise_inner"},
    **{f"mouthPress{side}": "mouth_press" for side in ("Left", "Right")},
    **{f"mouthFrown{side}": "corners_down" for side in ("Left", "Right")},
    **{f"mouthUpperUp{side}": "lip_raise" for side in ("Left", "Right")},
    **{f"browOuterUp{side}": "brow_raise_outer" for side in ("Left", "Right")},
    **{f"browDown{side}": "brow_lower" for side in ("Left", "Right")},
    **{f"eyeWide{side}": "eye_wide" for side in ("Left", "Right")},
    **{f"eyeSquint{side}": "eye_squint" for side in ("Left", "Right")},
}
BLINKS: dict[str, str] = {f"eyeBlink{side}": f"eye_open_{side.lower()}" for side in ("Left", "Right")}
_CLOSED = 0.7  # MediaPipe's score of a closed eye, see assets/movements.md
FORMATS |= dict.fromkeys((*BLENDSHAPES, *BLINKS), "%.4f")


@exporter("fex", filenames=("fex.csv",), version=2)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return fex.csv."""
    lines = (line for part in timeline_table(clip).parts() for line in _lines(clip, part))
    shapes = () if clip.movements is None else tuple(_blendshapes(clip, timeline_table(clip)))
    return {"fex.csv": join_lines((*COLUMNS[:-2], *shapes, *COLUMNS[-2:]), lines)}


def _blendshapes(clip: ClipResult, table: TimelineTable) -> dict[str, np.ndarray]:
    """Return the blendshapes of some rows that movements correspond to; none where they were not measured."""
    timeline = table.columns
    if clip.movements is None:
        return {}
    known = {shape: timeline[name] for shape, name in BLENDSHAPES.items() if name in timeline}
    return known | {shape: _CLOSED * (1 - timeline[name]) for shape, name in BLINKS.items()}


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
        **_blendshapes(clip, table),
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
