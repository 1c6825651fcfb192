"""Where the detector runs within a chunk, and which boxes are interpolated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidfer.config import FacesConfig
from vidfer.faces.cuts import SIGNATURE_SIZE, frame_signatures
from vidfer.faces.pose import MEAN_FACE
from vidfer.pipeline.chunk import FrameChunk, no_boxes
from vidfer.pipeline.faces import FacesStage, _Faces, _interpolate, _stops, _within_limit
from vidfer.pipeline.tables import FacesTable
from vidfer.types import FaceBoxes, FrameBatch


def times(num_frames: int, fps: float) -> np.ndarray:
    return np.arange(num_frames) / fps


def same_scene(num_frames: int) -> np.ndarray:
    return np.tile(np.linspace(0, 1, SIGNATURE_SIZE, dtype=np.float32), (num_frames, 1))


def boxes(row: int, *xyxy: tuple[float, float, float, float]) -> _Faces:
    corners = np.array(xyxy, np.float32).reshape(-1, 4)
    return _Faces(
        row=np.full(len(xyxy), row, np.int64),
        given_xyxy=corners - 2,
        xyxy=corners,
        score=np.linspace(0.9, 0.8, len(xyxy), dtype=np.float32),
        landmarks=np.zeros((len(xyxy), 68, 2), np.float32),
        landmark_score=np.ones(len(xyxy), np.float32),
    )


def test_every_so_many_frames_and_the_last_are_searched() -> None:
    assert _stops(times(16, 30), same_scene(16), 5).tolist() == [0, 5, 10, 15]
    assert _stops(times(13, 30), same_scene(13), 5).tolist() == [0, 5, 10, 12]
    assert _stops(times(1, 30), same_scene(1), 5).tolist() == [0]


def test_frames_far_apart_in_time_are_searched_sooner() -> None:
    assert _stops(times(16, 24), same_scene(16), 8).tolist() == [0, 8, 15]
    assert _stops(times(16, 15), same_scene(16), 8).tolist() == [0, 5, 10, 15]
    assert _stops(times(16, 2), same_scene(16), 8).tolist() == list(range(16))
    pause = np.append(times(8, 30), 10 + times(8, 30))
    assert _stops(pause, same_scene(16), 5).tolist() == [0, 5, 7, 8, 13, 15]


def test_both_sides_of_a_cut_are_searched() -> None:
    rng = np.random.default_rng(1)
    scenes = rng.integers(0, 255, (2, 8, 8, 3), dtype=np.uint8).repeat(12, 1).repeat(12, 2)
    scenes[1] //= 4
    signatures = frame_signatures(scenes[[0] * 8 + [1] * 8])
    assert _stops(times(16, 30), signatures, 5).tolist() == [0, 5, 7, 8, 13, 15]


def test_boxes_are_interpolated_in_time_not_by_index() -> None:
    pts = np.array([0.0, 0.01, 0.1])
    seen = _Faces.join([boxes(0, (0, 0, 100, 100)), boxes(2, (10, 0, 110, 100))])
    path = _interpolate(seen, 0, 2, pts)
    assert path is not None
    assert path.row.tolist() == [1]
    assert path.between(seen.xyxy)[0] == pytest.approx([1, 0, 101, 100], abs=1e-3)
    assert path.between(seen.given_xyxy)[0] == pytest.approx([-1, -2, 99, 98], abs=1e-3)


def test_faces_are_matched_by_overlap_not_by_order() -> None:
    seen = _Faces.join(
        [
            boxes(0, (0, 0, 100, 100), (300, 0, 400, 100)),
            boxes(1, (600, 0, 700, 100)),
            boxes(4, (302, 0, 402, 100), (2, 0, 102, 100)),
        ]
    )
    path = _interpolate(seen, 0, 4, times(5, 30))
    assert path is not None
    assert path.row.tolist() == [1, 1, 2, 2, 3, 3]
    assert path.between(seen.xyxy)[:, 0] == pytest.approx([0.5, 300.5, 1, 301, 1.5, 301.5])


@pytest.mark.parametrize("later", [[], [(200, 0, 300, 100)], [(0, 0, 100, 100), (200, 0, 300, 100)]])
def test_where_a_face_comes_goes_or_jumps_nothing_is_interpolated(later: list) -> None:
    seen = _Faces.join([boxes(0, (0, 0, 100, 100)), boxes(4, *later)])
    assert _interpolate(seen, 0, 4, times(5, 30)) is None


def test_no_face_on_either_side_means_none_between() -> None:
    path = _interpolate(boxes(0), 0, 4, times(5, 30))
    assert path is not None
    assert len(path.row) == 0


def mean_faces(xyxy: np.ndarray) -> np.ndarray:
    side = (xyxy[:, 2] - xyxy[:, 0])[:, None, None]
    points = MEAN_FACE[:, :2] / 160 * side + (xyxy[:, None, :2] + xyxy[:, None, 2:]) / 2
    return points.astype(np.float32)


class OneFace:
    """A detector and landmark network that see one face, in frame 8 at first sight only."""

    def __init__(self) -> None:
        self.searched: list[int] = []
        self.seen_in_8 = 0

    def detect(self, images: torch.Tensor) -> FaceBoxes:
        self.searched.append(len(images))
        box = np.tile(np.array([[10, 10, 50, 50]], np.float32), (len(images), 1))
        return FaceBoxes(
            image_row=np.arange(len(images)),
            xyxy=box,
            score=np.ones(len(images), np.float32),
            points5=np.zeros((len(images), 5, 2), np.float32),
        )

    def locate(self, images: torch.Tensor, image_row: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        del images
        points = mean_faces(xyxy)
        score = np.ones(len(xyxy), np.float32)
        if 8 in image_row:
            score[image_row == 8] = self.seen_in_8 == 0
            self.seen_in_8 += 1
        return points, score


def test_frames_beside_a_searched_face_that_a_second_look_denies_are_searched() -> None:
    stage, networks = FacesStage(FacesConfig(), device="cpu"), OneFace()
    stage._networks = networks, networks
    images = np.zeros((16, 60, 60, 3), np.uint8)
    batch = FrameBatch(images=images, frame_index=np.arange(16), pts_seconds=times(16, 30))
    table = stage.process(FrameChunk(batch, torch.device("cpu")))
    assert networks.searched == [3, 13]  # 0, 8, 15; then all but these
    assert table.num_faces.tolist() == [1] * 8 + [0] + [1] * 7


def test_a_read_only_picture_as_pillow_gives_it_is_copied_for_pytorch_would_warn_of_it() -> None:
    images = np.zeros((1, 8, 8, 3), np.uint8)
    batch = FrameBatch(images=images, frame_index=np.arange(1), pts_seconds=np.zeros(1))
    assert np.shares_memory(FrameChunk(batch, torch.device("cpu")).images.numpy(), images)
    images.setflags(write=False)
    assert not np.shares_memory(FrameChunk(batch, torch.device("cpu")).images.numpy(), images)


def found(*of_image: tuple[list[float], list[float]]) -> FaceBoxes:
    """Faces of 40 px by image: where they begin, and their scores."""
    left = np.concatenate([lefts for lefts, _ in of_image]).astype(np.float32)
    return FaceBoxes(
        image_row=np.repeat(np.arange(len(of_image)), [len(lefts) for lefts, _ in of_image]),
        xyxy=np.stack([left, left * 0, left + 40, left * 0 + 40], 1),
        score=np.concatenate([scores for _, scores in of_image]).astype(np.float32),
        points5=np.zeros((len(left), 5, 2), np.float32),
    )


def kept_lefts(
    faces: FaceBoxes, max_faces: int, others: _Faces | None = None, before: np.ndarray | None = None
) -> list[list[float]]:
    rows = np.array([2, 6])[: faces.image_row.max() + 1]
    first = no_boxes() if before is None else before
    keep = _within_limit(rows, faces, np.ones(len(faces), np.bool_), max_faces, others, lambda: first)
    return [faces.xyxy[keep & (faces.image_row == image), 0].tolist() for image in range(len(rows))]


def test_who_was_there_before_keeps_a_place_over_a_new_face_with_a_higher_score() -> None:
    faces = found(([0, 100, 200], [0.9, 0.8, 0.7]), ([200, 300, 102, 2], [0.95, 0.9, 0.8, 0.6]))
    assert kept_lefts(faces, 2) == [[0, 100], [102, 2]]
    assert kept_lefts(faces, 3) == [[0, 100, 200], [200, 102, 2]]
    assert kept_lefts(faces, 4) == [[0, 100, 200], [200, 300, 102, 2]]


def test_a_frame_searched_later_knows_the_faces_of_the_searched_frame_before_it() -> None:
    before = _Faces.join([boxes(0, (0, 0, 40, 40)), boxes(1, (200, 0, 240, 40)), boxes(4, (100, 0, 140, 40))])
    faces = found(([0, 100, 200], [0.9, 0.8, 0.7]), ([0, 100, 200], [0.9, 0.8, 0.7]))
    assert kept_lefts(faces, 1, before) == [[200], [100]]


def test_who_was_there_in_the_chunk_before_keeps_a_place() -> None:
    faces = found(([0, 100, 200], [0.9, 0.8, 0.7]))
    assert kept_lefts(faces, 1, before=boxes(0, (203, 0, 243, 40)).xyxy) == [[200]]


class Gallery:
    """25 people who stand still; whom the detector is surest of changes from frame to frame."""

    def __init__(self) -> None:
        x, y = np.meshgrid(np.arange(5) * 60.0, np.arange(5) * 60.0)
        self.xyxy = np.stack([x.ravel(), y.ravel(), x.ravel() + 40, y.ravel() + 40], 1).astype(np.float32)
        self.random = np.random.default_rng(3)

    def detect(self, images: torch.Tensor) -> FaceBoxes:
        orders = [self.random.permutation(25) for _ in images]
        return FaceBoxes(
            image_row=np.repeat(np.arange(len(images)), 25),
            xyxy=np.concatenate([self.xyxy[order] for order in orders]),
            score=np.tile(np.linspace(0.99, 0.6, 25, dtype=np.float32), len(images)),
            points5=np.zeros((25 * len(images), 5, 2), np.float32),
        )

    def locate(self, images: torch.Tensor, image_row: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        del images, image_row
        return mean_faces(xyxy), np.ones(len(xyxy), np.float32)


def of_gallery(max_faces: int) -> FacesTable:
    stage, networks = FacesStage(FacesConfig(max_faces=max_faces), device="cpu"), Gallery()
    stage._networks = networks, networks
    batch = FrameBatch(
        images=np.zeros((16, 300, 300, 3), np.uint8), frame_index=np.arange(16), pts_seconds=times(16, 30)
    )
    return stage.process(FrameChunk(batch, torch.device("cpu")))


def test_all_faces_of_a_gallery_are_there_by_default() -> None:
    table = of_gallery(FacesConfig().max_faces)
    assert table.num_faces.tolist() == [25] * 16
    assert table.warnings() == ()


def test_faces_beyond_the_limit_are_the_same_throughout_and_counted() -> None:
    table = of_gallery(16)
    assert table.num_faces.tolist() == [16] * 16
    assert len(np.unique(table.xyxy.round(), axis=0)) == 16
    assert table.warnings() == ("more faces than faces.max_faces allows: up to 9 are left out in 16 of 16 frames",)
