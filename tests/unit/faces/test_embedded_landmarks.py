"""The embedded landmark network: its weight file, its box, and following a face from its own landmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vidfer.errors import WeightsError
from vidfer.faces.align import landmark_boxes
from vidfer.faces.convolution_units import fuse_norms
from vidfer.faces.landmarks.embedded import EmbeddedLandmarker
from vidfer.faces.landmarks.point_network import PointNetwork
from vidfer.weights import assets_folder, save_tensors

BOX = np.array([[178.0, 65.0, 269.0, 176.0]], np.float32)  # of skimage's astronaut
ONE = np.zeros(1, np.int64)


@pytest.fixture(scope="module")
def landmarker() -> EmbeddedLandmarker:
    return EmbeddedLandmarker()


@pytest.fixture(scope="module")
def portrait() -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pytest.importorskip("skimage.data").astronaut()))[None]


def eye_distance(landmarks: np.ndarray) -> float:
    return float(np.linalg.norm(landmarks[0, 36] - landmarks[0, 45]))


def small_weights(path: Path, **metadata: object) -> Path:
    shape = {"size": 32, "widths": (4, 4, 8, 8), "blocks": (1, 1, 1), "neck": 8}
    known = {"model": "landmarks", "network": shape, "margin": 0.2}
    save_tensors(path, PointNetwork(**shape).state_dict(), known | metadata)
    return path


def test_embedded_file_is_at_most_two_megabytes() -> None:
    assert (assets_folder() / "landmarks.safetensors").stat().st_size <= 2_000_000


def test_following_a_face_from_its_own_landmarks_stays_where_it_is(
    landmarker: EmbeddedLandmarker, portrait: torch.Tensor
) -> None:
    first, _ = landmarker.locate(portrait, ONE, BOX)
    landmarks = first
    for _ in range(20):
        landmarks, scores = landmarker.locate(portrait, ONE, landmark_boxes(landmarks))
    assert np.linalg.norm(landmarks - first, axis=2).mean() < 0.03 * eye_distance(first)
    assert scores[0] > 0.9


def test_a_badly_placed_box_gives_the_same_points(landmarker: EmbeddedLandmarker, portrait: torch.Tensor) -> None:
    first, _ = landmarker.locate(portrait, ONE, BOX)
    for move in ([10, 0, 10, 0], [0, -11, 0, -11], [-10, -12, 10, 12], [9, 11, -9, -11]):
        moved, _ = landmarker.locate(portrait, ONE, BOX + np.array(move, np.float32))
        assert np.linalg.norm(moved - first, axis=2).mean() < 0.04 * eye_distance(first), move


def test_a_box_beside_the_face_scores_low(landmarker: EmbeddedLandmarker, portrait: torch.Tensor) -> None:
    for move in ([110, 0], [-110, 0], [0, 130], [240, -40]):
        _, scores = landmarker.locate(portrait, ONE, BOX + np.tile(np.array(move, np.float32), 2))
        assert scores[0] < 0.5, move


def test_points_turn_with_the_face(landmarker: EmbeddedLandmarker, portrait: torch.Tensor) -> None:
    upright, _ = landmarker.locate(portrait, ONE, BOX)
    middle = BOX.reshape(2, 2).mean(0)
    for degrees in (-30, 30):
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn = np.array([[cos, -sin], [sin, cos]])
        y, x = np.mgrid[0:512, 0:512]
        source = (np.stack([x, y], -1) + 0.5 - middle) @ turn + middle  # where each pixel comes from
        column, row = np.clip(source.astype(int), 0, 511).transpose(2, 0, 1)
        found, scores = landmarker.locate(portrait[:, row, column].contiguous(), ONE, BOX)
        expected = (upright[0] - middle) @ turn.T + middle
        assert np.linalg.norm(found[0] - expected, axis=1).mean() < 0.06 * eye_distance(upright)
        assert scores[0] > 0.5


def test_a_box_that_is_not_finite_gives_no_points_and_no_score(
    landmarker: EmbeddedLandmarker, portrait: torch.Tensor
) -> None:
    boxes = np.concatenate([np.full((1, 4), np.nan, np.float32), BOX])
    landmarks, scores = landmarker.locate(portrait, np.zeros(2, np.int64), boxes)
    assert np.isnan(landmarks[0]).all()
    assert scores[0] == 0
    assert np.isfinite(landmarks[1]).all()


def test_rows_and_boxes_must_match(landmarker: EmbeddedLandmarker, portrait: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="one image_row per box, got 2 for 1"):
        landmarker.locate(portrait, np.zeros(2, np.int64), BOX)


def test_own_weights_replace_the_embedded_ones(tmp_path: Path, portrait: torch.Tensor) -> None:
    own = EmbeddedLandmarker(weights=str(small_weights(tmp_path / "own.safetensors")))
    landmarks, _ = own.locate(portrait, ONE, BOX)
    assert landmarks.shape == (1, 68, 2)


def test_weights_of_another_model_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_tensors(path, {"weight": torch.zeros(3)}, {"model": "detector"})
    with pytest.raises(WeightsError, match=r"other\.safetensors.*vidfer train landmarks"):
        EmbeddedLandmarker(weights=str(path))


def test_landmark_boxes_hold_the_face_and_follow_it() -> None:
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(100, 200, (3, 68, 2)).astype(np.float32)
    landmarks[:, 36:48, 1] = 130
    landmarks[:, 48:, 1] = 180
    boxes = landmark_boxes(landmarks)
    assert boxes.shape == (3, 4)
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    np.testing.assert_allclose(landmark_boxes(landmarks * 2 + 5), boxes * 2 + 5, rtol=1e-5)
    assert landmark_boxes(landmarks[:0]).shape == (0, 4)


def test_folding_normalisation_changes_no_result() -> None:
    torch.manual_seed(0)
    network = PointNetwork(size=32, widths=(4, 4, 8, 8), blocks=(1, 1, 1), neck=8)
    for _ in range(3):
        network(torch.rand(8, 1, 32, 32))  # moves the running statistics
    network.eval()
    crops = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        expected = network(crops)
        fused = fuse_norms(network)(crops)
    for a, b in zip(expected, fused, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
