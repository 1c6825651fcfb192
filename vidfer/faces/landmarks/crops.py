"""Landmarks by a network that looks at the square around each box: what does not depend on how it is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from vidfer.faces.align import apply_transforms, box_transforms, invert_transforms, warp_faces
from vidfer.types import NUM_LANDMARKS

if TYPE_CHECKING:
    from torch import Tensor

_FACES_AT_ONCE = 64  # bounds memory; more are no faster


def locate_in_crops(
    predict: Callable[..., tuple[np.ndarray, np.ndarray]],
    images: Tensor,
    image_row: np.ndarray,
    xyxy: np.ndarray,
    *,
    size: int,
    margin: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return landmarks (N, 68, 2) float32 px of the images and scores (N,) float32 0..1, as ``FaceLandmarker.locate``.

    Parameters
    ----------
    predict
        Gives points (M, 68, 2) in the unit square and scores (M,) of gray crops (M, 1, size, size) 0..1.
    images, image_row, xyxy
        As for ``FaceLandmarker.locate``. For a box that is not finite, or has no area, the landmarks are NaN and the
        score is 0.
    size
        Side of the crops, px.
    margin
        By how much the square is larger than the box's longer side, in sides of the box.
    """
    xyxy = np.asarray(xyxy, np.float32).reshape(-1, 4)
    if len(image_row) != len(xyxy):
        raise ValueError(f"expected one image_row per box, got {len(image_row)} for {len(xyxy)} boxes")
    landmarks = np.full((len(xyxy), NUM_LANDMARKS, 2), np.nan, np.float32)
    scores = np.zeros(len(xyxy), np.float32)
    rows = np.flatnonzero(np.isfinite(xyxy).all(1))
    for start in range(0, len(rows), _FACES_AT_ONCE):
        part = rows[start : start + _FACES_AT_ONCE]
        transforms = box_transforms(xyxy[part], margin=margin)
        points, score = predict(warp_faces(images, np.asarray(image_row)[part], transforms, size=size, gray=True))
        found = apply_transforms(invert_transforms(transforms), points)  # (M, 68, 2)
        known = np.isfinite(found).all((1, 2)) & np.isfinite(score)  # not so: no area, or damaged weights
        landmarks[part[known]], scores[part[known]] = found[known], score[known]
    return landmarks, scores
