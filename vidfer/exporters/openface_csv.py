"""openface.csv: the columns of OpenFace 2.2 that vidfer has, for scripts written for its output.

Names, order and meaning follow FeatureExtraction and FaceLandmarkVidMulti
(https://github.com/TadasBaltrusaitis/OpenFace/wiki/Output-Format). What vidfer does not measure (gaze, position of the
head in millimetres, 3D landmarks, action units) is left out rather than filled with zeros.

``pose_R*`` are radians in OpenFace's frame: x to the image's right, y down, z away from the camera, R = Rx Ry Rz. A
positive ``pose_Rx`` is a head looking down and a positive ``pose_Ry`` one turned to the image's left, so both have
the opposite sign of ``pitch`` and ``yaw`` in timeline.csv.

As in OpenFace, a frame without a face has ``success`` 0 and zeros; its ``face_id`` is -1, so that grouping by face does
not mix it in.
"""

from __future__ import annotations

import numpy as np

from vidfer.exporters import exporter
from vidfer.exporters.rows import format_rows, join_lines
from vidfer.exporters.table import landmark_columns, timeline_table
from vidfer.types import ClipResult


@exporter("openface", filenames=("openface.csv",), version=1)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return openface.csv."""
    table = timeline_table(clip)
    timeline = table.columns
    numbers = {
        "confidence": timeline["confidence"],
        "pose_Rx": -np.radians(timeline["pitch"]),
        "pose_Ry": -np.radians(timeline["yaw"]),
        "pose_Rz": np.radians(timeline["roll"]),
        **landmark_columns(clip, table),
    }
    numbers = {name: np.where(table.has_face, values, 0.0) for name, values in numbers.items()}
    columns = {
        **{name: timeline[name] for name in ("frame", "face_id", "timestamp")},
        "confidence": numbers.pop("confidence"),
        "success": timeline["success"],
        **numbers,
    }
    formats = {name: "%.3f" for name in columns if name not in ("frame", "face_id", "success")}
    formats["timestamp"] = "%.6f"  # OpenFace writes milliseconds; frames of fast video need more
    return {"openface.csv": join_lines(columns, format_rows(columns, formats))}
