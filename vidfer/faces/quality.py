"""How far a face can be trusted to show an expression: sharpness, size, pose, landmark score.

The constants come from 150 faces of LFW at least 70 px wide, blurred, shrunk, darkened and made noisy, then aligned to
48 px.
"""

from __future__ import annotations

import numpy as np

# Sharpness (see ``sharpness``), median: untouched 0.097, darkened to a quarter 0.098, noise of 10 levels 0.098; shrunk
# to 24 px 0.061, to 12 px 0.022; blurred by 8 % of the eye distance 0.021 (soft, readable), by 16 % 0.005 (unreadable).
SHARP_ENOUGH = 0.045
# The faces that expression networks learn from are 48 px wide (FER2013).
LARGE_ENOUGH_PX = 48.0
# Between these angles off the camera's line of sight half of the face goes out of view.
FRONTAL_DEGREES = 20.0
PROFILE_DEGREES = 80.0
# Gray values vary by less than about one level of 255: nothing is in the picture.
_NO_CONTRAST = 1e-5


def face_quality(
    *, sharpness: np.ndarray, size_px: np.ndarray, pose: np.ndarray, landmark_score: np.ndarray
) -> np.ndarray:
    """Return the quality of each face: its weakest of four factors, each 0 (useless) to 1 (as good as needed).

    Sharpness counts as the square root of its share of ``SHARP_ENOUGH``, size as its share of ``LARGE_ENOUGH_PX``;
    the angle between the face and the camera, from pitch and yaw, falls linearly from ``FRONTAL_DEGREES`` to
    ``PROFILE_DEGREES`` (roll does not count: alignment undoes it); the landmark score counts as it is.

    Parameters
    ----------
    sharpness
        (N,) from ``sharpness``.
    size_px
        (N,) longer side of the face's box in px of the source frame.
    pose
        (N, 3) degrees: pitch, yaw, roll.
    landmark_score
        (N,) 0..1.

    Returns
    -------
    (N,) float32, 0..1. What is not finite counts as 0.

    Raises
    ------
    ValueError
        If the lengths differ or ``pose`` is not (N, 3).
    """
    count = len(sharpness)
    shapes = [np.shape(values) for values in (sharpness, size_px, pose, landmark_score)]
    if shapes != [(count,), (count,), (count, 3), (count,)]:
        raise ValueError(f"face_quality: expected shapes (N,), (N,), (N, 3), (N,), got {shapes}")
    pitch, yaw = np.radians(np.asarray(pose, np.float64)[:, :2]).T
    with np.errstate(invalid="ignore"):
        off_sight = np.degrees(np.arccos(np.clip(np.cos(pitch) * np.cos(yaw), -1, 1)))
        factors = np.stack(
            [
                np.sqrt(np.maximum(np.asarray(sharpness, np.float64), 0) / SHARP_ENOUGH),
                np.asarray(size_px, np.float64) / LARGE_ENOUGH_PX,
                (PROFILE_DEGREES - off_sight) / (PROFILE_DEGREES - FRONTAL_DEGREES),
                np.asarray(landmark_score, np.float64),
            ]
        )  # (4, N)
    factors[~np.isfinite(factors)] = 0
    return np.clip(factors.min(0), 0, 1).astype(np.float32)


def sharpness(aligned: np.ndarray) -> np.ndarray:
    """Return how much fine detail each aligned face has, independent of its contrast and brightness.

    The variance of the Laplacian (Pech-Pacheco et al. 2000) over the variance of the gray values, after smoothing
    by (1, 2, 1) / 4 in both directions, without which noise would pass for detail.

    Parameters
    ----------
    aligned
        (N, H, W) float gray, 0..1, aligned faces of about 48 px; at least 5 px a side.

    Returns
    -------
    (N,) float32, from 0; sharp faces lie at 0.05..0.16. 0 without contrast, NaN where a pixel is NaN.

    Raises
    ------
    ValueError
        If the pictures are not (N, H, W) or smaller than 5 px.
    """
    if aligned.ndim != 3 or min(aligned.shape[1:]) < 5:
        raise ValueError(f"sharpness: expected gray faces (N, H, W) of at least 5 px, got {aligned.shape}")
    x: np.ndarray = np.asarray(aligned, np.float32)
    x = (x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]) / 4
    x = (x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]) / 4  # (N, H - 2, W - 2)
    laplacian = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * x[:, 1:-1, 1:-1]
    contrast = x.var((1, 2), dtype=np.float64)
    detail = laplacian.var((1, 2), dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(contrast < _NO_CONTRAST, 0.0, detail / contrast)
    return ratio.astype(np.float32)
