"""--thumbnails and --chart: pictures of faces only where they were asked for, and what is said where there are none."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.commands import output_digests
from fixtures.forked import vidfer
from PIL import Image

from vidfer.report.apex import cut_out
from vidfer.video.probe import probe
from vidfer.video.reader import open_reader


@pytest.fixture(scope="module")
def finished(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample processed with thumbnails, beside its video."""
    base = tmp_path_factory.mktemp("thumbnails")
    shutil.copy(sample_video, base / "sample.mp4")
    settings = ("--fps", "4", "--set", "temporal.name=ema", "--thumbnails", "--jobs", "1")
    done = vidfer("process", base / "sample.mp4", "--out", base / "out", *settings)
    assert done.returncode == 0, done.stderr
    return base


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """Copies of the results beside them: pages name the video, which stays, relative to where they lie."""
    return Path(shutil.copytree(finished / "out", finished / tmp_path.name))


def pictures(report: Path) -> list[np.ndarray]:
    """Return the pictures on a report's buttons."""
    found = re.findall(
        r'<button data-seconds="[\d.]+"[^>]*><img src="data:image/png;base64,([^"]+)"', report.read_text()
    )
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def height(picture: Path) -> int:
    with Image.open(picture) as image:
        return image.height


def test_the_pictures_are_the_faces_at_the_peaks_of_the_episodes(finished: Path) -> None:
    episodes = pd.read_csv(finished / "out" / "sample" / "segments.csv")
    table = pd.read_csv(finished / "out" / "sample" / "timeline.csv")
    found = pictures(finished / "out" / "sample" / "report.html")
    assert found
    reader = open_reader(probe(finished / "sample.mp4"), decoder="pyav")
    faces = []
    for episode in episodes.itertuples():
        row = table[(table["face_id"] == episode.face_id) & (table["timestamp"] == episode.peak_seconds)].iloc[0]
        (batch,) = reader.read(np.array([int(row["frame"]) - 1]), batch_size=1)
        corner = row[["x", "y"]].to_numpy(float)
        box = np.concatenate([corner, corner + row[["width", "height"]].to_numpy(float)])
        faces.append(cut_out(batch.images[0], box).astype(int))
    for picture in found:
        assert min(np.abs(picture.astype(int) - face).mean() for face in faces) < 3  # boxes in tables are rounded


def test_they_go_when_they_are_no_longer_wanted_and_come_back(folder: Path) -> None:
    results = folder / "sample"
    before, with_pictures = output_digests(folder), height(results / "timeline.png")
    assert (results / "people.png").is_file()
    assert vidfer("report", folder, "--no-thumbnails").returncode == 0
    assert not (results / "people.png").exists()
    assert height(results / "timeline.png") < with_pictures
    assert pictures(results / "report.html") == []
    done = vidfer("report", folder, "--chart", "areas")  # the last run wanted them
    assert done.returncode == 0, done.stderr
    assert height(results / "timeline.png") == with_pictures
    assert output_digests(folder)["sample/timeline.png"] != before["sample/timeline.png"]
    assert vidfer("report", folder).returncode == 0
    assert output_digests(folder) == before


@pytest.mark.parametrize("fate", ["moved", "replaced"])
def test_a_video_that_has_moved_or_changed_is_said_and_the_chart_is_drawn(
    finished: Path, tmp_path: Path, fate: str
) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    video, aside = finished / "sample.mp4", finished / "elsewhere.mp4"
    video.rename(aside)
    try:
        if fate == "replaced":
            video.write_bytes(aside.read_bytes() + b"another")
        done = vidfer("report", tmp_path / "out")
    finally:
        aside.replace(video)
    assert done.returncode == 0, done.stderr
    said = "no longer where it was" if fate == "moved" else "another video lies where the clip's was"
    assert said in done.stderr
    report = tmp_path / "out" / "sample" / "report.html"
    assert pictures(report) == []
    assert said in report.read_text().replace("&#x27;", "'")
    assert height(tmp_path / "out" / "sample" / "timeline.png") > 500


def test_results_of_a_version_that_knew_no_such_settings_are_drawn_without_pictures(folder: Path) -> None:
    path = folder / ".vidfer" / "pipeline.json"
    settings = json.loads(path.read_text())
    del settings["output"]["chart"], settings["output"]["thumbnails"]
    path.write_text(json.dumps(settings))
    done = vidfer("report", folder)
    assert done.returncode == 0, done.stderr
    assert pictures(folder / "sample" / "report.html") == []


def test_charts_for_paper_are_drawn_from_the_cache_and_go_again(folder: Path) -> None:
    before = output_digests(folder)
    done = vidfer("report", folder, "--chart-size", "paper", "--export", "chart,chart-svg,chart-pdf")
    assert done.returncode == 0, done.stderr
    results = folder / "sample"
    assert round(Image.open(results / "timeline.png").info["dpi"][0]) == 300
    assert b"<text" in (results / "timeline.svg").read_bytes()
    assert (results / "timeline.pdf").read_bytes().startswith(b"%PDF")
    assert vidfer("report", folder).returncode == 0  # the last run wanted a screen's
    assert before.items() <= output_digests(folder).items()


def test_unknown_styles_are_one_line(folder: Path) -> None:
    for arguments in (["report", folder, "--chart", "pie"], ["process", "x.mp4", "--out", folder, "--chart", "pie"]):
        done = vidfer(*arguments)
        assert done.returncode == 2
        assert "invalid choice: 'pie'" in done.stderr
    done = vidfer("process", folder, "--out", folder, "--set", "output.chart=pie")
    assert done.returncode == 2
    assert "[output] chart" in done.stderr
    assert "Traceback" not in done.stderr
