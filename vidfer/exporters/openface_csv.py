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
from vidfer.exporters.table import LANDMARK_COLUMNS, TimelineTable, landmark_columns, timeline_table
from vidfer.types import ClipResult

COLUMNS: tuple[str, ...] = (
    *("frame", "face_id", "timestamp", "confidence", "success", "pose_Rx", "pose_Ry", "pose_Rz"),
    *LANDMARK_COLUMNS,
)
FORMATS: dict[str, str] = {
    "timestamp": "%.6f",  # OpenFace writes milliseconds; frames of fast video need more
    **dict.fromkeys(("confidence", "pose_Rx", "pose_Ry", "pose_Rz", *LANDMARK_COLUMNS), "%.3f"),
}


@exporter("openface", filenames=("openface.csv",), version=2)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return openface.csv."""
    parts = timeline_table(clip).parts()
    lines = (line for part in parts for line in format_rows(_columns(clip, part), FORMATS))
    return {"openface.csv": join_lines(COLUMNS, lines)}


def _columns(clip: ClipResult, table: TimelineTable) -> dict[str, np.ndarray]:
    """Return ``COLUMNS`` of some rows of the timeline."""
    timeline, has_face = table.columns, table.has_face
    pose = np.full((len(table), 3), np.nan)
    pose[has_face] = _angles(clip, table.face_row[has_face])
    numbers = {
        "confidence": timeline["confidence"],
        **{f"pose_R{axis}": pose[:, column] for column, axis in enumerate("xyz")},
        **landmark_columns(clip, table),
    }
    columns = {name: np.where(has_face, values, 0.0) for name, values in numbers.items()}
    columns |= {name: timeline[name] for name in ("frame", "face_id", "timestamp", "success")}
    return {name: columns[name] for name in COLUMNS}


def _angles(clip: ClipResult, rows: np.ndarray) -> np.ndarray:
    """Return the angles of some faces, (n, 3) radians as OpenFace gives them; NaN where the pose is not known."""
    from scipy.spatial.transform import Rotation

    # The focal length that the pose was found with (``faces.pose``), and where the middle of the mean face lies.
    width, height = clip.info.width, clip.info.height
    bridge = clip.faces.landmarks[rows, 28:30].mean(axis=1)  # (n, 2)
    offset = (bridge - np.array([width / 2, height / 2])) / max(width, height)
    angles = np.full((len(offset), 3), np.nan)
    pose = clip.faces.pose[rows]
    known = np.isfinite(pose).all(axis=1) & np.isfinite(offset).all(axis=1)
    if not known.any():
        return angles
    pitch, yaw, roll = pose[known].T.astype(np.float64)
    seen = Rotation.from_euler("YXZ", np.stack([-yaw, -pitch, roll], axis=1), degrees=True)
    x, y = offset[known].T
    distance = np.hypot(x, y)
    turn = np.arctan(distance) / np.maximum(distance, 1e-12)  # from the line of sight to the optical axis
    sight = Rotation.from_rotvec(np.stack([y * turn, -x * turn, np.zeros_like(x)], axis=1))
    angles[known] = (sight.inv() * seen).as_euler("XYZ")
    return angles
