"""timeline.png: decoded and looked at, as far as a machine can."""

from __future__ import annotations

import dataclasses
import io
import logging
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from fixtures.clip_results import make_clip
from PIL import Image

from vidfer.labels import EMOTION_COLOURS
from vidfer.report.chart import time_step, timeline_chart
from vidfer.report.png import palette_png
from vidfer.timeline.series import MAX_PANELS, main_faces
from vidfer.types import ClipResult, DecodeReport

TESTS = Path(__file__).parents[2]


def draw(clip: ClipResult) -> np.ndarray:
    image = Image.open(io.BytesIO(timeline_chart(clip).png))
    assert image.format == "PNG"
    assert not image.info.keys() & {"Software", "Creation Time", "date:create"}
    return np.asarray(image.convert("RGB"))


def share_of_colour(pixels: np.ndarray, colour: str) -> float:
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return float((pixels == rgb).all(axis=-1).mean())


@pytest.mark.parametrize(
    "clip",
    [
        make_clip(seconds=0.04),
        make_clip(seconds=0.12),
        make_clip(seconds=10),
        make_clip(seconds=30, faces=2, gaps=[(0, 5, 9), (1, 0, 20)]),
        make_clip(seconds=7200, fps=1),
        make_clip(seconds=1, faces=0),
    ],
    ids=["one frame", "three frames", "ten seconds", "two faces with gaps", "two hours", "no face"],
)
def test_clips_of_any_length_are_drawn_at_full_width(clip: ClipResult) -> None:
    pixels = draw(clip)
    assert pixels.shape[1] == 1800
    assert 500 < pixels.shape[0] < 3000
    assert share_of_colour(pixels, "#ffffff") > 0.05


def test_each_further_face_adds_a_panel_up_to_the_limit() -> None:
    heights = [draw(make_clip(seconds=0.4, faces=faces)).shape[0] for faces in (2, 3, MAX_PANELS, MAX_PANELS + 3)]
    assert heights[0] < heights[1] < heights[2]
    assert abs(heights[3] - heights[2]) < 60  # only the note on who is left out


def test_the_faces_seen_most_are_drawn() -> None:
    clip = make_clip(seconds=4, faces=8, gaps=[(1, 0, 3.5), (4, 0.5, 4)])
    shown, hidden = main_faces(clip)
    assert (shown, hidden) == ([0, 2, 3, 5, 6, 7], [4, 1])


def test_the_ribbon_has_the_colours_of_the_episodes() -> None:
    clip = make_clip(seconds=10)
    pixels = draw(clip)
    shown = {segment.emotion for segment in clip.segments}
    assert len(shown) > 1
    ribbon_rows = [row for row in pixels if (row == pixels[0, 0]).all(axis=-1).mean() < 0.12]
    for emotion in shown:
        assert share_of_colour(np.array(ribbon_rows), EMOTION_COLOURS[emotion]) > 0.02


def test_gaps_are_shaded() -> None:
    without, with_gap = make_clip(seconds=10), make_clip(seconds=10, gaps=[(0, 2, 8)])
    assert share_of_colour(draw(with_gap), "#eeeeee") > share_of_colour(draw(without), "#eeeeee") + 0.1


def test_names_are_text_and_never_markup() -> None:
    for name in ("$\\frac{1}$ $x_", "a\nb", "caf\udce9", "日本", "x" * 200, "<script>", "%s {0}"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert timeline_chart(make_clip(seconds=0.4, clip_id=name)).png


def test_the_time_axis_is_where_the_page_is_told() -> None:
    clip = make_clip(seconds=10, gaps=[(0, 5, 10)])
    chart = timeline_chart(clip, title=False)
    pixels = np.asarray(Image.open(io.BytesIO(chart.png)).convert("RGB"))
    width = pixels.shape[1]
    assert chart.end_seconds == pytest.approx(10)
    shaded = (pixels[100:300] == 0xEE).all(axis=-1).mean(axis=0) > 0.3
    columns = np.flatnonzero(shaded)
    assert columns[0] / width == pytest.approx(chart.left + (chart.right - chart.left) / 2, abs=0.003)
    assert columns[-1] / width == pytest.approx(chart.right, abs=0.003)


def test_a_truncated_clip_ends_where_its_frames_end_and_says_so() -> None:
    clip = make_clip(seconds=5)
    info = dataclasses.replace(clip.info, duration_seconds=500.0)
    decode = DecodeReport(reader="pyav", expected_frames=12_500, decoded_frames=125, truncated=True)
    assert timeline_chart(dataclasses.replace(clip, info=info)).end_seconds == pytest.approx(500)
    chart = timeline_chart(dataclasses.replace(clip, info=info, decode=decode))
    assert chart.end_seconds == pytest.approx(5)


@pytest.mark.parametrize("span", [0.03, 0.5, 3, 10, 59, 61, 600, 3600, 7200, 86_400, 1e6])
def test_a_time_axis_has_a_readable_number_of_ticks(span: float) -> None:
    assert 2 <= span / time_step(span) < 13.001


def test_an_hour_is_drawn_in_three_seconds() -> None:
    clip = make_clip(seconds=3600, fps=5, noise=0.6)
    timeline_chart(make_clip(seconds=1))  # loads matplotlib and its fonts
    start = time.process_time()
    timeline_chart(clip)
    assert time.process_time() - start < 3.0


def test_drawing_touches_no_global_state() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        "import matplotlib; before = matplotlib.rcParams.copy()\n"
        "from fixtures.clip_results import make_clip\n"
        "from vidfer.report.chart import timeline_chart\n"
        "timeline_chart(make_clip(seconds=0.4))\n"
        "assert matplotlib.rcParams.copy() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_missing_glyphs_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        timeline_chart(make_clip(seconds=0.4, clip_id="日本"))
    assert not caplog.records


def test_a_palette_keeps_the_frequent_colours_exactly() -> None:
    rng = np.random.default_rng(0)
    pixels = np.full((64, 64, 3), 255, dtype=np.uint8)
    pixels[:20] = [77, 59, 31]
    pixels[40:44] = rng.integers(0, 256, (4, 64, 3), dtype=np.uint8)  # more colours than fit in the palette
    pixels[44:, :8] = [0, 158, 115]
    read = np.asarray(Image.open(io.BytesIO(palette_png(pixels))).convert("RGB"))
    keep = np.r_[0:40, 44:64]
    np.testing.assert_array_equal(read[keep], pixels[keep])
