"""One results folder, filled by several commands: the files of the batch tell of all of it, in whatever order."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fixtures.commands import read_csv
from fixtures.forked import vidfer
from fixtures.fuzz_trials import short_clip

SETTINGS = ["--jobs", "1", "--export", "csv,summary", "--quiet"]


@pytest.fixture(scope="module")
def videos(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of a study, one with a file that is no video."""
    folder = tmp_path_factory.mktemp("videos")
    for number, name in enumerate(["first/b", "first/a", "second/c"]):
        (folder / name).parent.mkdir(exist_ok=True)
        video = short_clip(sample_video, folder / f"{name}.mp4", num_frames=8)
        video.write_bytes(video.read_bytes() + b"\0\0\0\x0cfree" + number.to_bytes(4, "big"))
    (folder / "second" / "bad.mp4").write_bytes(b"no video")
    return folder


def test_the_same_bytes_from_any_order_of_commands(videos: Path, tmp_path: Path) -> None:
    commands = {
        "at once": [[videos / "first", videos / "second"]],
        "one by one": [[videos / "second"], [videos / "first" / "b.mp4"], [f"{videos / 'first'}/*.mp4"]],
        "the other way round": [[videos / "first"], [videos / "second"]],
    }
    for order, arguments in commands.items():
        out = tmp_path / order
        if order != "at once":  # only tables are shared
            shutil.copytree(tmp_path / "at once" / ".vidfer" / "cache", out / ".vidfer" / "cache")
        codes = [vidfer("process", *paths, "--out", out, *SETTINGS).returncode for paths in arguments]
        assert set(codes) <= {0, 1}
        for name in ("summary.csv", "failures.csv", "index.html"):
            assert (out / name).read_bytes() == (tmp_path / "at once" / name).read_bytes(), (order, name)
    assert [row["clip"] for row in read_csv(out / "summary.csv")] == ["a", "b", "c"]
    assert [row["clip"] for row in read_csv(out / "failures.csv")] == ["bad"]

    shutil.rmtree(out / "b")  # forgotten, whichever command comes next
    assert vidfer("process", videos / "first" / "a.mp4", "--out", out, *SETTINGS).returncode == 0
    assert [row["clip"] for row in read_csv(out / "summary.csv")] == ["a", "c"]


def test_another_video_of_the_same_name_is_said_to_take_its_place(videos: Path, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(videos / "second" / "c.mp4", elsewhere / "a.mp4")
    first = videos / "first" / "a.mp4"
    done = vidfer("process", first, videos / "second" / "c.mp4", "--out", out, *SETTINGS)
    assert (done.returncode, done.stderr) == (0, "")
    done = vidfer("process", elsewhere, "--out", out, *SETTINGS)
    assert done.returncode == 0
    assert f"a: replaces the results of {first}" in done.stderr
    assert read_csv(out / "summary.csv")[0]["fingerprint"] == read_csv(out / "summary.csv")[1]["fingerprint"]
    shutil.move(elsewhere / "a.mp4", tmp_path / "a.mp4")  # a video that was moved replaces nothing
    done = vidfer("process", tmp_path / "a.mp4", "--out", out, *SETTINGS)
    assert (done.returncode, done.stderr) == (0, "")
