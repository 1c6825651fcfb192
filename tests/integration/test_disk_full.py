"""A disk that fills up while cache, tables and charts are written: a clear error, nothing half, and a run goes on."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.commands import cache_digests, output_digests
from fixtures.forked import vidfer
from fixtures.fuzz_trials import short_clip
from fixtures.mounts import resize, small_disk

SETTINGS = ["--jobs", "1", "--set", "run.segment_frames=16", "--export", "csv,segments,summary,chart,report"]


@pytest.fixture(scope="module")
def video(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short_clip(sample_video, tmp_path_factory.mktemp("videos") / "a.mp4", num_frames=60)


@pytest.fixture(scope="module")
def undisturbed(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results") / "out"
    done = vidfer("process", video, "--out", out, *SETTINGS)
    assert done.returncode == 0, done.stderr
    return out


def check_nothing_is_half(out: Path, undisturbed: Path) -> None:
    """Whatever has a final name has its final content; parts of tables may be there, half-written files may not."""
    expected = output_digests(undisturbed)
    for name, digest in output_digests(out).items():
        assert digest == expected[name], name
    tables = cache_digests(undisturbed)
    for name, digest in cache_digests(out).items():
        assert ".part" in name or digest == tables[name], name
    assert not list(out.rglob("*.aside"))


def test_a_disk_that_fills_up(video: Path, undisturbed: Path, tmp_path: Path) -> None:
    kilobytes = sum(path.stat().st_size for path in undisturbed.rglob("*") if path.is_file()) >> 10
    cache = sum(path.stat().st_size for path in (undisturbed / ".vidfer").rglob("*") if path.is_file()) >> 10
    assert kilobytes > 4 * cache > 100
    stops = {"cache": cache // 2, "tables and charts": cache + 60}
    # As deep as the undisturbed one: pages name the video relative to where they lie.
    with small_disk(tmp_path / "out", "16k") as out:
        for size in stops.values():
            resize(out, f"{size}k")
            done = vidfer("process", video, "--out", out, *SETTINGS)
            assert done.returncode == 2, done.stderr
            assert "no space left on device: free some space" in done.stderr
            assert "Traceback" not in done.stderr
            assert sum(line.startswith("vidfer:") for line in done.stderr.splitlines()) == 1
            check_nothing_is_half(out, undisturbed)
        resize(out, f"{3 * kilobytes}k")
        done = vidfer("process", video, "--out", out, *SETTINGS)
        assert done.returncode == 0, done.stderr
        assert output_digests(out) == output_digests(undisturbed)
        assert cache_digests(out) == cache_digests(undisturbed)


def test_a_limit_on_the_size_of_files(video: Path, undisturbed: Path, tmp_path: Path) -> None:
    """Some systems refuse large files; for a user that is much the same."""
    largest = max(path.stat().st_size for path in undisturbed.rglob("*") if path.is_file())
    done = subprocess.run(
        [sys.executable, "-m", "vidfer.cli", "process", video, "--out", tmp_path / "out", *SETTINGS],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, largest // 2)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "file too large" in done.stderr
    assert "Traceback" not in done.stderr
    check_nothing_is_half(tmp_path / "out", undisturbed)
