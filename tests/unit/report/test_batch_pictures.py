"""The pictures of a whole batch."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from fixtures.clip_results import make_clip
from PIL import Image

from vidfer.labels import EMOTION_COLOURS, UNSURE_COLOUR
from vidfer.report.batch_chart import MAX_BARS, Align, average_chart, share_chart
from vidfer.report.chart import timeline_svg
from vidfer.timeline.summary import summarise
from vidfer.timeline.time_course import time_course


@pytest.mark.parametrize("align", ["start", "fraction"])
def test_the_average_has_no_line_where_most_clips_show_no_face(align: Align) -> None:
    whole = time_course(make_clip(seconds=10, noise=0))
    rest = time_course(make_clip(seconds=10, noise=0, gaps=[(0, 0, 5)]))
    drawn = [
        np.asarray(Image.open(io.BytesIO(average_chart(time_courses, align=align))).convert("RGB"))
        for time_courses in ([whole] * 3 + [rest] * 2, [whole] * 2 + [rest] * 3)
    ]
    neutral = [int(EMOTION_COLOURS["neutral"][i : i + 2], 16) for i in (1, 3, 5)]
    axes = np.s_[130:450, 100:460]  # of the first emotion, neutral
    columns = [np.flatnonzero((pixels[axes] == neutral).all(axis=-1).any(axis=0)) for pixels in drawn]
    assert columns[0].min() < 20
    assert columns[1].min() > 140


def test_clips_without_a_face_do_not_count_in_an_average() -> None:
    seen = time_course(make_clip(seconds=10))
    nobody = time_course(make_clip(seconds=10, faces=0))
    pictures = [
        np.asarray(Image.open(io.BytesIO(average_chart(time_courses))).convert("RGB"))
        for time_courses in ([seen, seen], [seen, seen] + [nobody] * 5)
    ]
    np.testing.assert_array_equal(pictures[0][:900], pictures[1][:900])  # but for the note below
    assert not (pictures[0] == pictures[1]).all()
    assert average_chart([nobody, nobody])


@pytest.mark.parametrize("align", ["start", "fraction"])
def test_the_average_is_drawn_the_same_every_time(align: Align) -> None:
    time_courses = [time_course(make_clip(seconds=seconds, faces=faces)) for seconds, faces in ((5, 1), (3, 0), (9, 2))]
    picture = average_chart(time_courses, align=align)
    assert Image.open(io.BytesIO(picture)).width == 1800
    assert picture == average_chart(time_courses, align=align)


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
