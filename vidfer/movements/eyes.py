"""Where the two eyes of a face are, at the resolution that its picture has."""

from __future__ import annotations

from typing import Final

import numpy as np

# Side of what is seen of an eye, in sides of the aligned face: an eye is 0.16 wide there, the brow lies 0.15 above it.
EYE_SIDE: Final = 0.32
# Corners of the right and the left eye in the 68 points.
CORNERS: Final = ((36, 39), (42, 45))


def eye_centres(landmarks: np.ndarray) -> np.ndarray:
    """Return the middle between the corners of the right and the left eye (N, 2, 2), px, of landmarks (N, 68, 2)."""
    return np.stack([landmarks[:, corners].mean(1) for corners in CORNERS], 1)


def eye_transforms(landmarks: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Return what leads from px to the unit square of each eye's picture; the left eye's is mirrored.

    The corners give the place only. Size and turn are the face's: those of a single eye change as it closes.

    Parameters
    ----------
    landmarks
        (N, 68, 2) px.
    transform
        (N, 2, 3), px to the unit square of the aligned face.

    Returns
    -------
    (N, 2, 2, 3) float32, right eye first.
    """
    linear = np.repeat(transform[:, None, :, :2] / EYE_SIDE, 2, axis=1)  # (N, 2, 2, 2)
    linear[:, 1, 0] *= -1
    centres = eye_centres(landmarks)
    shift = 0.5 - np.einsum("neij,nej->nei", linear, centres)
    return np.concatenate([linear, shift[..., None]], -1).astype(np.float32)
