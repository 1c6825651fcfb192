"""One suite over every landmark network: shapes, batches of any size, odd pictures, and the same face twice.

A network whose weights or optional package are not on this machine skips and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from fixtures.components import built_or_skip

from vidfer.faces.landmarks import LANDMARKERS, FaceLandmarker

PORTRAIT_BOX = np.array([178.0, 65.0, 269.0, 176.0], np.float32)  # of skimage's astronaut


@pytest.fixture(params=LANDMARKERS.names())
def landmarker(request: pytest.FixtureRequest) -> FaceLandmarker:
    return built_or_skip(LANDMARKERS, request.param)


@pytest.fixture(scope="module")
def portrait() -> torch.Tensor:
    skimage_data = pytest.importorskip("skimage.data")
    return torch.from_numpy(np.ascontiguousarray(skimage_data.astronaut()))[None]  # (1, 512, 512, 3)


def rows(count: int) -> np.ndarray:
    return np.zeros(count, np.int64)


def test_no_boxes_give_empty_results(landmarker: FaceLandmarker, portrait: torch.Tensor) -> None:
    landmarks, scores = landmarker.locate(portrait, rows(0), np.zeros((0, 4), np.float32))
    assert landmarks.shape == (0, 68, 2)
    assert scores.shape == (0,)
    assert landmarks.dtype == scores.dtype == np.float32


@pytest.mark.parametrize("count", [1, 3, 40])
def test_shapes_and_ranges_for_any_number_of_boxes(
    landmarker: FaceLandmarker, portrait: torch.Tensor, count: int
) -> None:
    boxes = PORTRAIT_BOX + np.random.default_rng(0).uniform(-8, 8, (count, 4)).astype(np.float32)
    landmarks, scores = landmarker.locate(portrait, rows(count), boxes)
    assert landmarks.shape == (count, 68, 2)
    assert scores.shape == (count,)
    assert landmarks.dtype == scores.dtype == np.float32
    assert np.isfinite(landmarks).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_points_of_a_portrait_lie_on_its_face(landmarker: FaceLandmarker, portrait: torch.Tensor) -> None:
    landmarks, scores = landmarker.locate(portrait, rows(1), PORTRAIT_BOX[None])
    eyes, mouth = landmarks[0, 36:48].mean(0), landmarks[0, 48:68].mean(0)
    assert landmarks[0, 36:42, 0].mean() < landmarks[0, 42:48, 0].mean()  # the person's right eye is on the left
    assert np.linalg.norm(eyes - [225, 104]) < 10
    assert np.linalg.norm(mouth - [223, 143]) < 10
    assert scores[0] > 0.5


def test_result_does_not_depend_on_how_faces_are_batched(landmarker: FaceLandmarker, portrait: torch.Tensor) -> None:
    boxes = PORTRAIT_BOX + np.arange(20, dtype=np.float32)[:, None] / 2
    together, together_scores = landmarker.locate(portrait, rows(20), boxes)
    singly = [landmarker.locate(portrait, rows(1), box[None]) for box in boxes]
    np.testing.assert_allclose(together, np.concatenate([points for points, _ in singly]), atol=0.02)
    np.testing.assert_allclose(together_scores, np.concatenate([score for _, score in singly]), atol=1e-3)


def test_images_without_boxes_and_no_images_at_all(landmarker: FaceLandmarker, portrait: torch.Tensor) -> None:
    landmarks, scores = landmarker.locate(portrait[:0], rows(0), np.zeros((0, 4), np.float32))
    assert (landmarks.shape, scores.shape) == ((0, 68, 2), (0,))
    landmarks, _ = landmarker.locate(torch.cat([portrait, portrait]), np.ones(1, np.int64), PORTRAIT_BOX[None])
    alone, _ = landmarker.locate(portrait, rows(1), PORTRAIT_BOX[None])
    np.testing.assert_allclose(landmarks, alone, atol=0.02)


def test_one_channel_is_gray(landmarker: FaceLandmarker, portrait: torch.Tensor) -> None:
    gray = portrait[..., :1].contiguous()  # (1, 512, 512, 1)
    found, score = landmarker.locate(gray, rows(1), PORTRAIT_BOX[None])
    expected, _ = landmarker.locate(gray.expand(-1, -1, -1, 3).contiguous(), rows(1), PORTRAIT_BOX[None])
    np.testing.assert_allclose(found, expected, atol=0.2)
    assert score[0] > 0.5


def test_each_box_is_looked_for_in_its_own_image(landmarker: FaceLandmarker, portrait: torch.Tensor) -> None:
    images = torch.cat([torch.zeros_like(portrait), portrait, torch.roll(portrait, 20, dims=2)])
    boxes = np.stack([PORTRAIT_BOX, PORTRAIT_BOX + np.array([20, 0, 20, 0], np.float32)])
    landmarks, _ = landmarker.locate(images, np.array([1, 2]), boxes)
    np.testing.assert_allclose(landmarks[1] - landmarks[0], np.broadcast_to([20, 0], (68, 2)), atol=0.05)


@pytest.mark.parametrize("size", [(37, 53), (16, 200), (1, 1)])
def test_images_of_odd_sizes(landmarker: FaceLandmarker, portrait: torch.Tensor, size: tuple[int, int]) -> None:
    image = portrait[:, 60 : 60 + size[0], 180 : 180 + size[1]].contiguous()
    landmarks, scores = landmarker.locate(image, rows(1), np.array([[0, 0, size[1], size[0]]], np.float32))
    assert np.isfinite(landmarks).all()
    assert np.isfinite(scores).all()


def test_gray_pictures_give_nearly_the_points_of_coloured_ones(
    landmarker: FaceLandmarker, portrait: torch.Tensor
) -> None:
    gray = (portrait.float() @ torch.tensor([0.299, 0.587, 0.114])).round().to(torch.uint8)
    gray = gray[..., None].expand(-1, -1, -1, 3).contiguous()  # (1, 512, 512, 3)
    coloured, _ = landmarker.locate(portrait, rows(1), PORTRAIT_BOX[None])
    found, scores = landmarker.locate(gray, rows(1), PORTRAIT_BOX[None])
    assert np.linalg.norm(found - coloured, axis=2).mean() < 4  # px, of about 60 between the eyes' outer corners
    assert scores[0] > 0.5


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_picture_of_one_colour_is_no_face(landmarker: FaceLandmarker, portrait: torch.Tensor, shade: int) -> None:
    landmarks, scores = landmarker.locate(torch.full_like(portrait, shade), rows(1), PORTRAIT_BOX[None])
    assert np.isfinite(landmarks).all()
    assert scores[0] < 0.5


def test_boxes_beyond_the_edge_and_without_area(landmarker: FaceLandmarker, portrait: torch.Tensor) -> None:
    boxes = np.array([[-900, -900, -800, -750], [500, 500, 700, 760], [100, 100, 100, 100]], np.float32)
    landmarks, scores = landmarker.locate(portrait, rows(3), boxes)
    assert np.isfinite(landmarks).all()
    assert np.isfinite(scores).all()


def test_input_is_left_as_it_was(landmarker: FaceLandmarker, portrait: torch.Tensor) -> None:
    image, box = portrait.clone(), PORTRAIT_BOX[None].copy()
    landmarker.locate(image, rows(1), box)
    assert torch.equal(image, portrait)
    np.testing.assert_array_equal(box[0], PORTRAIT_BOX)


def test_every_landmarker_is_built_from_the_same_arguments() -> None:
    factories: list[Callable[..., FaceLandmarker]] = [LANDMARKERS.get(name) for name in LANDMARKERS.names()]
    assert all(callable(factory) for factory in factories)
    assert "embedded" in LANDMARKERS.names()


def test_one_that_says_so_can_be_shared_by_threads(landmarker: FaceLandmarker, portrait: torch.Tensor) -> None:
    if not getattr(landmarker, "is_thread_safe", False):
        pytest.skip("does not say that threads may share it")
    boxes = [PORTRAIT_BOX + np.float32(k) + np.zeros((3, 1), np.float32) for k in range(24)]
    alone, shared = (
        list(
            ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)).map(
                lambda some: landmarker.locate(portrait, rows(3), some), boxes
            )
        )
        for threads in (1, 3)
    )
    for found, expected in zip(shared, alone, strict=True):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
