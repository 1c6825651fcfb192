"""Where eyes are cut out, and where they look: heads and eyes drawn with known directions."""

from __future__ import annotations

import numpy as np
import pytest

from vidfer.faces.align import apply_transforms, five_points, similarity_transforms
from vidfer.faces.pose import MEAN_FACE, rotation_matrices
from vidfer.movements import LEFT_OUT, MIRRORED, MOVEMENTS, TRUSTED_ERROR, trust
from vidfer.movements.eyes import EYE_SIDE, eye_centres, eye_transforms
from vidfer.movements.gaze import BALL_CENTRE, IRIS_DISTANCE, gaze_angles

PX_PER_MM = 1.7


def seen_head(pose: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return landmarks (1, 68, 2), transform and pose of the mean face so turned, far from the camera."""
    angles = np.array([pose], np.float32)
    turned = MEAN_FACE @ rotation_matrices(angles)[0].T
    landmarks = (turned[None, :, :2] * PX_PER_MM + 300).astype(np.float32)
    return landmarks, similarity_transforms(five_points(landmarks)), angles


def iris_of(gaze: tuple[float, float], pose: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Return ``Movements.iris`` of both eyes that look along yaw and pitch, degrees."""
    yaw, pitch = np.radians(gaze)
    direction = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    centre = (rotation_matrices(pose)[0] @ BALL_CENTRE)[:2]
    offset = (centre + IRIS_DISTANCE * direction) * PX_PER_MM
    iris = transform[0, :, :2] @ offset
    return np.broadcast_to(iris, (1, 2, 2)).astype(np.float32)


@pytest.mark.parametrize("pose", [(0, 0, 0), (10, 25, 0), (-15, -30, 12), (0, 0, -25)])
@pytest.mark.parametrize("gaze", [(0, 0), (20, 0), (-20, 5), (0, -15), (5, 12)])
def test_a_known_gaze_is_found_however_the_head_is_turned(
    pose: tuple[float, float, float], gaze: tuple[float, float]
) -> None:
    landmarks, transform, angles = seen_head(pose)
    found = gaze_angles(iris_of(gaze, angles, transform), landmarks, transform, angles)
    np.testing.assert_allclose(found, np.broadcast_to(gaze, (1, 2, 2)), atol=0.5)


def test_eyes_lie_in_the_middle_of_their_pictures_and_the_left_one_is_mirrored() -> None:
    landmarks, transform, _ = seen_head((0, 0, 15))
    transforms = eye_transforms(landmarks, transform)[0]  # (2, 2, 3)
    centres = eye_centres(landmarks)[0]
    for eye in range(2):
        np.testing.assert_allclose(
            apply_transforms(transforms[eye][None], centres[eye][None, None])[0, 0], 0.5, atol=1e-4
        )
    inner, outer = apply_transforms(transforms, np.stack([landmarks[0, [39, 36]], landmarks[0, [42, 45]]])).transpose(
        1, 0, 2
    )
    assert (inner[:, 0] > 0.7).all()  # towards the nose in both
    assert (outer[:, 0] < 0.3).all()
    width = np.linalg.norm(landmarks[0, 36] - landmarks[0, 39]) * np.linalg.norm(transform[0, 0, :2])
    assert inner[0, 0] - outer[0, 0] == pytest.approx(width / EYE_SIDE, rel=0.1)


def test_mirroring_exchanges_left_and_right_only() -> None:
    for number, name in enumerate(MOVEMENTS):
        partner = MOVEMENTS[MIRRORED[number]]
        assert MIRRORED[MIRRORED[number]] == number
        assert (partner == name) == (not name.endswith(("_left", "_right")))


def test_trust_is_a_half_at_the_error_that_is_named_and_falls_with_either_part() -> None:
    error = np.zeros((3, len(MOVEMENTS)), np.float32)
    error[1, :2] = TRUSTED_ERROR
    error[2, 2:] = 2 * TRUSTED_ERROR
    error[:, [MOVEMENTS.index(name) for name in LEFT_OUT]] = 9  # of these nothing is said
    np.testing.assert_allclose(trust(error), [1.0, 0.5, 0.25], rtol=1e-5)
