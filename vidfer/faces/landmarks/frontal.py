"""68 landmarks in three dimensions, by the mean face: their depth, and where they would lie if the face looked ahead.

Faces are taken as seen from afar (weak perspective): one that is cut out of a picture no longer tells how near it was.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vidfer.faces.pose import MEAN_FACE, POINT_WEIGHTS, head_pose, rotation_matrices

EYE_DISTANCE_MM: Final = float(np.linalg.norm(MEAN_FACE[36:42].mean(0) - MEAN_FACE[42:48].mean(0)))
_WEIGHTS = POINT_WEIGHTS / POINT_WEIGHTS.sum()
_CAMERA_DISTANCE = 10.0  # picture's sides per face's: how far away the camera is taken to be
# How much a point is drawn towards the mean face's: where a side of the face is seen at a grazing angle, an error of a
# pixel would be many millimetres.
_RIDGE = 0.05


def depth_of_landmarks(landmarks68: np.ndarray) -> np.ndarray:
    """Return the depth (N, 68) float32 of landmarks (N, 68, 2), in their unit.

    It is that of the mean face, turned and enlarged as the landmarks say: larger is further from the camera, 0 lies at
    the mean face's origin, at the tip of the nose. NaN where a landmark is not finite.
    """
    points = np.asarray(landmarks68, np.float64)
    rotation = rotation_matrices(pose_from_afar(points))
    scale, _ = _scale_and_shift(points, rotation)
    depth = scale[:, None] * np.einsum("pj,nj->np", MEAN_FACE, rotation[:, 2])
    return depth.astype(np.float32)


def frontal_landmarks(landmarks68: np.ndarray) -> np.ndarray:
    """Return where landmarks (N, 68, 2) would lie if the face looked into the camera, (N, 68, 2) float32.

    In mm of the mean face, whose eyes lie ``EYE_DISTANCE_MM`` apart. Each point keeps the mean face's depth, so that
    what an expression moves within the face's plane stays. NaN where a landmark is not finite.
    """
    points = np.asarray(landmarks68, np.float64)
    rotation = rotation_matrices(pose_from_afar(points))
    scale, shift = _scale_and_shift(points, rotation)
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = (points - shift[:, None]) / scale[:, None, None]  # (N, 68, 2) mm
    plane = rotation[:, :2, :2]  # what turning makes of the face's plane
    off = seen - np.einsum("nij,pj->npi", rotation[:, :2], MEAN_FACE)
    inverse = np.linalg.inv(plane.transpose(0, 2, 1) @ plane + _RIDGE * np.eye(2))  # ridge regression
    moved = np.einsum("nij,nkj,npk->npi", inverse, plane, off)
    return (MEAN_FACE[:, :2] + moved).astype(np.float32)


def pose_from_afar(landmarks68: np.ndarray) -> np.ndarray:
    """Return ``head_pose`` (N, 3), degrees, of faces seen from afar, given landmarks (N, 68, 2) in any unit."""
    points = np.asarray(landmarks68, np.float64)
    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = (points - (low + high) / 2) / (high - low).max(2, keepdims=True)  # (N, 68, 2), -0.5..0.5
    side = 1000.0  # of the face, in px of a picture with the face in its middle
    picture = round(_CAMERA_DISTANCE * side)
    return head_pose(unit * side + picture / 2, image_size=(picture, picture))


def _scale_and_shift(points: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scales (N,) and shifts (N, 2) that bring the turned mean face closest to the points."""
    turned = np.einsum("nij,pj->npi", rotation[:, :2], MEAN_FACE)
    own, wanted = np.einsum("p,npj->nj", _WEIGHTS, turned), np.einsum("p,npj->nj", _WEIGHTS, points)
    spread = turned - own[:, None]
    scale = np.einsum("p,npj,npj->n", _WEIGHTS, spread, points) / np.einsum("p,npj,npj->n", _WEIGHTS, spread, spread)
    return scale, wanted - scale[:, None] * own
