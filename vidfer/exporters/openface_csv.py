"""openface.csv: the columns of OpenFace 2.2 that vidfer has, for scripts written for its output.

Names, order and meaning follow FeatureExtraction and FaceLandmarkVidMulti
(https://github.com/TadasBaltrusaitis/OpenFace/wiki/Output-Format). What vidfer does not measure (gaze, position of the
head in millimetres, 3D landmarks, action units) is left out rather than filled with zeros.

``pose_R*`` are radians in OpenFace's frame: x to the image's right, y down, z away from the camera, R = Rx Ry Rz. A
positive ``pose_Rx`` is a head looking down, a positive ``pose_Ry`` one turned to the image's left, a positive
``pose_Rz`` one tilted clockwise in the image: for the first two the signs of ``pitch`` and ``yaw`` in timeline.csv are
the other way round. Since OpenFace 2.0 the angles are relative to the camera's plane, 0 for a head that faces straight
out of the picture wherever it is; those of timeline.csv are relative to the line from the camera to the head.

As in OpenFace, a frame without a face has ``success`` 0 and zeros; its ``face_id`` is -1, so that grouping by face does
not mix it in.
"""

from __future__ import annotations

import numpy as np

from vidfer.exporters import exporter
from vidfer.exporters.rows import format_rows, join_lines
from vidfer.exporters.table import landmark_columns, timeline_table
from vidfer.types import ClipResult


@exporter("openface", filenames=("openface.csv",), version=2)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return openface.csv."""
    table = timeline_table(clip)
    timeline = table.columns
    pose = np.full((len(table), 3), np.nan)
    pose[table.has_face] = _angles(clip)[table.face_row[table.has_face]]
    numbers = {
        "confidence": timeline["confidence"],
        **{f"pose_R{axis}": pose[:, column] for column, axis in enumerate("xyz")},
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


def _angles(clip: ClipResult) -> np.ndarray:
    """Return each face's angles (N, 3) in radians as OpenFace gives them; NaN where the pose is not known."""
    from scipy.spatial.transform import Rotation

    # The focal length that the pose was found with (``faces.pose``), and where the middle of the mean face lies.
    width, height = clip.info.width, clip.info.height
    bridge = clip.faces.landmarks[:, 28:30].mean(axis=1)  # (N, 2)
    offset = (bridge - np.array([width / 2, height / 2])) / max(width, height)
    angles = np.full((len(offset), 3), np.nan)
    known = np.isfinite(clip.faces.pose).all(axis=1) & np.isfinite(offset).all(axis=1)
    if not known.any():
        return angles
    pitch, yaw, roll = clip.faces.pose[known].T.astype(np.float64)
    seen = Rotation.from_euler("YXZ", np.stack([-yaw, -pitch, roll], axis=1), degrees=True)
    x, y = offset[known].T
    distance = np.hypot(x, y)
    turn = np.arctan(distance) / np.maximum(distance, 1e-12)  # from the line of sight to the optical axis
    sight = Rotation.from_rotvec(np.stack([y * turn, -x * turn, np.zeros_like(x)], axis=1))
    angles[known] = (sight.inv() * seen).as_euler("XYZ")
    return angles
