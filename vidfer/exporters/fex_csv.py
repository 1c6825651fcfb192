"""fex.csv: the names of Py-Feat (Cheong et al. 2023), to be read with its ``read_feat`` or as a ``Fex`` table.

Columns as in ``feat.utils`` of Py-Feat 0.6 to 2.1: face box, landmarks, pose, seven emotions, frame (from 0). Angles
are in degrees with the signs of timeline.csv. Py-Feat has no contempt: the seven columns hold vidfer's probabilities as
they are, and an eighth column ``contempt`` follows, with which a row sums to 1. A frame without a face has a row of
empty cells, as there.
"""

from __future__ import annotations

from pathlib import PurePath

import numpy as np

from vidfer.exporters import exporter
from vidfer.exporters.rows import format_rows, join_lines, quoted
from vidfer.exporters.table import landmark_columns, timeline_table
from vidfer.types import ClipResult

EMOTION_COLUMNS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


@exporter("fex", filenames=("fex.csv",), version=1)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return fex.csv."""
    table = timeline_table(clip)
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
    formats = dict.fromkeys(numbers, "%.3f")
    formats |= dict.fromkeys((*EMOTION_COLUMNS, "contempt", "FaceScore", "timestamp"), "%.6f")
    columns = {"frame": clip.frames.frame_index[table.frame_row], "timestamp": timeline["timestamp"], **numbers}
    people = [f"Person_{face}" if face >= 0 else "" for face in timeline["face_id"].tolist()]
    source = quoted(PurePath(clip.info.path).name)
    rows = zip(format_rows(columns, formats), people, strict=True)
    lines = (f"{line},{person},{source}" for line, person in rows)
    return {"fex.csv": join_lines([*columns, "Identity", "input"], lines)}
