"""A clip's folder read back, and the Timeline that shows it in a notebook."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from fixtures.clip_results import make_clip
from PIL import Image

from vidfer import Timeline
from vidfer.errors import OutputError
from vidfer.exporters import EXPORTERS
from vidfer.report.chart import timeline_chart
from vidfer.types import ClipResult, DecodeReport, FaceEmbeddings

TABLES = ("csv", "parquet", "segments", "summary")


def write(clip: ClipResult, folder: Path, names: tuple[str, ...] = TABLES) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        for filename, data in EXPORTERS.get(name).render(clip).items():
            (folder / filename).write_bytes(data)
    return folder


def without_band(clip: ClipResult) -> ClipResult:
    logits = np.full_like(clip.embeddings.logits, np.nan)
    return dataclasses.replace(clip, embeddings=FaceEmbeddings(vectors=clip.embeddings.vectors, logits=logits))


def pixels_of(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(int)


DAMAGED = DecodeReport(reader="pyav", expected_frames=900, decoded_frames=100, truncated=True, warnings=("Cut.",))
CLIPS = {
    "two faces with gaps": make_clip(seconds=12, faces=2, gaps=[(0, 1, 2), (1, 0, 3)], dropped=[(0, 1)]),
    "no face": make_clip(seconds=1, faces=0),
    "one frame": make_clip(seconds=0.04),
    "damaged": make_clip(seconds=4, decode=DAMAGED),
}


@pytest.mark.parametrize("names", [TABLES, ("csv", "segments", "summary")], ids=["parquet", "csv"])
@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS.keys())
def test_a_timeline_shows_the_chart_of_its_clip(clip: ClipResult, names: tuple[str, ...], tmp_path: Path) -> None:
    timeline = Timeline(write(clip, tmp_path / "clip", names))
    png, look = timeline._repr_png_()
    shown, expected = pixels_of(png), pixels_of(timeline_chart(without_band(clip)).png)
    assert shown.shape == expected.shape
    assert (np.abs(shown - expected).max(axis=-1) > 60).mean() < 0.001  # tables are rounded
    assert look == {"width": 900}


def test_it_can_be_drawn_as_areas(tmp_path: Path) -> None:
    timeline = Timeline(write(CLIPS["two faces with gaps"], tmp_path / "clip"))
    assert timeline.chart("areas") != timeline.chart("lines") == timeline.chart()


def test_tables_and_numbers_are_at_hand(tmp_path: Path) -> None:
    clip = CLIPS["two faces with gaps"]
    timeline = Timeline(write(clip, tmp_path / "clip"))
    assert timeline.table["frame"].nunique() == len(clip.frames)
    assert len(timeline.episodes) == len(clip.segments)
    assert timeline.summary["num_faces"] == 2
    assert repr(timeline) == f"Timeline('{tmp_path / 'clip'}'): 300 sampled frames, 2 faces"


def test_without_a_summary_the_folder_names_the_clip(tmp_path: Path) -> None:
    timeline = Timeline(write(make_clip(seconds=1), tmp_path / "anna $x_1$", ("csv", "segments")))
    assert timeline.summary == {}
    assert timeline.chart()


def test_what_is_missing_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no timeline\.parquet"):
        Timeline(tmp_path)
    timeline = Timeline(write(make_clip(seconds=1), tmp_path / "a", ("csv",)))
    with pytest.raises(OutputError, match="vidfer report RESULTS --export segments"):
        timeline.chart()
    folder = write(make_clip(seconds=1), tmp_path / "b", ("csv", "segments"))
    (folder / "timeline.csv").write_text("frame,success\n1,0\n")
    with pytest.raises(OutputError, match="no column"):
        Timeline(folder).chart()
