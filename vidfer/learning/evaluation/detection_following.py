"""How far faces that are followed between detections lie from those found by detecting in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from vidfer.faces.boxes import pairwise_iou
from vidfer.types import FaceDetections

SAME_FACE_IOU = 0.3


@dataclass(frozen=True, kw_only=True)
class FollowingError:
    """Differences of the faces that both ways found, in face sizes (root of the box's area), and those of one only.

    Attributes
    ----------
    box
        (N,) the largest move of a side of the final box.
    landmarks
        (N,) the mean move of the 68 landmarks.
    missing, extra
        Faces that only detecting in every frame found, and that only following found.
    """

    box: np.ndarray
    landmarks: np.ndarray
    missing: int
    extra: int


def following_error(searched: FaceDetections, followed: FaceDetections) -> FollowingError:
    """Compare the faces of the same frames, found by detecting in every frame and by following.

    Faces of a frame are paired by the overlap of their boxes.
    """
    first: list[np.ndarray] = [np.zeros(0, np.int64)]
    second: list[np.ndarray] = [np.zeros(0, np.int64)]
    for row in np.intersect1d(searched.frame_row, followed.frame_row):
        a, b = np.flatnonzero(searched.frame_row == row), np.flatnonzero(followed.frame_row == row)
        overlap = pairwise_iou(searched.xyxy[a], followed.xyxy[b])
        i, j = linear_sum_assignment(-overlap)
        same = overlap[i, j] >= SAME_FACE_IOU
        first.append(a[i[same]])
        second.append(b[j[same]])
    i, j = np.concatenate(first), np.concatenate(second)
    size = np.sqrt((searched.xyxy[i, 2:] - searched.xyxy[i, :2]).prod(axis=1))
    apart = np.linalg.norm(searched.landmarks[i] - followed.landmarks[j], axis=2)  # (N, 68)
    return FollowingError(
        box=np.abs(searched.xyxy[i] - followed.xyxy[j]).max(axis=1, initial=0.0) / size,
        landmarks=apart.mean(axis=1) / size,
        missing=len(searched) - len(i),
        extra=len(followed) - len(j),
    )
