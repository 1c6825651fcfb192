"""openface.csv: the columns of OpenFace 2.2 that vidfer has, for scripts written for its output.

Names, order and meaning follow FeatureExtraction and FaceLandmarkVidMulti
(https://github.com/TadasBaltrusaitis/OpenFace/wiki/Output-Format). What vidfer does not measure (position of the head
in millimetres, 3D landmarks, action units) is left out rather than filled with zeros.

``pose_R*`` are radians in OpenFace's frame: x to the image's right, y down, z away from the camera, R = Rx Ry Rz. A
positive ``pose_Rx`` is a head looking down, a positive ``pose_Ry`` one turned to the image's left, a positive
``pose_Rz`` one tilted clockwise in the image: for the first two the signs of ``pitch`` and ``yaw`` in timeline.csv are
the other way round. Since OpenFace 2.0 the angles are relative to the camera's plane, 0 for a head that faces straight
out of the picture wherever it is; those of timeline.csv are relative to the line from the camera to the head.

Where ``[movements]`` is on, ``gaze_angle_x`` and ``gaze_angle_y`` follow, radians in the camera's frame, both eyes
together: x to the image's right and y down are positive. ``AU45_c`` is 1 within a blink of both eyes of blinks.csv: of
all action units it is the only one, and it is a blink, no FACS code of a trained person.

As in OpenFace, a frame without a face has ``success`` 0 and zeros; its ``face_id`` is -1, so that grouping by face does
not mix it in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vidfer.exporters import exporter
from vidfer.exporters.rows import format_rows, join_lines
from vidfer.exporters.table import LANDMARK_COLUMNS, TimelineTable, landmark_columns, timeline_table
from vidfer.types import ClipResult

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

COLUMNS: tuple[str, ...] = (
    *("frame", "face_id", "timestamp", "confidence", "success", "pose_Rx", "pose_Ry", "pose_Rz"),
    *LANDMARK_COLUMNS,
)
FORMATS: dict[str, str] = {
    "timestamp": "%.6f",  # OpenFace writes milliseconds; frames of fast video need more
    **dict.fromkeys(("confidence", "pose_Rx", "pose_Ry", "pose_Rz", *LANDMARK_COLUMNS), "%.3f"),
}


MOVEMENT_COLUMNS: tuple[str, ...] = ("gaze_angle_x", "gaze_angle_y", "AU45_c")
FORMATS |= dict.fromkeys(MOVEMENT_COLUMNS[:2], "%.3f") | {"AU45_c": "%d"}


@exporter("openface", filenames=("openface.csv",), version=2)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return openface.csv."""
    parts = timeline_table(clip).parts()
    lines = (line for part in parts for line in format_rows(_columns(clip, part), FORMATS))
    names = COLUMNS if clip.movements is None else (*COLUMNS, *MOVEMENT_COLUMNS)
    return {"openface.csv": join_lines(names, lines)}


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
    chosen = {name: columns[name] for name in COLUMNS}
    return chosen if clip.movements is None else {**chosen, **_movements(clip, table)}


def _movements(clip: ClipResult, table: TimelineTable) -> dict[str, np.ndarray]:
    """Return ``MOVEMENT_COLUMNS`` of some rows: 0 where the gaze is not known, as OpenFace has it."""
    timeline, has_face = table.columns, table.has_face
    angles = np.zeros((len(table), 2))
    known = np.flatnonzero(has_face & np.isfinite(timeline["gaze_yaw"]))
    if len(known):
        yaw, pitch = (np.radians(timeline[name][known].astype(np.float64)) for name in ("gaze_yaw", "gaze_pitch"))
        ahead = np.stack([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), -np.cos(yaw) * np.cos(pitch)], 1)
        seen = _towards_face(_bridge_offset(clip, table.face_row[known])).inv().apply(ahead)
        angles[known] = np.arctan2(seen[:, :2], -seen[:, 2:])
    blinking = np.zeros(len(table), np.int64)
    assert clip.movements is not None
    for blink in clip.movements.blinks:
        if blink.side == "both":
            within = (timeline["timestamp"] >= blink.start_seconds) & (timeline["timestamp"] <= blink.end_seconds)
            blinking[within & (timeline["face_id"] == blink.track_id)] = 1
    return dict(zip(MOVEMENT_COLUMNS, (angles[:, 0], angles[:, 1], blinking), strict=True))


def _angles(clip: ClipResult, rows: np.ndarray) -> np.ndarray:
    """Return the angles of some faces, (n, 3) radians as OpenFace gives them; NaN where the pose is not known."""
    from scipy.spatial.transform import Rotation

    offset = _bridge_offset(clip, rows)
    angles = np.full((len(offset), 3), np.nan)
    pose = clip.faces.pose[rows]
    known = np.isfinite(pose).all(axis=1) & np.isfinite(offset).all(axis=1)
    if not known.any():
        return angles
    pitch, yaw, roll = pose[known].T.astype(np.float64)
    seen = Rotation.from_euler("YXZ", np.stack([-yaw, -pitch, roll], axis=1), degrees=True)
    angles[known] = (_towards_face(offset[known]).inv() * seen).as_euler("XYZ")
    return angles


def _bridge_offset(clip: ClipResult, rows: np.ndarray) -> np.ndarray:
    """Return where the middle of each face lies, (n, 2) from the optical axis in units of the focal length."""
    width, height = clip.info.width, clip.info.height  # the focal length that the pose was found with (``faces.pose``)
    bridge = clip.faces.landmarks[rows, 28:30].mean(axis=1)  # (n, 2)
    offset: np.ndarray = (bridge - np.array([width / 2, height / 2])) / max(width, height)
    return offset


def _towards_face(offset: np.ndarray) -> Rotation:
    """Return the turns from the lines of sight to the optical axis."""
    from scipy.spatial.transform import Rotation

    x, y = offset.T
    distance = np.hypot(x, y)
    turn = np.arctan(distance) / np.maximum(distance, 1e-12)
    return Rotation.from_rotvec(np.stack([y * turn, -x * turn, np.zeros_like(x)], axis=1))
