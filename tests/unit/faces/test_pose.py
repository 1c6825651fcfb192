"""Head pose: known rotations come back, mirrored faces mirror, real faces are plausible."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from vidfer.faces.align import MIRRORED_LANDMARKS
from vidfer.faces.pose import MEAN_FACE, head_pose, rotation_matrices

SCENES = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "faces_in_scenes.h5"
SIZE = (1280, 720)


def project(pose: np.ndarray, position_mm: np.ndarray, *, focal: float = 1280.0) -> np.ndarray:
    """Return landmarks (N, 68, 2) px of heads with a pose in the camera's frame, seen in perspective."""
    seen = np.einsum("nij,pj->npi", rotation_matrices(pose), MEAN_FACE) + position_mm[:, None]
    return (focal * seen[..., :2] / seen[..., 2:] + np.array(SIZE) / 2).astype(np.float32)


def random_heads(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    pose = generator.uniform([-25, -40, -30], [25, 40, 30], (count, 3))
    position = np.stack([np.zeros(count), np.zeros(count), generator.uniform(350, 3000, count)], axis=1)
    return pose, position


def test_known_rotations_come_back():
    pose, position = random_heads(300)
    np.testing.assert_allclose(head_pose(project(pose, position), image_size=SIZE), pose, atol=0.05)


def test_noise_of_two_percent_of_the_eye_distance_stays_within_three_degrees():
    pose, position = random_heads(500)
    points = project(pose, position)
    eye_distance = 1280 * 90 / position[:, 2]
    noise = np.random.default_rng(1).normal(0, 0.02, points.shape) * eye_distance[:, None, None]
    error = np.abs(head_pose(points + noise, image_size=SIZE) - pose)
    assert np.percentile(error, 99, axis=0).max() < 3
    assert np.median(error, axis=0).max() < 1


@pytest.mark.parametrize("factor", [0.8, 1.5, 3.0])
def test_another_focal_length_than_assumed_matters_little(factor):
    pose, position = random_heads(300)
    position[:, 2] *= factor  # the same size in the picture
    found = head_pose(project(pose, position, focal=1280 * factor), image_size=SIZE)
    assert np.percentile(np.abs(found - pose), 95, axis=0).max() < 4


@pytest.mark.parametrize(
    ("pose", "axis", "sign"),
    [((20, 0, 0), 1, -1), ((-20, 0, 0), 1, 1), ((0, 20, 0), 0, 1), ((0, -20, 0), 0, -1)],
)
def test_the_nose_points_where_pitch_and_yaw_say(pose, axis, sign):
    points = project(np.array([pose], float), np.array([[0.0, 0.0, 1000.0]]))[0]
    towards = (points[30] - points[36:48].mean(0)) - (MEAN_FACE[30] - MEAN_FACE[36:48].mean(0))[:2] * 1.28
    assert np.sign(towards[axis]) == sign
    np.testing.assert_allclose(head_pose(points[None], image_size=SIZE)[0], pose, atol=0.05)


def test_roll_is_clockwise_in_the_image():
    points = project(np.array([[0.0, 0.0, 25.0]]), np.array([[0.0, 0.0, 1000.0]]))
    right_eye, left_eye = points[0, 36:42].mean(0), points[0, 42:48].mean(0)
    assert left_eye[1] > right_eye[1] + 10  # the eye on the image's right is lower
    assert head_pose(points, image_size=SIZE)[0, 2] == pytest.approx(25, abs=0.05)


def test_a_mirrored_face_has_yaw_and_roll_of_the_other_sign():
    pose, position = random_heads(100)
    position[:, :2] = np.random.default_rng(2).uniform(-150, 150, (100, 2))
    points = project(pose, position)
    mirrored = points[:, MIRRORED_LANDMARKS] * [-1, 1] + [SIZE[0], 0]
    expected = head_pose(points, image_size=SIZE) * [1, -1, -1]
    np.testing.assert_allclose(head_pose(mirrored, image_size=SIZE), expected, atol=0.05)


def test_a_face_that_looks_into_the_camera_is_frontal_wherever_it_is():
    """Seen from the camera, a head at the side that looks into it is turned by the angle at which it is seen."""
    angle = 20.0
    position = 1000 * np.array([[np.sin(np.radians(angle)), 0, np.cos(np.radians(angle))]])
    points = project(np.array([[0.0, -angle, 0.0]]), position)
    np.testing.assert_allclose(head_pose(points, image_size=SIZE), [[0, 0, 0]], atol=0.05)


def test_a_pose_does_not_depend_on_the_others_or_on_the_scale():
    pose, position = random_heads(1500, seed=3)
    points = project(pose, position)
    together = head_pose(points, image_size=SIZE)
    np.testing.assert_array_equal(head_pose(points[:7], image_size=SIZE), together[:7])
    np.testing.assert_array_equal(head_pose(points[1100:1101], image_size=SIZE), together[1100:1101])
    half = head_pose(points / 2, image_size=(SIZE[0] // 2, SIZE[1] // 2))
    np.testing.assert_allclose(half, together, atol=1e-3)


def test_missing_and_degenerate_landmarks_give_nan_for_that_face_only():
    pose, position = random_heads(5)
    points = project(pose, position)
    points[1, 40] = np.nan
    points[2] = 100.0
    points[3, 0, 0] = np.inf
    found = head_pose(points, image_size=SIZE)
    assert np.isnan(found[[1, 2, 3]]).all()
    np.testing.assert_allclose(found[[0, 4]], pose[[0, 4]], atol=0.05)
    assert head_pose(points[:0], image_size=SIZE).shape == (0, 3)
    garbage = np.random.default_rng(0).uniform(0, 700, (50, 68, 2))
    assert np.abs(head_pose(garbage, image_size=SIZE)).max() <= 180  # finite


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(N, 68, 2\), got \(3, 5, 2\)"):
        head_pose(np.zeros((3, 5, 2)), image_size=SIZE)
    with pytest.raises(ValueError, match="image size"):
        head_pose(np.zeros((3, 68, 2)), image_size=(0, 10))


def test_thousands_of_faces_take_far_less_than_a_millisecond_each():
    pose, position = random_heads(2000)
    points = project(pose, position)
    started = time.process_time()
    head_pose(points, image_size=SIZE)
    assert (time.process_time() - started) / len(points) < 1e-3


def test_it_agrees_with_opencv():
    cv2 = pytest.importorskip("cv2", reason="opencv-python (or its libGL) is not here")
    pose, position = random_heads(20, seed=4)
    points = project(pose, position).astype(np.float64)
    noisy = points + np.random.default_rng(5).normal(0, 1.0, points.shape)
    camera = np.array([[1280.0, 0, 640], [0, 1280, 360], [0, 0, 1]])
    found = head_pose(noisy, image_size=SIZE)
    for row in range(len(points)):
        done, turn, _ = cv2.solvePnP(MEAN_FACE, noisy[row], camera, None, flags=cv2.SOLVEPNP_SQPNP)
        assert done
        between = cv2.Rodrigues(turn)[0].T @ rotation_matrices(found[row : row + 1])[0]
        angle = np.degrees(np.arccos(np.clip((np.trace(between) - 1) / 2, -1, 1)))
        assert angle < 4  # SQPNP trusts all points alike, we do not


@pytest.mark.skipif(not SCENES.is_file(), reason="../shared/data is not on this machine")
def test_real_faces_are_plausible():
    import h5py

    with h5py.File(SCENES, locking=False) as file:
        source = file["source"][:][file["face/image_row"][:]]
        sure = (file["face/landmark_disagreement"][:] < 0.05) & (source == b"lfw")
        points = file["face/landmarks68"][:][sure].astype(np.float32)[:3000]
    found = head_pose(points, image_size=(250, 250))
    assert np.isfinite(found).all()
    assert np.abs(np.median(found, axis=0)).max() < 5
    # Faces whose nose lies midway between the eyes are frontal.
    eyes = points[:, [36, 45], 0]
    place = (points[:, 30, 0] - eyes.mean(1)) / (eyes[:, 1] - eyes[:, 0])
    level = np.abs(points[:, 36, 1] - points[:, 45, 1]) < 2
    frontal = level & (np.abs(place) < 0.03)
    assert frontal.sum() > 100
    assert np.percentile(np.abs(found[frontal, 1]), 98) < 10
    assert np.corrcoef(place[level], found[level, 1])[0, 1] > 0.95
