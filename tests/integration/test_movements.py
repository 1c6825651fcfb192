"""Movements by the real command: columns, blinks, cached and resumed, and nothing of it where it is off."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from fixtures.commands import cache_digests, computed_frames, output_digests, read_events
from fixtures.forked import start_vidfer, vidfer

from vidfer.exporters.table import COLUMNS
from vidfer.movements import REPORTED
from vidfer.pipeline.pipeline import Pipeline

ON = ["--set", "movements.enabled=true"]
SETTINGS = ["--fps", "10", "--jobs", "1", "--set", "run.segment_frames=16", "--export", "csv,parquet,segments,summary"]
OWN = [*REPORTED, "gaze_yaw", "gaze_pitch", "movement_quality"]


@pytest.fixture(scope="module")
def results(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample without movements, then with: the second run goes on from the first one's cache."""
    out = tmp_path_factory.mktemp("results") / "out"
    for name, settings in (("off", SETTINGS), ("on", [*SETTINGS, *ON])):
        done = vidfer("process", sample_video, "--out", out, *settings, "--events", out.parent / f"{name}.jsonl")
        assert done.returncode == 0, done.stderr
        shutil.copytree(out / "sample", out.parent / name)
    return out


def test_columns_and_blinks_are_written_and_nothing_else_changes(results: Path) -> None:
    off, on = results.parent / "off", results.parent / "on"
    plain, table = (pd.read_csv(folder / "timeline.csv") for folder in (off, on))
    assert list(plain) == [*COLUMNS, "person_id"]
    assert list(table) == [*COLUMNS, "person_id", *OWN]
    pd.testing.assert_frame_equal(table[list(plain)], plain)
    assert (off / "segments.csv").read_bytes() == (on / "segments.csv").read_bytes()
    assert not (off / "blinks.csv").exists()
    assert (
        (on / "blinks.csv")
        .read_text()
        .startswith("face_id,start_seconds,closed_seconds,end_seconds,depth,side,person_id\n")
    )
    seen = table[table["success"] == 1]
    assert seen[list(REPORTED)].notna().all().all()
    assert ((seen[list(REPORTED)] >= 0) & (seen[list(REPORTED)] <= 1)).all().all()
    assert table.loc[table["success"] == 0, OWN].isna().all().all()
    assert list(pd.read_parquet(on / "timeline.parquet")) == list(table)
    assert "movements" in json.loads((on / "summary.json").read_text())["faces"][0]
    assert "movements" not in json.loads((off / "summary.json").read_text())["faces"][0]


def test_faces_that_are_known_are_not_looked_for_again(results: Path) -> None:
    events = read_events(results.parent / "on.jsonl")
    assert computed_frames(events, "movements") == 80
    assert computed_frames(events, "faces") == computed_frames(events, "embeddings") == 0


def test_a_baseline_computes_no_frame_again_and_keeps_the_raw_columns(results: Path, sample_video: Path) -> None:
    events = results.parent / "baseline.jsonl"
    more = [*SETTINGS, *ON, "--set", "movements.baseline=[0.0, 1.0]", "--events", events]
    done = vidfer("process", sample_video, "--out", results, *more)
    assert done.returncode == 0, done.stderr
    assert computed_frames(read_events(events), "movements") == 0
    table = pd.read_csv(results / "sample" / "timeline.csv")
    before = pd.read_csv(results.parent / "on" / "timeline.csv")
    pd.testing.assert_frame_equal(table[list(before)], before)
    assert list(table)[len(list(before)) :] == [f"{name}_change" for name in REPORTED]
    wrong = vidfer("process", sample_video, "--out", results, *SETTINGS, *ON, "--set", "movements.baseline=[2, 1]")
    assert wrong.returncode == 2
    assert "0 <= start < end" in wrong.stderr


def test_switched_off_again_the_files_are_those_of_before(results: Path, sample_video: Path) -> None:
    done = vidfer("process", sample_video, "--out", results, *SETTINGS)
    assert done.returncode == 0, done.stderr
    for name in ("timeline.csv", "timeline.parquet", "segments.csv", "summary.json"):
        assert (results / "sample" / name).read_bytes() == (results.parent / "off" / name).read_bytes()


def test_a_killed_run_is_resumed_with_the_same_bytes(sample_video: Path, tmp_path: Path) -> None:
    whole, killed, events = tmp_path / "whole", tmp_path / "killed", tmp_path / "events.jsonl"
    assert vidfer("process", sample_video, "--out", whole, *SETTINGS, *ON).returncode == 0
    process = start_vidfer("process", sample_video, "--out", killed, *SETTINGS, *ON, "--events", events)
    deadline = time.monotonic() + 240
    while computed_frames(read_events(events), "movements") < 32 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert vidfer("process", sample_video, "--out", killed, *SETTINGS, *ON, "--events", events).returncode == 0
    assert output_digests(killed) == output_digests(whole)
    assert cache_digests(killed) == cache_digests(whole)
    assert computed_frames(read_events(events), "movements") < 80 + 32


def test_blinks_without_movements_are_refused(sample_video: Path, tmp_path: Path) -> None:
    done = vidfer("process", sample_video, "--out", tmp_path, "--export", "blinks")
    assert done.returncode == 2
    assert "movements.enabled" in done.stderr


def test_switched_off_it_loads_nothing(sample_video: Path) -> None:
    code = (
        "import sys; from vidfer import Pipeline; p = Pipeline('default', settings=['video.fps=5'], device='cpu');"
        f"p.video({str(sample_video)!r});"
        "print([m for m in sys.modules if m.startswith(('vidfer.movements.', 'vidfer.pipeline.movements',"
        " 'vidfer.timeline.movements'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_in_memory_it_gives_what_the_command_writes(results: Path, sample_video: Path) -> None:
    clip = Pipeline("default", settings=["movements.enabled=true", "video.fps=10"], device="cpu").video(sample_video)
    table, written = clip.to_dataframe(), pd.read_parquet(results.parent / "on" / "timeline.parquet")
    assert list(table) == list(written)
    np.testing.assert_allclose(table[OWN].to_numpy(float), written[OWN].to_numpy(float), atol=2e-3)


def test_left_and_right_are_the_persons(clips_folder: Path) -> None:
    """In frame 13 he winks with his left eye and draws up the left of his mouth, in 43 with his right: seen by eye."""
    with av.open(str(clips_folder / "d19.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), 44)]
    pair = np.stack([frames[13], frames[43]])
    on = Pipeline("default", settings=["movements.enabled=true"], device="cpu")
    for pictures, left, right in ((pair, "left", "right"), (np.ascontiguousarray(pair[:, :, ::-1]), "right", "left")):
        table = on.frames(pictures, fps=25).to_dataframe()
        eye, smile = ((table[f"{part}_{left}"] - table[f"{part}_{right}"]).to_numpy() for part in ("eye_open", "smile"))
        assert eye[0] < -0.1 < 0.1 < eye[1]
        assert smile[0] > 0.03


def test_a_man_who_blinks_and_another_who_smiles(clips_folder: Path) -> None:
    blinking = Pipeline("default", settings=["movements.enabled=true"], device="cpu").video(
        clips_folder / "talking" / "t6.mp4"
    )
    assert blinking.result.movements is not None
    assert 12 <= len(blinking.result.movements.blinks) <= 22  # 17 in the teacher's curve
    smiling = Pipeline("default", settings=["movements.enabled=true"], device="cpu").video(clips_folder / "d0.mp4")
    table = smiling.to_dataframe()
    smile = table[["smile_left", "smile_right"]].mean(axis=1)
    assert smile[22:62].median() > 0.6
    assert smile[:14].median() < 0.3
