"""Tracks: people keep their numbers."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidfer.faces.tracking import track_faces
from vidfer.types import FaceDetections, SampledFrames

OPTIONS = {"min_iou": 0.2, "max_gap_seconds": 1.0, "min_duration_seconds": 0.2}


def make_frames(num_frames: int, *, fps: float = 25.0, cuts: tuple[int, ...] = ()) -> SampledFrames:
    is_cut = np.zeros(num_frames, dtype=bool)
    is_cut[list(cuts)] = True
    return SampledFrames(frame_index=np.arange(num_frames), pts_seconds=np.arange(num_frames) / fps, is_cut=is_cut)


def make_faces(rows: list[tuple[int, tuple[float, float, float, float]]], score: list[float] | None = None):
    """Build detections from (frame, (centre x, centre y, width, height))."""
    n = len(rows)
    boxes = np.array([box for _, box in rows], np.float32).reshape(n, 4)
    return FaceDetections(
        frame_row=np.array([frame for frame, _ in rows], np.int64),
        xyxy=np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1),
        score=np.array(score if score is not None else [0.9] * n, np.float32),
        landmarks=np.zeros((n, 68, 2), np.float32),
        landmark_score=np.ones(n, np.float32),
        transform=np.zeros((n, 2, 3), np.float32),
        pose=np.zeros((n, 3), np.float32),
        quality=np.ones(n, np.float32),
    )


def ids_of(faces, frames, **options) -> list[int]:
    return track_faces(faces, frames, **(OPTIONS | options)).track_id.tolist()


def test_no_faces_give_no_tracks():
    assert ids_of(make_faces([]), make_frames(10)) == []
    assert ids_of(make_faces([]), make_frames(0)) == []


def test_who_is_there_throughout_a_very_short_clip_is_somebody():
    rows = [(frame, (50, 50, 20, 20)) for frame in range(3)]
    assert ids_of(make_faces(rows), make_frames(3)) == [0, 0, 0]  # 0.12 s is all that there is
    assert ids_of(make_faces(rows), make_frames(4)) == [-1, -1, -1]  # not so where others are without the face


def test_a_frame_row_beyond_the_frames_is_an_error():
    with pytest.raises(ValueError, match=r"frame_row must be in 0\.\.4"):
        ids_of(make_faces([(5, (50, 50, 20, 20))]), make_frames(5))


@pytest.mark.parametrize("fps", [2.0, 10.0, 25.0, 60.0])
def test_two_people_side_by_side_keep_two_ids_in_whatever_order_they_are_found(fps):
    generator = np.random.default_rng(0)
    rows, truth = [], []
    for frame in range(int(20 * fps)):
        for person in generator.permutation(2):
            jitter = generator.normal(0, 1.5, 4)
            rows.append((frame, tuple(np.array([100 + 110 * person, 120, 100, 120]) + jitter)))
            truth.append(person)
    ids = np.array(ids_of(make_faces(rows), make_frames(int(20 * fps), fps=fps)))
    assert set(ids) == {0, 1}
    assert len(set(zip(ids.tolist(), np.array(truth).tolist(), strict=True))) == 2


@pytest.mark.parametrize(("fps", "speed"), [(2.0, 60.0), (10.0, 150.0), (25.0, 150.0), (60.0, 300.0)])
def test_two_people_who_cross_keep_their_ids(fps, speed):
    num_frames = int(6 * fps)
    rows, truth = [], []
    for frame in range(num_frames):
        shift = speed * (frame / fps - 3)
        for person, x in ((0, 500 + shift), (1, 500 - shift)):
            rows.append((frame, (x, 200 + 12 * person, 80 + 6 * person, 90 + 6 * person)))
            truth.append(person)
    ids = np.array(ids_of(make_faces(rows), make_frames(num_frames, fps=fps)))
    truth = np.array(truth)
    first, last = rows[0][0], num_frames - 1
    frame = np.array([row[0] for row in rows])
    at_start = {int(p): int(i) for p, i in zip(truth[frame == first], ids[frame == first], strict=True)}
    at_end = {int(p): int(i) for p, i in zip(truth[frame == last], ids[frame == last], strict=True)}
    assert at_start == at_end
    assert set(ids.tolist()) <= {-1, 0, 1}


def test_one_who_passes_behind_another_comes_out_with_the_same_id():
    rows, truth = [], []
    for frame in range(100):
        walker = 100 + 8.0 * frame
        rows.append((frame, (500, 200, 100, 110)))
        truth.append("sitting")
        if abs(walker - 500) > 70:  # hidden for 16 frames
            rows.append((frame, (walker, 190, 80, 90)))
            truth.append("walking")
    ids = ids_of(make_faces(rows), make_frames(100))
    assert set(zip(ids, truth, strict=True)) == {(0, "sitting"), (1, "walking")}


def test_a_gap_shorter_than_allowed_keeps_the_id_and_a_longer_one_does_not():
    box = (200, 200, 80, 80)
    short = [(f, box) for f in range(75) if not 20 <= f < 40]  # 0.84 s from last to next sight
    long = [(f, box) for f in range(75) if not 20 <= f < 50]
    assert set(ids_of(make_faces(short), make_frames(75))) == {0}
    assert set(ids_of(make_faces(long), make_frames(75))) == {0, 1}


def test_sparse_sampling_is_no_gap():
    rows = [(f, (200, 200, 80, 80)) for f in range(10)]
    assert set(ids_of(make_faces(rows), make_frames(10, fps=0.5), max_gap_seconds=0.5)) == {0}


def test_time_not_frame_count_decides_on_variable_frame_rate():
    rows = [(0, (200, 200, 80, 80)), (1, (200, 200, 80, 80)), (3, (200, 200, 80, 80)), (4, (200, 200, 80, 80))]
    seconds = np.array([0.0, 0.1, 0.2, 5.0, 5.1])
    frames = SampledFrames(frame_index=np.arange(5), pts_seconds=seconds, is_cut=np.zeros(5, bool))
    assert ids_of(make_faces(rows), frames) == [0, 0, 1, 1]


def test_tracks_end_at_a_cut_even_if_nobody_is_seen_in_that_frame():
    rows = [(f, (200, 200, 80, 80)) for f in range(40) if f not in (20, 21)]
    assert ids_of(make_faces(rows), make_frames(40, cuts=(20,))) == [0] * 20 + [1] * 18


def test_fast_motion_without_overlap_keeps_the_id():
    rows = [(f, (100 + 70.0 * f, 200, 60, 60)) for f in range(20)]  # more than a face's width each frame
    assert set(ids_of(make_faces(rows), make_frames(20, fps=10))) == {0}


def test_a_face_that_jumps_across_the_picture_is_somebody_else():
    rows = [(f, (100, 200, 60, 60)) for f in range(20)] + [(f, (500, 200, 60, 60)) for f in range(20, 40)]
    assert ids_of(make_faces(rows), make_frames(40)) == [0] * 20 + [1] * 20


def test_a_face_of_another_size_in_the_same_place_is_somebody_else():
    rows = [(f, (300, 200, 60, 60)) for f in range(20)] + [(f, (300, 200, 200, 200)) for f in range(20, 40)]
    assert ids_of(make_faces(rows), make_frames(40)) == [0] * 20 + [1] * 20


def test_a_second_box_on_the_same_face_makes_no_second_person():
    rows, score = [], []
    for frame in range(30):
        rows += [(frame, (200, 200, 80, 80)), (frame, (203, 198, 84, 82))]
        score += [0.9, 0.6]
    assert ids_of(make_faces(rows, score), make_frames(30)) == [0, -1] * 30


@pytest.mark.parametrize("inner", [(200, 205, 44, 44), (212, 215, 60, 60)])
def test_a_box_inside_a_face_makes_no_second_person(inner):
    rows = [(frame, box) for frame in range(30) for box in ((200, 200, 80, 80), inner)]
    assert ids_of(make_faces(rows), make_frames(30)) == [0, -1] * 30


def test_a_flicker_beside_a_face_does_not_take_the_id_of_one_who_left():
    """Somebody leaves; a false box appears near the other: both stay who they are."""
    rows, truth = [], []
    for frame in range(60):
        rows.append((frame, (200, 200, 80, 80)))
        truth.append("stays")
        if frame < 20:
            rows.append((frame, (330, 200, 80, 80)))
            truth.append("leaves")
        if frame == 22:
            rows.append((frame, (120, 150, 60, 60)))
            truth.append("false")
    ids = ids_of(make_faces(rows), make_frames(60))
    assert set(zip(ids, truth, strict=True)) == {(0, "stays"), (1, "leaves"), (-1, "false")}


def test_short_tracks_are_dropped_and_ids_stay_dense():
    rows = [(0, (50, 50, 30, 30)), (1, (50, 50, 30, 30))]  # 0.08 s
    rows += [(f, (300, 200, 80, 80)) for f in range(2, 40)]
    assert ids_of(make_faces(rows), make_frames(40)) == [-1, -1] + [0] * 38


def test_one_sampled_frame_is_long_enough_where_frames_are_far_apart():
    rows = [(3, (300, 200, 80, 80))]
    assert ids_of(make_faces(rows), make_frames(10, fps=1)) == [0]
    assert ids_of(make_faces([(0, (300, 200, 80, 80))]), make_frames(1)) == [0]


def test_faces_that_are_not_finite_or_empty_are_dropped_and_break_nothing():
    rows = [(f, (200, 200, 80, 80)) for f in range(30)]
    faces = make_faces(rows)
    faces.xyxy[5] = np.nan
    faces.xyxy[9, 2] = np.inf
    faces.xyxy[12] = [200, 200, 200, 240]
    faces.xyxy[15] = [240, 240, 200, 200]
    faces.score[20] = np.nan
    expected = [0] * 30
    for row in (5, 9, 12, 15):
        expected[row] = -1
    assert ids_of(faces, make_frames(30)) == expected


def test_a_hundred_thousand_faces_take_seconds():
    generator = np.random.default_rng(1)
    num_frames, people = 12_500, 8
    rows = [
        (frame, (150 * person + generator.normal(0, 2), 200, 90, 100))
        for frame in range(num_frames)
        for person in range(people)
    ]
    faces, frames = make_faces(rows), make_frames(num_frames)
    started = time.process_time()
    ids = track_faces(faces, frames, **OPTIONS).track_id
    assert time.process_time() - started < 15
    assert set(ids.tolist()) == set(range(people))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_invariants_hold_for_any_boxes(data):
    num_frames = data.draw(st.integers(1, 20))
    steps = data.draw(st.lists(st.floats(0.01, 2.0), min_size=num_frames, max_size=num_frames))
    frames = SampledFrames(
        frame_index=np.arange(num_frames),
        pts_seconds=np.cumsum(steps),
        is_cut=np.array(data.draw(st.lists(st.booleans(), min_size=num_frames, max_size=num_frames))),
    )
    side = st.one_of(st.floats(-10, 400), st.just(float("nan")))
    coordinate = st.floats(-50, 500)
    face = st.tuples(st.integers(0, num_frames - 1), st.tuples(coordinate, coordinate, side, side))
    rows = sorted(data.draw(st.lists(face, max_size=40)), key=lambda row: row[0])
    score = data.draw(st.lists(st.floats(0, 1, width=32), min_size=len(rows), max_size=len(rows)))
    faces = make_faces(rows, score)
    minimum = data.draw(st.sampled_from([0.0, 0.2, 2.0]))
    ids = np.array(ids_of(faces, frames, min_duration_seconds=minimum), dtype=int)

    numbers = [i for i in dict.fromkeys(ids.tolist()) if i >= 0]
    assert numbers == list(range(len(numbers)))  # dense, by first appearance
    scene = np.cumsum(frames.is_cut)
    for number in numbers:
        frame_rows = faces.frame_row[ids == number]
        assert len(set(frame_rows.tolist())) == len(frame_rows)  # one face per frame
        assert len(set(scene[frame_rows].tolist())) == 1  # within one scene
        gaps = np.diff(frames.pts_seconds[frame_rows])
        assert np.all((gaps <= OPTIONS["max_gap_seconds"]) | (np.diff(frame_rows) == 1))
    assert np.isfinite(faces.xyxy[ids >= 0]).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_ids_do_not_depend_on_the_scale_of_the_picture(seed, scale):
    generator = np.random.default_rng(seed)
    rows = []
    for frame in range(20):
        for person in range(3):
            if generator.random() > 0.2:
                centre = np.array([150 * person + 5 * frame, 200]) + generator.normal(0, 3, 2)
                rows.append((frame, (*centre, 90, 100)))
    scaled = [(frame, tuple(scale * value for value in box)) for frame, box in rows]
    frames = make_frames(20)
    assert ids_of(make_faces(rows), frames) == ids_of(make_faces(scaled), frames)


def test_a_face_that_is_never_clear_is_dropped_and_one_that_is_clear_once_is_kept():
    person, sandal = (50, 50, 20, 20), (150, 150, 20, 20)
    rows = [(frame, box) for frame in range(20) for box in (person, sandal)]
    person_score = [0.8 if frame == 7 else 0.55 for frame in range(20)]
    faces = make_faces(rows, [score for clear in person_score for score in (clear, 0.55)])
    ids = np.array(ids_of(faces, make_frames(20), start_score=0.65)).reshape(20, 2)
    assert (ids[:, 0] == 0).all()
    assert (ids[:, 1] == -1).all()
