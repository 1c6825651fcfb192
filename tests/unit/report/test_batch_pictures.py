"""Courses of clips, and the pictures of a whole batch that are drawn from them."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from fixtures.clip_results import make_clip
from PIL import Image

from vidfer.labels import EMOTIONS
from vidfer.report.batch_chart import MAX_BARS, Align, average_chart, share_chart
from vidfer.report.chart import timeline_svg
from vidfer.report.course import average_course, course_array, course_of
from vidfer.report.summary import summarise


def test_a_course_is_the_mean_over_equal_parts_with_gaps_where_nobody_is_seen() -> None:
    clip = make_clip(seconds=12, fps=10, gaps=[(0, 4, 8)])
    course = json.loads(json.dumps(course_of(clip, max_bins=6), allow_nan=False))
    means = course_array(course)
    assert course["end_seconds"] == 12
    assert means.shape == (6, len(EMOTIONS))
    assert np.isnan(means[:, 0]).tolist() == [False, False, True, True, False, False]
    np.testing.assert_allclose(means[0], clip.timeline.probabilities[:20].mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(means[5], clip.timeline.probabilities[-20:].mean(axis=0), atol=1e-3)


@pytest.mark.parametrize("seconds", [0.04, 0.2, 30])
def test_a_course_of_any_length_has_a_value_wherever_a_face_is(seconds: float) -> None:
    assert not np.isnan(course_array(course_of(make_clip(seconds=seconds)))).any()


def test_an_average_from_the_start_counts_only_clips_that_have_not_ended() -> None:
    courses = [course_of(make_clip(seconds=seconds)) for seconds in (5, 10)]
    times, values, num_clips = average_course(courses, by_fraction=False, points=20)
    assert num_clips.tolist() == [2] * 10 + [1] * 10
    assert times[-1] == pytest.approx(9.75)
    assert np.isnan(values[0, 10:]).all()


def test_an_average_by_fraction_stretches_clips_to_one_length() -> None:
    courses = [course_of(make_clip(seconds=seconds)) for seconds in (5, 10)]
    times, values, num_clips = average_course(courses, by_fraction=True, points=20)
    assert num_clips.tolist() == [2] * 20
    assert (times[0], times[-1]) == pytest.approx((0.025, 0.975))
    np.testing.assert_allclose(values[1, 0], course_array(courses[1])[1])


@pytest.mark.parametrize("align", ["start", "fraction"])
def test_the_average_is_drawn_the_same_every_time(align: Align) -> None:
    courses = [course_of(make_clip(seconds=seconds, faces=faces)) for seconds, faces in ((5, 1), (3, 0), (9, 2))]
    picture = average_chart(courses, align=align)
    assert Image.open(io.BytesIO(picture)).width == 1800
    assert picture == average_chart(courses, align=align)


def test_shares_are_drawn_for_any_number_of_clips_and_awkward_names() -> None:
    summary = summarise(make_clip(seconds=1, clip_id='a$x_1$ "<b>\n日本\udce9' + "n" * 200))
    few, many = share_chart([summary]), share_chart([summary] * (MAX_BARS + 5))
    assert Image.open(io.BytesIO(few)).height < Image.open(io.BytesIO(many)).height < 5000


def test_the_svg_is_xml_that_needs_no_font_and_has_no_date() -> None:
    from xml.etree import ElementTree

    svg = timeline_svg(make_clip(seconds=3, clip_id="a <b> & 日本"))
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.findall(".//{http://www.w3.org/2000/svg}text") == []
    assert b"<dc:date>" not in svg
