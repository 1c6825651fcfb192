"""Landmarks in three dimensions: faces that are turned give what they give from the front."""

from __future__ import annotations

import numpy as np
import pytest

from vidfer.faces.landmarks.frontal import EYE_DISTANCE_MM, depth_of_landmarks, frontal_landmarks
from vidfer.faces.pose import MEAN_FACE, rotation_matrices


@pytest.fixture
def smiling() -> np.ndarray:
    """The mean face (68, 3), mm, with the corners of the mouth drawn apart and up, and the brows raised."""
    face = MEAN_FACE.copy()
    face[[48, 60], :2] += [-8, -5]
    face[[54, 64], :2] += [8, -5]
    face[17:27, 1] -= 4
    return face


def seen(face: np.ndarray, *poses: tuple[float, float, float]) -> np.ndarray:
    """Return the face turned by pitch, yaw and roll, (N, 68, 3), 0.7 px a mm, somewhere in a picture."""
    return 0.7 * face @ rotation_matrices(np.array(poses)).transpose(0, 2, 1) + [120, 80, 0]


def test_a_turned_face_gives_the_points_of_its_front(smiling: np.ndarray) -> None:
    turned = seen(smiling, (0, 0, 0), (0, 25, 0), (0, -45, 0), (15, 30, 20), (-20, 0, -10))
    found = frontal_landmarks(turned[..., :2])
    assert found.dtype == np.float32
    expected = found[0] - found[0].mean(0)
    for one in found[1:]:
        away = np.linalg.norm(one - one.mean(0) - expected, axis=1)
        assert away[17:].max() < 2.5  # mm
        assert np.median(away[17:]) < 1.0
    as_seen = turned[2, :, :2] / 0.7
    squeezed = np.ptp(as_seen[36:48, 0]) / np.ptp(smiling[36:48, 0])
    assert squeezed < 0.8  # what a feature of the picture would have seen
    mouth = np.ptp(found[:, 48:60, 0], axis=1)
    np.testing.assert_allclose(mouth, np.ptp(smiling[48:60, 0]), rtol=0.05)  # 16 mm wider than the mean face's


def test_millimetres_are_those_of_the_mean_face_wherever_and_however_large_the_face_is() -> None:
    points = seen(MEAN_FACE, (5, 20, 0))[..., :2]
    found = frontal_landmarks(np.concatenate([points, 0.2 * points + 7, 30 * points]))
    np.testing.assert_allclose(found[1:], np.broadcast_to(found[0], (2, 68, 2)), atol=0.05)
    eyes = found[:, 36:42].mean(1) - found[:, 42:48].mean(1)
    np.testing.assert_allclose(np.linalg.norm(eyes, axis=1), EYE_DISTANCE_MM, rtol=0.02)


@pytest.mark.parametrize("yaw", [-50.0, 0.0, 30.0])
def test_depth_is_that_of_the_turned_face(yaw: float) -> None:
    face = seen(MEAN_FACE, (10.0, yaw, 5.0))
    found = depth_of_landmarks(face[..., :2])
    assert found.shape == (1, 68)
    np.testing.assert_allclose(found, face[..., 2], atol=0.03 * 0.7 * np.ptp(MEAN_FACE[:, 2]))


def test_landmarks_that_are_not_known_give_none(smiling: np.ndarray) -> None:
    points = seen(smiling, (0, 10, 0), (0, 10, 0))[..., :2]
    points[0, 3] = np.nan
    found, depth = frontal_landmarks(points), depth_of_landmarks(points)
    assert np.isnan(found[0]).all()
    assert np.isnan(depth[0]).all()
    np.testing.assert_array_equal(found[1], frontal_landmarks(points[1:])[0])
    assert frontal_landmarks(points[:0]).shape == (0, 68, 2)
    assert depth_of_landmarks(points[:0]).shape == (0, 68)
