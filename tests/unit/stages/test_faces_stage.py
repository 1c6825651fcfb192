"""Where the detector runs within a chunk, and which boxes are interpolated."""

from __future__ import annotations

import numpy as np
import pytest

from vidfer.faces.cuts import SIGNATURE_SIZE, frame_signatures
from vidfer.stages.faces import _Faces, _interpolate, _stops


def times(num_frames: int, fps: float) -> np.ndarray:
    return np.arange(num_frames) / fps


def same_scene(num_frames: int) -> np.ndarray:
    return np.tile(np.linspace(0, 1, SIGNATURE_SIZE, dtype=np.float32), (num_frames, 1))


def boxes(row: int, *xyxy: tuple[float, float, float, float]) -> _Faces:
    corners = np.array(xyxy, np.float32).reshape(-1, 4)
    return _Faces(
        row=np.full(len(xyxy), row, np.int64),
        looked=corners - 2,
        xyxy=corners,
        score=np.linspace(0.9, 0.8, len(xyxy), dtype=np.float32),
        landmarks=np.zeros((len(xyxy), 68, 2), np.float32),
        landmark_score=np.ones(len(xyxy), np.float32),
    )


def test_every_fifth_frame_and_the_last_are_searched() -> None:
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
    between = _interpolate(boxes(0, (0, 0, 100, 100)), boxes(2, (10, 0, 110, 100)), pts)
    assert between is not None
    assert between.xyxy[0] == pytest.approx([1, 0, 101, 100], abs=1e-3)
    assert between.looked[0] == pytest.approx([-1, -2, 99, 98], abs=1e-3)
    assert between.score[0] == pytest.approx(0.9)


def test_faces_are_matched_by_overlap_not_by_order() -> None:
    first = boxes(0, (0, 0, 100, 100), (300, 0, 400, 100))
    last = boxes(2, (302, 0, 402, 100), (2, 0, 102, 100))
    between = _interpolate(first, last, times(3, 30))
    assert between is not None
    assert between.xyxy[:, 0] == pytest.approx([1, 301])


@pytest.mark.parametrize("later", [[], [(200, 0, 300, 100)], [(0, 0, 100, 100), (200, 0, 300, 100)]])
def test_where_a_face_comes_goes_or_jumps_nothing_is_interpolated(later: list) -> None:
    assert _interpolate(boxes(0, (0, 0, 100, 100)), boxes(4, *later), times(5, 30)) is None


def test_no_face_on_either_side_means_none_between() -> None:
    between = _interpolate(boxes(0), boxes(4), times(5, 30))
    assert between is not None
    assert len(between.row) == 0
