"""emotions.TextGrid, timeline.nc and emotions.emotionml, read with what others wrote or held to their rules."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from fixtures.clip_results import make_clip
from lxml import etree
from pympi.Praat import TextGrid

from vidfer.exporters import EXPORTERS
from vidfer.labels import EMOTIONS
from vidfer.learning.datasets.annotations import read_annotations
from vidfer.types import ClipResult

TWO = make_clip(seconds=6, faces=2, gaps=[(0, 1, 2), (1, 0, 3)])
CLIPS = {
    "one face": make_clip(seconds=6),
    "two faces with gaps": TWO,
    "no face": make_clip(seconds=1, faces=0),
    "later than the sound": replace(TWO, info=replace(TWO.info, start_seconds=2.0)),
    "awkward names": make_clip(seconds=2, clip_id='a/$x "it\'s" <script>&\n日本\udce9', path='/v/a, "b"<i>\udce9.mp4'),
}


def render(name: str, clip: ClipResult) -> bytes:
    (content,) = EXPORTERS.get(name).render(clip).values()
    return content


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS.keys())
def test_pympi_reads_the_textgrid(clip: ClipResult, tmp_path: Path) -> None:
    path = tmp_path / "emotions.TextGrid"
    path.write_bytes(render("textgrid", clip))
    grid = TextGrid(str(path))
    start = clip.info.start_seconds
    got = [
        (tier.name, low, high, text)
        for tier in grid.get_tiers()
        for low, high, text in tier.get_intervals()
        if text
    ]  # fmt: skip
    expected = [
        (f"face {one.track_id}", start + one.start_seconds, start + one.end_seconds, one.emotion)
        for one in sorted(clip.segments, key=lambda one: (one.track_id, one.start_seconds))
    ]
    assert [(a, d) for a, _, _, d in got] == [(a, d) for a, _, _, d in expected]
    assert [pair for row in got for pair in row[1:3]] == pytest.approx(
        [pair for row in expected for pair in row[1:3]], abs=1e-6
    )
    for tier in grid.get_tiers():  # Praat wants every moment in one interval
        intervals = list(tier.get_intervals())
        assert intervals[0][0] == 0
        assert intervals[-1][1] == pytest.approx(grid.xmax)
        assert all(one[1] == other[0] for one, other in pairwise(intervals))
    ours = [(one.tier, one.text, round(one.start_seconds, 6)) for one in read_annotations(path)]
    assert ours == [(tier, text, low) for tier, low, _, text in got]


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS.keys())
def test_xarray_reads_the_arrays_by_name(clip: ClipResult) -> None:
    xarray = pytest.importorskip("xarray")
    arrays = xarray.open_dataset(io.BytesIO(render("netcdf", clip)), engine="scipy")
    tracks = np.unique(clip.timeline.track_id[clip.timeline.track_id >= 0])
    assert arrays["face"].to_numpy().tolist() == tracks.tolist()
    assert arrays["time"].to_numpy() == pytest.approx(clip.frames.pts_seconds)
    assert arrays["emotion"].to_numpy().tolist() == list(EMOTIONS)
    assert arrays["probability"].sel(emotion="happiness").dims == ("face", "time")
    assert arrays["probability"].dims == ("face", "time", "emotion")
    for track in tracks.tolist():
        mine = clip.timeline.track_id == track
        got = arrays["probability"].sel(face=track).to_numpy()
        np.testing.assert_array_equal(got[clip.timeline.frame_row[mine]], clip.timeline.probabilities[mine])
        unseen = np.setdiff1d(np.arange(len(clip.frames)), clip.timeline.frame_row[mine])
        assert np.isnan(got[unseen]).all()
        np.testing.assert_array_equal(
            arrays["yaw"].sel(face=track).to_numpy()[clip.timeline.frame_row[mine]], clip.faces.pose[mine, 1]
        )
    assert arrays.attrs["start_seconds"] == clip.info.start_seconds


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS.keys())
def test_emotionml_keeps_the_rules_of_the_recommendation(clip: ClipResult) -> None:
    """Of sections 2 and 3 those that concern what is written; the schema could not be had."""
    e = "{http://www.w3.org/2009/10/emotionml}"
    root = etree.fromstring(render("emotionml", clip))
    assert (root.tag, root.get("version")) == (f"{e}emotionml", "1.0")
    (vocabulary,) = root.findall(f"{e}vocabulary")
    assert vocabulary.get("type") == "category"
    assert root.get("category-set") == f"#{vocabulary.get('id')}"
    items = [item.get("name") for item in vocabulary]
    assert len(set(items)) == len(items) == 8
    emotions = root.findall(f"{e}emotion")
    assert len(emotions) == len(clip.segments)
    ids = [emotion.get("id") for emotion in emotions]
    assert len(set(ids)) == len(ids)
    for emotion, segment in zip(emotions, clip.segments, strict=True):
        assert set(emotion.attrib) <= {"id", "duration", "expressed-through"}
        assert int(emotion.get("duration")) >= 0
        (category,) = emotion.findall(f"{e}category")
        assert category.get("name") == segment.emotion
        assert category.get("name") in items
        assert set(category.attrib) == {"name", "confidence"}
        assert 0 <= float(category.get("confidence")) <= 1
        (reference,) = emotion.findall(f"{e}reference")
        assert reference.get("role") in ("expressedBy", "experiencedBy", "triggeredBy", "targetedAt")
        address, _, fragment = reference.get("uri").partition("#t=")
        assert unquote(address, errors="surrogateescape") == Path(clip.info.path).name
        low, high = map(float, fragment.split(","))
        assert low == pytest.approx(clip.info.start_seconds + segment.start_seconds, abs=0.001)
        assert high == pytest.approx(clip.info.start_seconds + segment.end_seconds, abs=0.001)
