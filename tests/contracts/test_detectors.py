"""One suite over every face detector: empty, single and many frames, odd sizes, gray, plain colour, units, order.

A detector whose weights or optional package are not on this machine skips and says so; third-party weights are
looked for in ../shared/weights too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.components import built_or_skip

from vidfer.faces.detectors import DETECTORS, FaceDetector
from vidfer.faces.detectors.haar import HaarDetector
from vidfer.faces.nms import pairwise_iou
from vidfer.types import FaceBoxes

PORTRAIT_FACE = np.array([[178.0, 65.0, 269.0, 176.0]], np.float32)  # of skimage's astronaut


SHARED_WEIGHTS = Path(__file__).resolve().parents[2].parent / "shared" / "weights"


@pytest.fixture(scope="module", autouse=True)
def third_party_weights() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if SHARED_WEIGHTS.is_dir() and "VIDFER_WEIGHTS" not in os.environ:
            patch.setenv("VIDFER_WEIGHTS", str(SHARED_WEIGHTS))
        yield


def built(name: str, min_score: float = 0.5) -> FaceDetector:
    return built_or_skip(DETECTORS, name, min_score=min_score, long_side=320)


@pytest.fixture(params=DETECTORS.names())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def detector(name: str) -> FaceDetector:
    return built(name)


@pytest.fixture(scope="module")
def portrait() -> torch.Tensor:
    skimage_data = pytest.importorskip("skimage.data")
    return torch.from_numpy(np.ascontiguousarray(skimage_data.astronaut()))[None]  # (1, 512, 512, 3)


def assert_finds(boxes: FaceBoxes, expected: np.ndarray, image: int = 0, *, most: int = 1) -> None:
    mine = boxes.xyxy[boxes.image_row == image]
    assert 1 <= len(mine) <= most, f"expected one face in image {image}, got {mine}"
    assert pairwise_iou(mine, expected).max() > 0.5


def test_no_frames_give_no_faces(detector: FaceDetector) -> None:
    boxes = detector.detect(torch.zeros((0, 48, 64, 3), dtype=torch.uint8))
    assert len(boxes) == 0
    assert boxes.points5.shape == (0, 5, 2)


def test_many_frames_at_once(detector: FaceDetector, portrait: torch.Tensor) -> None:
    small = portrait[:, 40:200, 140:300].contiguous()  # (1, 160, 160, 3)
    frames = torch.cat([small, torch.zeros_like(small)]).repeat(17, 1, 1, 1)  # (34, 160, 160, 3)
    boxes = detector.detect(frames)
    assert boxes.image_row.tolist() == list(range(0, 34, 2))
    assert np.ptp(boxes.xyxy, axis=0).max() < 0.1
    assert_finds(boxes, PORTRAIT_FACE - np.array([140, 40, 140, 40], np.float32), image=32)


def test_finds_the_face_of_a_portrait(detector: FaceDetector, portrait: torch.Tensor) -> None:
    boxes = detector.detect(portrait)
    assert_finds(boxes, PORTRAIT_FACE)
    points = boxes.points5[0]
    if not np.isnan(points).any():  # the person's right eye is on the image's left; the mouth is below the nose
        assert points[0, 0] < points[2, 0] < points[1, 0]
        assert points[0, 1] < points[2, 1] < points[3, 1]


def test_boxes_are_in_pixels_of_the_frame_that_was_given(detector: FaceDetector, portrait: torch.Tensor) -> None:
    doubled = portrait.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    assert_finds(detector.detect(doubled), PORTRAIT_FACE * 2)
    small = detector.detect(portrait[:, ::2, ::2].contiguous())
    # scikit-image's cascade takes a buckle for a face: benchmarks/faces.py --by-name counts such
    assert_finds(small, PORTRAIT_FACE / 2, most=2 if isinstance(detector, HaarDetector) else 1)


@pytest.mark.parametrize(("top", "left", "height", "width"), [(0, 0, 301, 455), (31, 100, 201, 233), (7, 90, 333, 199)])
def test_odd_sizes(
    detector: FaceDetector, portrait: torch.Tensor, top: int, left: int, height: int, width: int
) -> None:
    part = portrait[:, top : top + height, left : left + width]  # not contiguous either
    expected = PORTRAIT_FACE - np.array([left, top, left, top], np.float32)
    assert_finds(detector.detect(part), expected)


def test_gray_frames(detector: FaceDetector, portrait: torch.Tensor) -> None:
    gray = portrait.float().mean(dim=3, keepdim=True).expand(-1, -1, -1, 3).to(torch.uint8)
    assert_finds(detector.detect(gray), PORTRAIT_FACE)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (240, 320)])
def test_frames_of_one_colour_hold_no_face(detector: FaceDetector, value: int, size: tuple[int, int]) -> None:
    assert len(detector.detect(torch.full((2, *size, 3), value, dtype=torch.uint8))) == 0


def test_results_do_not_depend_on_the_batch(detector: FaceDetector, portrait: torch.Tensor) -> None:
    part = portrait[:, :320, 80:400]
    kinds = [part, part.flip(2), torch.zeros_like(part), part // 2, part.roll(40, 1)]
    frames = torch.cat(
        [*kinds, *(frame.roll(16, 2) for frame in kinds)]
    )  # more than some pass to their network at once
    together = detector.detect(frames)
    for i in range(len(frames)):
        alone, mine = detector.detect(frames[i : i + 1]), together.image_row == i
        np.testing.assert_allclose(together.xyxy[mine], alone.xyxy, atol=0.1)
        np.testing.assert_allclose(together.score[mine], alone.score, atol=1e-3)


def test_faces_come_by_image_then_by_score(detector: FaceDetector, portrait: torch.Tensor) -> None:
    faded = (portrait.float() * 0.5 + 60).to(torch.uint8)
    pair = torch.cat([faded[:, :256, :400], portrait[:, :256, :400]], dim=1)
    boxes = detector.detect(torch.cat([pair, pair.flip(1).flip(1), pair]))
    assert (np.diff(boxes.image_row) >= 0).all()
    for image in range(3):
        assert (np.diff(boxes.score[boxes.image_row == image]) <= 0).all()
        assert (boxes.image_row == image).sum() == 2


def test_only_faces_of_the_asked_score_are_returned(name: str, portrait: torch.Tensor) -> None:
    strict, lenient = built(name, 0.8), built(name, 0.3)
    assert (strict.detect(portrait).score >= 0.8).all()
    assert len(lenient.detect(portrait)) >= len(strict.detect(portrait))


def test_one_that_says_so_can_be_shared_by_threads(detector: FaceDetector, portrait: torch.Tensor) -> None:
    if not getattr(detector, "is_thread_safe", False):
        pytest.skip("does not say that threads may share it")
    views = [portrait[:, : 512 - 16 * k].contiguous() for k in range(6)]
    alone, shared = (
        list(
            ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)).map(
                detector.detect, views * 4
            )
        )
        for threads in (1, 3)
    )
    for found, expected in zip(shared, alone, strict=True):
        np.testing.assert_array_equal(found.xyxy, expected.xyxy)
        np.testing.assert_array_equal(found.score, expected.score)
