"""Courses of clips, and the pictures of a whole batch that are drawn from them."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest
from fixtures.clip_results import make_clip
from PIL import Image

from vidfer.labels import EMOTION_COLOURS, EMOTIONS, UNSURE_COLOUR
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


def test_an_average_ends_where_fewer_than_half_of_the_clips_are_left() -> None:
    courses = [course_of(make_clip(seconds=seconds)) for seconds in (2, 4, 6, 8, 100)]
    times, _, num_clips = average_course(courses, by_fraction=False, points=60)
    assert times[-1] == pytest.approx(5.95)  # the third of five ends at 6 s
    assert num_clips.min() == 3
    assert num_clips[0] == 5


@pytest.mark.parametrize("align", ["start", "fraction"])
def test_the_average_has_no_line_where_most_clips_show_no_face(align: Align) -> None:
    whole = course_of(make_clip(seconds=10, noise=0))
    rest = course_of(make_clip(seconds=10, noise=0, gaps=[(0, 0, 5)]))
    drawn = [
        np.asarray(Image.open(io.BytesIO(average_chart(courses, align=align))).convert("RGB"))
        for courses in ([whole] * 3 + [rest] * 2, [whole] * 2 + [rest] * 3)
    ]
    neutral = [int(EMOTION_COLOURS["neutral"][i : i + 2], 16) for i in (1, 3, 5)]
    axes = np.s_[130:450, 100:460]  # of the first emotion, neutral
    columns = [np.flatnonzero((pixels[axes] == neutral).all(axis=-1).any(axis=0)) for pixels in drawn]
    assert columns[0].min() < 20
    assert columns[1].min() > 140


def test_clips_without_a_face_do_not_count_in_an_average() -> None:
    seen = course_of(make_clip(seconds=10))
    nobody = course_of(make_clip(seconds=10, faces=0))
    pictures = [
        np.asarray(Image.open(io.BytesIO(average_chart(courses))).convert("RGB"))
        for courses in ([seen, seen], [seen, seen] + [nobody] * 5)
    ]
    np.testing.assert_array_equal(pictures[0][:900], pictures[1][:900])  # but for the note below
    assert not (pictures[0] == pictures[1]).all()
    assert average_chart([nobody, nobody])


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


def test_what_is_unsure_has_its_share() -> None:
    summary = summarise(dataclasses.replace(make_clip(seconds=1), segments=()))
    pixels = np.asarray(Image.open(io.BytesIO(share_chart([summary]))).convert("RGB"))
    gray = [int(UNSURE_COLOUR[i : i + 2], 16) for i in (1, 3, 5)]
    assert (pixels == gray).all(axis=-1).any(axis=0).sum() > 0.7 * pixels.shape[1]


def test_the_svg_is_xml_that_needs_no_font_and_has_no_date() -> None:
    from xml.etree import ElementTree

    svg = timeline_svg(make_clip(seconds=3, clip_id="a <b> & 日本"))
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.findall(".//{http://www.w3.org/2000/svg}text") == []
    assert b"<dc:date>" not in svg
