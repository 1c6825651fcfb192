"""people.png: one picture per person, named, in rows; who does not count is seen to."""

from __future__ import annotations

import io

import numpy as np
from fixtures.clip_results import make_clip
from PIL import Image

from vidfer.report.chart_options import Portrait
from vidfer.report.html import render_report
from vidfer.report.portraits import portraits_png
from vidfer.timeline.series import MAX_PANELS

RED = np.zeros((40, 40, 3), np.uint8) + np.array([200, 30, 30], np.uint8)


def strip(*include: bool, label: str = "Ann") -> np.ndarray:
    portraits = [Portrait(label=label, include=counts, picture=RED) for counts in include]
    return np.asarray(Image.open(io.BytesIO(portraits_png(portraits))).convert("RGB")).astype(int)


def test_each_has_a_picture_and_the_ninth_begins_a_row() -> None:
    one, eight, nine = strip(True), strip(*[True] * 8), strip(*[True] * 9)
    assert one.shape[0] == eight.shape[0] < nine.shape[0]
    assert eight.shape[1] == nine.shape[1] > 7 * one.shape[1] / 2
    is_red = (eight == RED[0, 0]).all(2)
    assert np.count_nonzero(np.diff(is_red[is_red.any(1)][0].astype(int)) == 1) == 8


def test_who_does_not_count_is_gray_and_both_are_named() -> None:
    counts, left_out = strip(True), strip(False)
    assert (counts == RED[0, 0]).all(2).any()
    assert np.abs(left_out - left_out.mean(2, keepdims=True)).max() < 1
    below = counts[140:]
    assert (below < 100).all(2).any()
    assert not (strip(True, label=" ")[140:] < 100).all(2).any()


def test_a_page_says_how_many_people_its_chart_leaves_out() -> None:
    said = f"{MAX_PANELS} of {MAX_PANELS + 3} people are drawn, those seen longest"
    assert said in render_report(make_clip(seconds=0.4, faces=MAX_PANELS + 3)).decode()
    assert "are drawn" not in render_report(make_clip(seconds=0.4, faces=MAX_PANELS)).decode()
