"""Where the eyes look: from the iris's place between the corners of the eye, and how the head is turned.

An eye is a ball that turns about its centre, which lies behind the line between its corners. With the head's pose the
centre is known in the picture, and how far the iris lies from it tells the direction (as in OpenFace: Wood et al. 2015,
Baltrusaitis et al. 2018).
"""

from __future__ import annotations

import numpy as np

from vidfer.faces.align import invert_transforms
from vidfer.faces.pose import MEAN_FACE, rotation_matrices

# mm in the head's axes (``faces.pose``): from the middle between the corners of an eye to the ball's centre, and from
# there to the iris. Fitted on clips that the network learnt from, see assets/movements.md.
BALL_CENTRE = np.array([0.0, -1.8, 6.5])
IRIS_DISTANCE = 10.9
_MAX_SINE = 0.95  # sine of the largest angle between the eye and the camera


def gaze_angles(iris: np.ndarray, landmarks: np.ndarray, transform: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Return where each eye looks relative to the line from the camera to the face.

    Parameters
    ----------
    iris
        (N, 2, 2) of ``Movements``.
    landmarks, transform, pose
        Of ``FaceDetections``: (N, 68, 2) px, (N, 2, 3), (N, 3) degrees.

    Returns
    -------
    (N, 2, 2) float32: yaw and pitch in degrees of the right and the left eye, 0 into the camera, with the signs of
        ``pose``: yaw towards the image's right and pitch up are positive. NaN where something is not known.
    """
    linear = invert_transforms(transform)[:, :, :2].astype(np.float64)
    offset = np.einsum("nij,nej->nei", linear, iris) * mm_per_px(landmarks, pose)[:, None, None]
    centre = (rotation_matrices(pose) @ BALL_CENTRE)[:, None, :2]  # (N, 1, 2)
    aside = (offset - centre) / IRIS_DISTANCE
    length = np.linalg.norm(aside, axis=2, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        aside = np.where(length > _MAX_SINE, aside * (_MAX_SINE / length), aside)
        ahead = np.sqrt(1 - (aside**2).sum(2))
    yaw, pitch = np.arctan2(aside[..., 0], ahead), np.arcsin(-aside[..., 1])
    return np.degrees(np.stack([yaw, pitch], 2)).astype(np.float32)


def mm_per_px(landmarks: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Return how many mm of the mean face a px of each face is, (N,)."""
    turned = np.einsum("nij,pj->npi", rotation_matrices(pose), MEAN_FACE)[..., :2]  # (N, 68, 2)
    spread = turned.std(1).mean(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale: np.ndarray = spread / np.asarray(landmarks, np.float64).std(1).mean(1)
    return scale
