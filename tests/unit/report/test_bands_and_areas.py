"""The band around a line, and stacked areas instead of lines."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from fixtures.clip_results import make_clip
from PIL import Image

from vidfer.labels import EMOTION_COLOURS, NUM_EMOTIONS
from vidfer.report.chart import timeline_chart
from vidfer.report.chart_options import ChartOptions, ChartStyle
from vidfer.report.chart_panel import is_stacked
from vidfer.report.report_data import report_data
from vidfer.timeline.series import face_series
from vidfer.types import ClipResult, FaceEmbeddings


def with_frames_that_say(clip: ClipResult, logits: np.ndarray) -> ClipResult:
    vectors = clip.embeddings.vectors
    return dataclasses.replace(clip, embeddings=FaceEmbeddings(vectors=vectors, logits=logits.astype(np.float32)))


def unsure(clip: ClipResult) -> ClipResult:
    """A clip whose frames alone say nothing: every label is equally probable."""
    return with_frames_that_say(clip, np.zeros((len(clip.faces), NUM_EMOTIONS)))


def draw(clip: ClipResult, style: ChartStyle) -> np.ndarray:
    png = timeline_chart(clip, options=ChartOptions(style=style)).png
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def share_of_colour(pixels: np.ndarray, colour: str) -> float:
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return float((pixels == rgb).all(axis=-1).mean())


def test_the_band_reaches_from_the_line_to_what_the_frame_alone_says() -> None:
    clip = unsure(make_clip(seconds=4))
    series = face_series(clip, 0)
    line = series.probabilities[:-1]
    np.testing.assert_allclose(series.low[:-1], np.minimum(line, 1 / 8), atol=1e-6)
    np.testing.assert_allclose(series.high[:-1], np.maximum(line, 1 / 8), atol=1e-6)


def test_frames_that_agree_leave_no_band() -> None:
    series = face_series(make_clip(seconds=4), 0)
    np.testing.assert_allclose(series.low, series.high, atol=1e-6)
    assert not any(series.band_is_seen(label) for label in range(NUM_EMOTIONS))


def test_where_single_frames_are_not_known_there_is_no_band_however_long_the_clip() -> None:
    clip = make_clip(seconds=120)
    unknown = with_frames_that_say(clip, np.full((len(clip.faces), NUM_EMOTIONS), np.nan))
    series = face_series(unknown, 0, max_points=100)
    assert series.averaged
    np.testing.assert_array_equal(series.low, series.high)


def test_a_long_clips_band_holds_its_line_and_what_most_frames_say() -> None:
    clip = unsure(make_clip(seconds=120))
    series = face_series(clip, 0, max_points=100)
    known = ~np.isnan(series.probabilities[:, 0])
    assert (series.low[known] <= series.probabilities[known]).all()
    assert (series.high[known] >= series.probabilities[known]).all()
    assert (series.low[known].min(axis=1) <= 1 / 8 + 1e-6).all()


def test_the_band_is_drawn_and_explained_only_where_there_is_one() -> None:
    clip = make_clip(seconds=10)
    plain, banded = draw(clip, "lines"), draw(unsure(clip), "lines")
    right_end_of_legend = np.s_[60:90, 1400:]
    assert (plain[right_end_of_legend] == 255).all()
    assert (banded[right_end_of_legend] < 255).any()
    assert (banded != 255).any(axis=-1).mean() > (plain != 255).any(axis=-1).mean() + 0.02


@pytest.mark.parametrize(
    ("style", "seconds", "stacked"),
    [("auto", 299, False), ("auto", 301, True), ("lines", 301, False), ("areas", 2, True)],
)
def test_areas_are_drawn_where_they_are_wanted(style: ChartStyle, seconds: float, stacked: bool) -> None:
    assert is_stacked(style, seconds) == stacked


def test_areas_fill_what_lines_leave_white() -> None:
    clip = make_clip(seconds=10)
    areas, lines = draw(clip, "areas"), draw(clip, "lines")
    colour = EMOTION_COLOURS[max(EMOTION_COLOURS, key=lambda name: share_of_colour(areas, EMOTION_COLOURS[name]))]
    assert share_of_colour(areas, colour) > 2 * share_of_colour(lines, colour)
    assert share_of_colour(areas, "#ffffff") < share_of_colour(lines, "#ffffff") - 0.2


def test_the_page_gets_the_bands_that_can_be_seen() -> None:
    clip = make_clip(seconds=4)
    (face,) = report_data(clip, with_overlay=False)["faces"]
    assert face["low"] == face["high"] == [None] * NUM_EMOTIONS
    data = report_data(unsure(clip), with_overlay=False, style="areas")
    (face,) = data["faces"]
    assert [edge is None for edge in face["low"]] == [edge is None for edge in face["high"]]
    assert any(edge is not None for edge in face["low"])
    assert data["stacked"]
    assert not report_data(clip, with_overlay=False, style="auto")["stacked"]
    assert report_data(make_clip(seconds=301, fps=2), with_overlay=False)["stacked"]
