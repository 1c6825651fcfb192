"""File systems without locks, folders that cannot be written to, and clocks that jump."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from fixtures import forked
from fixtures.commands import cache_digests, output_digests, read_events, start_vidfer, vidfer
from fixtures.fuzz_trials import short_clip
from fixtures.mounts import read_only

SABOTAGE = Path(__file__).parent.parent / "fixtures" / "sabotage"
SETTINGS = ["--jobs", "1", "--set", "run.segment_frames=16", "--export", "csv,summary"]
FUTURE, PAST = 4_000_000_000.0, 86_400.0  # the year 2096, and the second day of 1970


@pytest.fixture(scope="module")
def videos(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    short_clip(sample_video, folder / "a.mp4", num_frames=60)
    return folder


@pytest.fixture(scope="module")
def undisturbed(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results") / "out"
    done = forked.vidfer("process", videos, "--out", out, *SETTINGS)
    assert done.returncode == 0, done.stderr
    return out


def sabotaged(what: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(SABOTAGE), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "VIDFER_SABOTAGE": what}


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def test_without_locks_two_runs_still_exclude_each_other(
    videos: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sabotaged("no-locks:ENOLCK").items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "out"
    first = start_vidfer("process", videos, "--out", out, *SETTINGS)
    wait_for(out / ".vidfer" / "lease.json")
    second = vidfer("process", videos, "--out", out, *SETTINGS)
    assert second.returncode == 2
    assert f"process {first.pid}" in second.stderr
    first.kill()
    first.wait()
    third = vidfer("process", videos, "--out", out, *SETTINGS)  # the lease of a dead process is worth nothing
    assert third.returncode == 0, third.stderr
    assert output_digests(out) == output_digests(undisturbed)
    assert cache_digests(out) == cache_digests(undisturbed)


def test_videos_that_cannot_be_written_to(videos: Path, undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    shutil.copytree(videos, folder)
    with read_only(folder):
        with pytest.raises(OSError, match="Read-only"):
            (folder / "x").touch()
        done = forked.vidfer("process", folder, "--out", tmp_path / "out", *SETTINGS)
        inside = forked.vidfer("process", folder, "--out", folder / "out", *SETTINGS)
    assert done.returncode == 0, done.stderr
    assert output_digests(tmp_path / "out") == output_digests(undisturbed)
    assert inside.returncode == 2
    assert "read-only: choose another --out" in inside.stderr
    assert len(inside.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("when", [FUTURE, pytest.param(PAST, marks=pytest.mark.torture)])
def test_dates_that_cannot_be_change_nothing(videos: Path, undisturbed: Path, tmp_path: Path, when: float) -> None:
    """After a jump of the clock files carry dates of the future, or of long ago; only content counts."""
    out, folder, events = tmp_path / "out", tmp_path / "videos", tmp_path / "events.jsonl"
    shutil.copytree(undisturbed, out)
    shutil.copytree(videos, folder)
    for path in (*folder.rglob("*"), *out.rglob("*")):
        os.utime(path, (when, when))
    before = output_digests(out)
    for _ in range(2):
        done = forked.vidfer("process", folder, "--out", out, *SETTINGS, "--events", events)
        assert done.returncode == 0, done.stderr
    assert not any(event["event"] == "FramesDone" for event in read_events(events))
    assert output_digests(out) == before
    assert cache_digests(out) == cache_digests(undisturbed)


def test_a_clock_that_jumps_while_it_runs(videos: Path, undisturbed: Path, tmp_path: Path) -> None:
    """Deadlines and leases go by the monotonic clock; nothing times out, and the bytes are the same."""
    out = tmp_path / "out"
    settings = [*SETTINGS, "--set", "run.timeout_seconds=60", "--set", "run.retries=0"]
    done = vidfer("process", videos, "--out", out, *settings, env=sabotaged("clock"))
    assert done.returncode == 0, done.stderr
    assert output_digests(out) == output_digests(undisturbed)
    assert cache_digests(out) == cache_digests(undisturbed)
