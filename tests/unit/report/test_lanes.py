"""Movements under the emotions in charts, pages and overlays: shown where measured, off by a switch."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pandas as pd
from fixtures.movements import clip_with_movements
from PIL import Image

from vidfer.exporters import EXPORTERS
from vidfer.report.chart import timeline_chart, timeline_svg
from vidfer.report.chart_options import ChartOptions
from vidfer.report.face_painter import FacePainter
from vidfer.report.html import render_report
from vidfer.report.lanes import LANES, face_lanes
from vidfer.timeline.saved import clip_of_tables


def test_lanes_hold_what_was_measured_and_break_where_no_face_is_seen() -> None:
    clip = clip_with_movements(faces=2, gaps=[(1, 2.0, 4.0)], blinks_at=(1.0, 6.0))
    lanes = face_lanes(clip, 1)
    assert lanes is not None
    hidden = (lanes.seconds >= 2.0) & (lanes.seconds < 3.99)
    assert np.isnan(lanes.filled[hidden]).all()
    assert np.isfinite(lanes.filled[~hidden]).all()
    np.testing.assert_allclose(lanes.blinks, [1.0, 6.0], atol=0.1)


def test_a_blink_is_still_seen_where_points_stand_for_many_frames() -> None:
    clip = clip_with_movements(seconds=60, blinks_at=(30.0,))
    lanes = face_lanes(clip, 0, max_points=100)
    assert lanes is not None
    assert len(lanes.seconds) <= 100
    assert np.nanmin(lanes.filled[:, 0]) < 0.2


def test_charts_are_higher_with_lanes_and_the_same_without() -> None:
    clip, plain = clip_with_movements(), clip_with_movements(measured=False)
    with_lanes, switched_off, without = (
        Image.open(io.BytesIO(timeline_chart(c, options=ChartOptions(lanes=on)).png))
        for c, on in ((clip, True), (clip, False), (plain, True))
    )
    assert with_lanes.height > without.height + 60
    assert switched_off.tobytes() == without.tobytes()
    svg = timeline_svg(clip, options=ChartOptions(size="paper")).decode()
    assert all(f">{name}<" in svg for name, *_ in LANES)


def test_the_page_has_a_switch_and_the_data_only_where_measured() -> None:
    def data_of(page: str) -> dict[str, object]:
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
        assert found
        data: dict[str, object] = json.loads(found[1])
        return data

    page = render_report(clip_with_movements(blinks_at=(2.0,))).decode()
    data = data_of(page)
    assert 'id="show-lanes"' in page.split("<script")[0]
    assert [lane["name"] for lane in data["lanes"]] == ["eyes", "mouth", "brows"]  # type: ignore[attr-defined]
    assert data["faces"][0]["lanes"]["blinks"] == [2.0]  # type: ignore[index]
    off = render_report(clip_with_movements(measured=False)).decode()
    assert 'id="show-lanes"' not in off.split("<script")[0]
    assert "lanes" not in data_of(off)


def test_irises_are_drawn_over_the_picture_and_not_over_a_hidden_face() -> None:
    clip, plain = clip_with_movements(), clip_with_movements(measured=False)
    picture = np.full((720, 1280, 3), 90, np.uint8)
    drawn, without = FacePainter(clip)(picture, 1.0), FacePainter(plain)(picture, 1.0)
    changed = np.argwhere((drawn != without).any(2))
    assert len(changed)
    assert np.abs(changed - 150).max() < 12  # where the fixture has both irises
    blurred = FacePainter(clip, blur_faces=True)(picture, 1.0)
    assert (blurred == FacePainter(plain, blur_faces=True)(picture, 1.0)).all()


def test_a_chart_of_saved_tables_has_lanes_too() -> None:
    clip = clip_with_movements(baseline="clip")
    table = pd.read_parquet(io.BytesIO(EXPORTERS.get("parquet").render(clip)["timeline.parquet"]))  # type: ignore[union-attr]
    episodes = pd.read_csv(io.BytesIO(EXPORTERS.get("segments").render(clip)["segments.csv"]))  # type: ignore[union-attr]
    again = clip_of_tables(table, episodes, {}, clip_id="a")
    assert again.movements is not None
    assert list(again.movements.columns) == list(clip.movements.columns)  # type: ignore[union-attr]
    assert face_lanes(again, 0) is not None
    plain = clip_with_movements(measured=False)
    table = pd.read_parquet(io.BytesIO(EXPORTERS.get("parquet").render(plain)["timeline.parquet"]))  # type: ignore[union-attr]
    assert clip_of_tables(table, episodes, {}, clip_id="a").movements is None
