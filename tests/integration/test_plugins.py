"""A package of another author: its stages, detector and exporter run, are cached and resumed as vidfer's own are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from fixtures.commands import cache_digests, computed_frames, output_digests, read_events
from fixtures.wheels import build_wheel, environment_with_vidfer, install_into

PLUGIN = Path(__file__).resolve().parents[1] / "fixtures" / "plugin"
SETTINGS = ["--set", "run.segment_frames=32", "--set", "run.jobs=1", "--export", "csv,toy"]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    python = environment_with_vidfer(folder)
    (folder / "plugin").mkdir()
    install_into(python, build_wheel(PLUGIN, folder / "plugin"))
    return python


def command(python: Path, *arguments: str | Path) -> list[str]:
    return [str(python), "-P", "-m", "vidfer.cli", *map(str, arguments)]


def vidfer(python: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command(python, *arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**clean, **environment},
    )


@pytest.fixture(scope="module")
def results(python: Path, sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results") / "out"
    done = vidfer(python, "process", sample_video, "--out", out, *SETTINGS)
    assert done.returncode == 0, done.stderr
    return out


def brightness(out: Path) -> list[float]:
    lines = (out / "sample" / "toy.csv").read_text().splitlines()
    assert lines[0] == "brightness,restlessness"
    return [float(line.split(",")[0]) for line in lines[1:]]


def test_stages_and_exporter_of_a_plugin_run_and_are_listed(python: Path, results: Path) -> None:
    values = brightness(results)
    assert len(values) > 100
    assert 0.1 < min(values) < max(values) < 0.9
    listed = json.loads(vidfer(python, "status", results, "--json").stdout)[0]
    assert list(listed) == [
        *("clip", "faces", "embeddings", "tracks", "emotions", "brightness", "restlessness", "outputs", "note")
    ]
    assert {listed[name] for name in ("brightness", "restlessness", "outputs")} == {"cached"}


def test_its_settings_compute_only_its_stages_again(
    python: Path, results: Path, sample_video: Path, tmp_path: Path
) -> None:
    events = tmp_path / "events.jsonl"
    gain = ["--set", "brightness.gain=2", "--events", events]
    done = vidfer(python, "process", sample_video, "--out", results, *SETTINGS, *gain)
    assert done.returncode == 0, done.stderr
    assert computed_frames(read_events(events), "brightness") == 200
    assert computed_frames(read_events(events), "faces") == computed_frames(read_events(events), "embeddings") == 0
    assert max(brightness(results)) > 0.9
    wrong = vidfer(python, "process", sample_video, "--out", results, *SETTINGS, "--set", "brightness.gian=2")
    assert wrong.returncode == 2
    assert "did you mean 'gain'" in wrong.stderr


def test_a_killed_run_is_resumed_with_the_same_bytes(python: Path, sample_video: Path, tmp_path: Path) -> None:
    whole, killed, events = tmp_path / "whole", tmp_path / "killed", tmp_path / "events.jsonl"
    assert vidfer(python, "process", sample_video, "--out", whole, *SETTINGS).returncode == 0
    arguments = command(python, "process", sample_video, "--out", killed, *SETTINGS, "--events", events)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, start_new_session=True, env=clean)
    deadline = time.monotonic() + 120
    while computed_frames(read_events(events), "brightness") < 64 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert vidfer(python, "process", sample_video, "--out", killed, *SETTINGS, "--events", events).returncode == 0
    assert output_digests(killed) == output_digests(whole)
    assert cache_digests(killed) == cache_digests(whole)
    assert computed_frames(read_events(events), "brightness") < 200 + 64


def test_a_detector_is_used_by_name_in_workers(python: Path, sample_video: Path, tmp_path: Path) -> None:
    settings = [
        "--set",
        "faces.detector=toy",
        "--set",
        "restlessness.enabled=false",
        "--export",
        "csv,summary",
        "--fps",
        "5",
    ]
    done = vidfer(python, "process", sample_video, "--out", tmp_path, *settings)
    assert done.returncode == 0, done.stderr
    made_by = json.loads((tmp_path / "sample" / "summary.json").read_text())["provenance"]["stages"]
    assert made_by["faces"]["weights"]["detector toy"] == ["vidfer-toy 1.0"]
    assert "brightness" in made_by
    assert "restlessness" not in made_by


def test_plugins_can_be_switched_off(python: Path, sample_video: Path, tmp_path: Path) -> None:
    done = vidfer(python, "process", sample_video, "--out", tmp_path, "--export", "toy", VIDFER_PLUGINS="0")
    assert done.returncode == 2
    assert "unknown exporter 'toy'" in done.stderr
