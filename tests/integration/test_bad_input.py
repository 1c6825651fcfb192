"""Bad input: one clear line each, a row in failures.csv, and every other clip completes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from fixtures.commands import read_csv
from fixtures.forked import vidfer
from fixtures.numbered_clips import make_clip


@pytest.fixture(scope="module")
def batch(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one good clip among bad ones."""
    folder = tmp_path_factory.mktemp("batch")
    good = sample_video.read_bytes()
    shutil.copy(sample_video, folder / "good.mp4")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is not a video\n" * 50)
    make_audio(folder / "audio.mp4")
    make_clip(folder / "front.mp4", num_frames=60, container_options={"movflags": "faststart"})
    front = (folder / "front.mp4").read_bytes()
    (folder / "front.mp4").unlink()
    (folder / "cut.mp4").write_bytes(front[: int(len(front) * 0.6)])
    (folder / "nomoov.mp4").write_bytes(good[: int(len(good) * 0.6)])  # the index is behind the pictures
    middle = len(front) // 2
    (folder / "damaged.mp4").write_bytes(front[:middle] + os.urandom(400) + front[middle + 400 :])
    (folder / "notes.txt").write_text("not a video, and nobody asks for it")
    return folder


def make_audio(path: Path) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def batch_run(batch: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("out")
    return vidfer("process", batch, "--out", out, "--no-plots"), out


def test_every_bad_clip_has_its_row_and_the_others_complete(batch_run) -> None:
    done, out = batch_run
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    failures = {row["clip"]: row for row in read_csv(out / "failures.csv")}
    assert {name: row["reason"] for name, row in failures.items()} == {
        "audio": "no_video_stream",
        "empty": "unreadable",
        "nomoov": "unreadable",
        "text": "unreadable",
    }
    for name, row in failures.items():
        assert f"{name}.mp4" in row["path"]
        assert len(row["message"]) > 20
        assert "\n" not in row["message"]
        assert any(name in line and row["reason"] in line for line in done.stderr.splitlines())
    assert (out / "good" / "timeline.csv").is_file()


def test_damaged_video_gives_what_there_is_and_is_marked(batch_run) -> None:
    _, out = batch_run
    for name in ("cut", "damaged"):
        summary = json.loads((out / name / "summary.json").read_text())
        assert summary["truncated"] is True
        assert summary["warnings"]
        rows = read_csv(out / name / "timeline.csv")
        assert len({row["frame"] for row in rows}) == summary["sampled_frames"] > 10


def test_known_failures_are_not_tried_again_unless_asked(batch: Path, batch_run) -> None:
    _, out = batch_run
    again = vidfer("process", batch, "--out", out, "--no-plots")
    assert again.returncode == 1
    assert len(read_csv(out / "failures.csv")) == 4
    events = out.parent / "retry.jsonl"
    vidfer("process", batch, "--out", out, "--no-plots", "--retry-failed", "--events", events)
    started = {json.loads(line)["clip_id"] for line in events.read_text().splitlines() if "ClipStarted" in line}
    assert started == {"audio", "empty", "nomoov", "text"}


def test_strict_makes_a_truncated_video_a_failure(batch: Path, tmp_path: Path) -> None:
    done = vidfer("process", batch / "cut.mp4", "--out", tmp_path, "--strict", "--no-plots")
    assert done.returncode == 1
    (row,) = read_csv(tmp_path / "failures.csv")
    assert row["reason"] == "truncated"


def test_strict_sees_damage_that_only_decoding_shows(tmp_path: Path) -> None:
    """decord, which reads this file by default, conceals it without a word."""
    video = make_clip(tmp_path / "clip.mkv", num_frames=60, gop=6, width=320, height=256)
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(255 - value for value in data[middle : middle + 40])
    video.write_bytes(data)
    assert vidfer("process", video, "--out", tmp_path / "out", "--no-plots").returncode == 0
    done = vidfer("process", video, "--out", tmp_path / "out", "--no-plots", "--strict")
    assert done.returncode == 1
    (row,) = read_csv(tmp_path / "out" / "failures.csv")
    assert row["reason"] == "truncated"
    assert "damaged" in row["message"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["{empty_folder}"], "no video"),
        (["{folder}/absent.mp4"], "no such file"),
        (["{folder}/*.xyz"], "no video matches"),
        (["{sample}", "--pipeline", "defualt"], "default"),
        (["{sample}", "--set", "faces.min_scor=0.5"], "min_score"),
        (["{sample}", "--set", "faces.min_score=7"], "min_score"),
        (["{sample}", "--set", "fases.min_score=0.7"], "faces"),
        (["{sample}", "--set", "nonsense"], "section.key=value"),
        (["{sample}", "--set", "backbone.name=resnet9000"], "resnet"),
        (["{sample}", "--export", "cvs"], "csv"),
        (["{sample}", "--device", "cuda:7"], "cpu"),
        (["{sample}", "--set", "backbone.weights=/nowhere/own.safetensors"], "/nowhere/own.safetensors"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], expected: str, sample_video: Path, tmp_path: Path
) -> None:
    places = {"folder": tmp_path, "empty_folder": tmp_path / "empty", "sample": sample_video}
    (tmp_path / "empty").mkdir()
    done = vidfer("process", *(text.format(**places) for text in arguments), "--out", tmp_path / "out")
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_verbose_shows_the_traceback_and_keeps_the_exit_code(tmp_path: Path) -> None:
    done = vidfer("process", tmp_path / "absent.mp4", "--out", tmp_path / "out", "-v")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("vidfer: ")


def test_an_unwritable_out_is_one_line(sample_video: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = vidfer("process", sample_video, "--out", tmp_path / "file" / "out")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--out" in done.stderr


def test_names_that_hurt(sample_video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    names = ["<script>alert(1)<", "quo\"te's & more", "ünïcödé 視頻", "a$b_c", "x" * 200, "summary.csv", "-dash"]
    for name in names:
        shutil.copy(sample_video, folder / f"{name}.mp4")
    done = vidfer("process", folder, "--out", tmp_path / "out", "--fps", "2")
    assert done.returncode == 0, done.stderr
    assert len(read_csv(tmp_path / "out" / "summary.csv")) == len(names)
    assert "<script>alert" not in (tmp_path / "out" / "index.html").read_text()
    assert (tmp_path / "out" / "summary.csv").is_file()
