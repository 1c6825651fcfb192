"""Episodes: what a reader of segments.csv relies on."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from fixtures.clip_results import SEGMENT_OPTIONS
from fixtures.measuring import cpu_seconds
from hypothesis import given, settings
from hypothesis import strategies as st

from vidfer.labels import EMOTION_INDEX, EMOTIONS, NUM_EMOTIONS, UNSURE_LABEL
from vidfer.timeline.segments import find_segments
from vidfer.timeline.states import episode_labels
from vidfer.types import EmotionSegment, EmotionTimeline, SampledFrames

FPS = 10.0


def make_frames(num: int, *, cuts: tuple[int, ...] = (), pts: np.ndarray | None = None) -> SampledFrames:
    is_cut = np.zeros(num, dtype=np.bool_)
    is_cut[list(cuts)] = True
    seconds = np.arange(num) / FPS if pts is None else pts
    return SampledFrames(frame_index=np.arange(num), pts_seconds=seconds, is_cut=is_cut)


def make_timeline(names: list[str | None], *, strength: float = 0.8, track: int = 0) -> EmotionTimeline:
    """One track; the name at i is the likely label at sampled frame i, None where no face is seen."""
    seen = [i for i, name in enumerate(names) if name is not None]
    probabilities = np.full((len(seen), NUM_EMOTIONS), (1 - strength) / (NUM_EMOTIONS - 1), dtype=np.float32)
    for row, i in enumerate(seen):
        probabilities[row, EMOTION_INDEX[str(names[i])]] = strength
    return EmotionTimeline(
        track_id=np.full(len(seen), track, dtype=np.int32),
        frame_row=np.array(seen, dtype=np.int64),
        probabilities=probabilities,
        labels=EMOTIONS,
    )


def spans(segments: tuple[EmotionSegment, ...]) -> list[tuple[str, float, float]]:
    return [(s.emotion, round(s.start_seconds, 6), round(s.end_seconds, 6)) for s in segments]


def find(timeline: EmotionTimeline, frames: SampledFrames, **changed: float) -> tuple[EmotionSegment, ...]:
    return find_segments(timeline, frames, **{**SEGMENT_OPTIONS, **changed})


def test_a_change_of_expression_makes_two_adjacent_episodes_up_to_the_end_of_the_last_frame() -> None:
    names: list[str | None] = ["neutral"] * 10 + ["happiness"] * 10
    assert spans(find(make_timeline(names), make_frames(20))) == [("neutral", 0.0, 1.0), ("happiness", 1.0, 2.0)]


def test_a_flicker_of_one_frame_is_no_episode() -> None:
    names: list[str | None] = ["neutral"] * 10 + ["fear"] + ["neutral"] * 10
    assert spans(find(make_timeline(names), make_frames(21))) == [("neutral", 0.0, 2.1)]


def test_a_flicker_between_two_labels_goes_to_the_likelier_of_them() -> None:
    timeline = make_timeline(["neutral"] * 10 + ["fear"] + ["happiness"] * 10, strength=0.6)
    timeline.probabilities[10, EMOTION_INDEX["happiness"]] = 0.3
    assert spans(find(timeline, make_frames(21))) == [("neutral", 0.0, 1.0), ("happiness", 1.0, 2.1)]


def test_short_pieces_in_a_row_become_one_episode_of_what_is_likely_over_all_of_them() -> None:
    names: list[str | None] = ["neutral"] * 5 + ["anger", "anger", "fear", "anger"] + ["neutral"] * 5
    assert spans(find(make_timeline(names), make_frames(14))) == [
        ("neutral", 0.0, 0.5),
        ("anger", 0.5, 0.9),
        ("neutral", 0.9, 1.4),
    ]


@pytest.mark.parametrize("start", range(1, 40))
def test_whether_an_episode_is_long_enough_does_not_hang_on_rounding(start: int) -> None:
    names: list[str | None] = ["neutral"] * (start + 3 + 5)
    names[start : start + 3] = ["anger"] * 3  # 0.3 s, exactly what is asked for
    assert "anger" in [s.emotion for s in find(make_timeline(names), make_frames(len(names)))]


def test_the_label_is_kept_between_leave_and_enter() -> None:
    timeline = make_timeline(["happiness"] * 10 + ["neutral"] * 10, strength=0.8)
    timeline.probabilities[10:] = 0.02
    timeline.probabilities[10:, EMOTION_INDEX["neutral"]] = 0.46
    timeline.probabilities[10:, EMOTION_INDEX["happiness"]] = 0.40
    assert spans(find(timeline, make_frames(20))) == [("happiness", 0.0, 2.0)]
    assert len(find(timeline, make_frames(20), enter_probability=0.45)) == 2
    assert spans(find(timeline, make_frames(20), leave_probability=0.42)) == [("happiness", 0.0, 1.0)]


def test_an_expression_that_is_never_plain_is_no_episode() -> None:
    assert find(make_timeline(["anger"] * 10, strength=0.33), make_frames(10)) == ()
    assert find(make_timeline(["anger"] * 10, strength=0.49), make_frames(10)) == ()
    assert spans(find(make_timeline(["anger"] * 10, strength=0.51), make_frames(10))) == [("anger", 0.0, 1.0)]


def test_between_two_episodes_a_face_may_be_unsure() -> None:
    timeline = make_timeline(["happiness"] * 10 + ["fear"] * 5 + ["happiness"] * 10)
    timeline.probabilities[10:15] = 1 / NUM_EMOTIONS
    assert spans(find(timeline, make_frames(25))) == [("happiness", 0.0, 1.0), ("happiness", 1.5, 2.5)]


def test_an_emotion_that_drops_out_for_a_moment_never_left() -> None:
    timeline = make_timeline(["happiness"] * 21)
    timeline.probabilities[10:12] = 1 / NUM_EMOTIONS
    assert spans(find(timeline, make_frames(21))) == [("happiness", 0.0, 2.1)]


def test_a_flicker_out_of_doubt_is_still_doubt() -> None:
    timeline = make_timeline(["neutral"] * 21, strength=0.2)
    timeline.probabilities[10:12, EMOTION_INDEX["anger"]] = 0.9
    assert find(timeline, make_frames(21)) == ()


def test_a_short_gap_is_bridged_and_a_long_one_ends_the_episode() -> None:
    short: list[str | None] = ["happiness"] * 10 + [None] * 5 + ["happiness"] * 10
    assert spans(find(make_timeline(short), make_frames(25))) == [("happiness", 0.0, 2.5)]
    long: list[str | None] = ["happiness"] * 10 + [None] * 6 + ["happiness"] * 10
    assert spans(find(make_timeline(long), make_frames(26))) == [("happiness", 0.0, 1.0), ("happiness", 1.6, 2.6)]


def test_sparse_sampling_is_not_mistaken_for_a_missing_face() -> None:
    frames = make_frames(6, pts=np.arange(6) * 2.0)
    assert spans(find(make_timeline(["neutral"] * 6), frames)) == [("neutral", 0.0, 12.0)]


def test_a_hard_cut_ends_the_episode() -> None:
    segments = find(make_timeline(["neutral"] * 20), make_frames(20, cuts=(10,)))
    assert spans(segments) == [("neutral", 0.0, 1.0), ("neutral", 1.0, 2.0)]


def test_dropped_faces_have_no_episodes_and_tracks_keep_apart() -> None:
    both = make_timeline(["anger"] * 10, track=0)
    timeline = EmotionTimeline(
        track_id=np.tile(np.array([1, -1, 0], dtype=np.int32), 10),
        frame_row=np.repeat(np.arange(10), 3),
        probabilities=np.repeat(both.probabilities, 3, axis=0),
        labels=EMOTIONS,
    )
    assert [(s.track_id, s.start_seconds, s.end_seconds) for s in find(timeline, make_frames(10))] == [
        (0, 0.0, 1.0),
        (1, 0.0, 1.0),
    ]


def test_the_peak_is_where_the_label_is_strongest() -> None:
    timeline = make_timeline(["happiness"] * 10, strength=0.6)
    timeline.probabilities[7, EMOTION_INDEX["happiness"]] = 0.9
    (segment,) = find(timeline, make_frames(10))
    assert segment.peak_seconds == pytest.approx(0.7)
    assert segment.peak_probability == pytest.approx(0.9)


def test_nothing_and_a_single_frame() -> None:
    assert find(make_timeline([None, None]), make_frames(2)) == ()
    assert find(make_timeline([]), make_frames(0)) == ()
    (only,) = find(make_timeline(["fear"]), make_frames(1))
    assert only.start_seconds == 0.0 < only.end_seconds


def test_an_hour_takes_as_much_as_ten_times_six_minutes() -> None:
    def seconds(num: int) -> float:
        names: list[str | None] = [EMOTIONS[i % 3] for i in range(num)]  # the worst case: another label in each frame
        timeline, frames = make_timeline(names), make_frames(num)
        return min(cpu_seconds(lambda: find(timeline, frames)) for _ in range(3))  # what runs beside it only adds

    an_hour = seconds(108_000)  # 0.5 s on an idle core, twice that beside another test on the same core
    assert an_hour < 20 * seconds(10_800)
    assert an_hour < 3.0


@st.composite
def tracks_with_gaps(draw: st.DrawFn) -> tuple[EmotionTimeline, SampledFrames]:
    steps = draw(st.lists(st.sampled_from([0.04, 0.1, 0.5, 3.0]), min_size=1, max_size=40))
    seen = draw(st.lists(st.sampled_from([True, True, False]), min_size=len(steps), max_size=len(steps)))
    cuts = draw(st.lists(st.sampled_from([True] + [False] * 9), min_size=len(steps), max_size=len(steps)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = np.flatnonzero(seen)
    timeline = EmotionTimeline(
        track_id=np.zeros(len(rows), dtype=np.int32),
        frame_row=rows.astype(np.int64),
        probabilities=rng.dirichlet(np.full(NUM_EMOTIONS, 0.3), len(rows)).astype(np.float32),
        labels=EMOTIONS,
    )
    frames = SampledFrames(
        frame_index=np.arange(len(steps)), pts_seconds=np.cumsum(steps), is_cut=np.array(cuts, dtype=np.bool_)
    )
    return timeline, frames


@settings(max_examples=300, deadline=None)
@given(tracks_with_gaps(), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.3, 0.5, 0.8]), st.floats(0.05, 1.0))
def test_every_episode_has_a_plain_moment_lasts_and_keeps_apart(
    clip: tuple[EmotionTimeline, SampledFrames], min_duration: float, enter: float, leave: float
) -> None:
    timeline, frames = clip
    changed = {"enter_probability": enter, "leave_probability": min(leave, enter)}
    segments = find(timeline, frames, min_duration_seconds=min_duration, **changed)
    for before, after in itertools.pairwise(segments):
        assert before.end_seconds <= after.start_seconds
    held = episode_labels(timeline, frames, segments)
    in_episodes = 0
    seen = set(timeline.frame_row.tolist())
    for segment in segments:
        assert segment.start_seconds <= segment.peak_seconds < segment.end_seconds
        assert enter <= segment.peak_probability <= 1
        assert 0 <= segment.mean_probability <= segment.peak_probability
        first, after = (frame_at(frames, seconds) for seconds in (segment.start_seconds, segment.end_seconds))
        goes_on = (first - 1 in seen and not frames.is_cut[first]) or (after in seen and not frames.is_cut[after])
        if goes_on:  # else it is a whole run, which may be short
            assert segment.end_seconds - segment.start_seconds >= min_duration - 1e-5
        inside = (timeline.frame_row >= first) & (timeline.frame_row < after)
        assert set(held[inside].tolist()) == {EMOTION_INDEX[segment.emotion]}
        in_episodes += int(inside.sum())
    assert (held != UNSURE_LABEL).sum() == in_episodes
    if min_duration == 0:
        plain = timeline.probabilities.max(axis=1) >= enter
        np.testing.assert_array_equal(held[plain], timeline.probabilities[plain].argmax(axis=1))
        assert (held[timeline.probabilities.max(axis=1) < min(leave, enter)] == UNSURE_LABEL).all()


def test_labels_of_rows_do_not_hang_on_the_rounding_of_tables() -> None:
    names: list[str | None] = ["neutral"] * 7 + ["anger"] * 7
    frames = make_frames(14, pts=np.arange(14) / 29.97)
    timeline = make_timeline(names)
    segments = find(timeline, frames, min_duration_seconds=0)
    read_back = [
        dataclasses.replace(s, start_seconds=round(s.start_seconds, 6), end_seconds=round(s.end_seconds, 6))
        for s in segments
    ]
    np.testing.assert_array_equal(
        episode_labels(timeline, frames, read_back), [EMOTION_INDEX[name] for name in names if name]
    )


def frame_at(frames: SampledFrames, seconds: float) -> int:
    return int(np.searchsorted(frames.pts_seconds, seconds))
