"""A package of another author: its stages, detector and exporter run, are cached and resumed as vidfer's own are."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import av
import numpy as np
import pytest
from fixtures.commands import cache_digests, computed_frames, output_digests, read_events
from fixtures.wheels import build_wheel, environment_with_vidfer, install_into

PLUGIN = Path(__file__).resolve().parents[1] / "fixtures" / "plugin"
SETTINGS = ["--fps", "10", "--set", "run.segment_frames=16", "--set", "run.jobs=1", "--export", "csv,toy"]


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
    assert len(values) > 50  # frames with a face, of 80
    assert 0.1 < min(values) < max(values) < 0.9
    listed = json.loads(vidfer(python, "status", results, "--json").stdout)[0]
    assert list(listed) == [
        *("clip", "faces", "embeddings", "identity", "tracks", "people", "emotions"),
        *("brightness", "restlessness", "outputs", "note"),
    ]
    assert {listed[name] for name in ("brightness", "restlessness", "outputs")} == {"cached"}


def test_its_settings_compute_only_its_stages_again(
    python: Path, results: Path, sample_video: Path, tmp_path: Path
) -> None:
    events = tmp_path / "events.jsonl"
    gain = ["--set", "brightness.gain=2", "--events", events]
    done = vidfer(python, "process", sample_video, "--out", results, *SETTINGS, *gain)
    assert done.returncode == 0, done.stderr
    assert computed_frames(read_events(events), "brightness") == 80
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
    while computed_frames(read_events(events), "brightness") < 32 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert vidfer(python, "process", sample_video, "--out", killed, *SETTINGS, "--events", events).returncode == 0
    assert output_digests(killed) == output_digests(whole)
    assert cache_digests(killed) == cache_digests(whole)
    assert computed_frames(read_events(events), "brightness") < 80 + 32


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
    assert made_by["faces"]["settings"]["toy"] == {"most_faces": 1}
    assert "brightness" in made_by
    assert "restlessness" not in made_by


@pytest.fixture(scope="module")
def two_faces(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with a person and the same person beside it."""
    path = tmp_path_factory.mktemp("two") / "two.mp4"
    with av.open(str(sample_video)) as video:
        images = [frame.to_ndarray(format="rgb24") for frame in itertools.islice(video.decode(video=0), 10)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 2 * images[0].shape[1], images[0].shape[0], "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.concatenate([image, image], 1), format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_component_has_options_of_its_own(python: Path, two_faces: Path, tmp_path: Path) -> None:
    toy = ["--set", "faces.detector=toy", "--export", "csv,summary"]
    for most, settings in ((1, []), (2, ["--set", "faces.toy.most_faces=2"])):
        done = vidfer(python, "process", two_faces, "--out", tmp_path / "out", *toy, *settings)
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "out" / "two" / "summary.json").read_text())["num_faces"] == most


def test_an_unknown_option_is_told_with_file_section_key_and_nearest_match(
    python: Path, two_faces: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[faces.toy]\nmost_face = 2\n\n[temporal.ema]\ntime_constant = 1.0\n")
    done = vidfer(python, "process", two_faces, "--out", tmp_path / "out", "--pipeline", mine)
    assert done.returncode == 2
    assert f"{mine}: [faces.toy] most_face: unknown key; did you mean 'most_faces'?" in done.stderr
    assert "[temporal.ema] time_constant: unknown key; did you mean 'time_constant_seconds'?" in done.stderr
    wrong = vidfer(python, "process", two_faces, "--out", tmp_path / "out", "--set", "faces.toy.most_faces=none")
    assert "[faces.toy] most_faces: expected a whole number, got 'none'" in wrong.stderr


def test_options_of_components_that_are_not_used_change_no_key(
    python: Path, sample_video: Path, results: Path, tmp_path: Path
) -> None:
    done = vidfer(
        *(python, "process", sample_video, "--out", results, *SETTINGS, "--events", tmp_path / "events"),
        *(
            "--set",
            "faces.toy.most_faces=5",
            "--set",
            "brightness.gain=2",
            "--set",
            "temporal.ema.time_constant_seconds=9",
        ),
    )
    assert done.returncode == 0, done.stderr
    assert computed_frames(read_events(tmp_path / "events"), "faces") == 0


@pytest.mark.parametrize("engine", [("ray",), ("slurm", "--address", "local")], ids=["ray", "slurm"])
def test_workers_of_a_cluster_know_plugins(
    python: Path, two_faces: Path, tmp_path: Path, engine: tuple[str, ...]
) -> None:
    settings = ["--set", "faces.detector=toy", "--set", "faces.toy.most_faces=2", "--export", "csv,toy,summary"]
    for name, where in (("local", []), ("cluster", ["--engine", *engine])):
        done = vidfer(python, "process", two_faces, "--out", tmp_path / name, *settings, *where)
        assert done.returncode == 0, done.stderr
    assert output_digests(tmp_path / "cluster") == output_digests(tmp_path / "local")
    assert (tmp_path / "cluster" / "two" / "toy.csv").is_file()


def test_plugins_can_be_switched_off(python: Path, sample_video: Path, tmp_path: Path) -> None:
    done = vidfer(python, "process", sample_video, "--out", tmp_path, "--export", "toy", VIDFER_PLUGINS="0")
    assert done.returncode == 2
    assert "unknown exporter 'toy'" in done.stderr
