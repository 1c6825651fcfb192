"""Time courses of clips, and their averages."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fixtures.clip_results import make_clip

from vidfer.labels import EMOTIONS
from vidfer.timeline.time_course import average_time_course, time_course, time_course_array


def test_a_time_course_is_the_mean_over_equal_parts_with_gaps_where_nobody_is_seen() -> None:
    clip = make_clip(seconds=12, fps=10, gaps=[(0, 4, 8)])
    of_clip = json.loads(json.dumps(time_course(clip, max_bins=6), allow_nan=False))
    means = time_course_array(of_clip)
    assert of_clip["end_seconds"] == 12
    assert means.shape == (6, len(EMOTIONS))
    assert np.isnan(means[:, 0]).tolist() == [False, False, True, True, False, False]
    np.testing.assert_allclose(means[0], clip.timeline.probabilities[:20].mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(means[5], clip.timeline.probabilities[-20:].mean(axis=0), atol=1e-3)


@pytest.mark.parametrize("seconds", [0.04, 0.2, 30])
def test_a_time_course_of_any_length_has_a_value_wherever_a_face_is(seconds: float) -> None:
    assert not np.isnan(time_course_array(time_course(make_clip(seconds=seconds)))).any()


def test_an_average_from_the_start_counts_only_clips_that_have_not_ended() -> None:
    time_courses = [time_course(make_clip(seconds=seconds)) for seconds in (5, 10)]
    times, values, num_clips = average_time_course(time_courses, by_fraction=False, points=20)
    assert num_clips.tolist() == [2] * 10 + [1] * 10
    assert times[-1] == pytest.approx(9.75)
    assert np.isnan(values[0, 10:]).all()


def test_an_average_ends_where_fewer_than_half_of_the_clips_are_left() -> None:
    time_courses = [time_course(make_clip(seconds=seconds)) for seconds in (2, 4, 6, 8, 100)]
    times, _, num_clips = average_time_course(time_courses, by_fraction=False, points=60)
    assert times[-1] == pytest.approx(5.95)  # the third of five ends at 6 s
    assert num_clips.min() == 3
    assert num_clips[0] == 5


def test_an_average_by_fraction_stretches_clips_to_one_length() -> None:
    time_courses = [time_course(make_clip(seconds=seconds)) for seconds in (5, 10)]
    times, values, num_clips = average_time_course(time_courses, by_fraction=True, points=20)
    assert num_clips.tolist() == [2] * 20
    assert (times[0], times[-1]) == pytest.approx((0.025, 0.975))
    np.testing.assert_allclose(values[1, 0], time_course_array(time_courses[1])[1])
