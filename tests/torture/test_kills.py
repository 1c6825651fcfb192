"""kill -9 of the parent or of a worker at random moments over a batch: nothing lost, nothing repeated, same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from fixtures.commands import cache_digests, computed_frames, output_digests, read_events, start_vidfer, vidfer

pytestmark = pytest.mark.torture

KILLS = int(os.environ.get("VIDFER_KILLS", "200"))
SEGMENT_FRAMES = 32
SETTINGS = ["--set", f"run.segment_frames={SEGMENT_FRAMES}", "--jobs", "2"]


def test_kills(sample_video: Path, clips_folder: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(sample_video, videos / "sample.mp4")
    for name in ("d0", "d19", "s32"):
        shutil.copy(clips_folder / f"{name}.mp4", videos)
    undisturbed, out, events = tmp_path / "undisturbed", tmp_path / "out", tmp_path / "events.jsonl"
    calm_events = tmp_path / "calm.jsonl"
    assert vidfer("process", videos, "--out", undisturbed, "--events", calm_events, *SETTINGS).returncode == 0
    frames = computed_frames(read_events(calm_events), "faces")
    draw = random.Random(11)
    done = {"parent": 0, "worker": 0, "whole group": 0}
    runs = 0
    while sum(done.values()) < KILLS:
        if runs and runs % 12 == 0:  # all clips are finished by now: start over, keeping the count
            assert vidfer("process", videos, "--out", out, "--events", events, *SETTINGS).returncode == 0
            assert output_digests(out) == output_digests(undisturbed)
            assert cache_digests(out) == cache_digests(undisturbed)
            shutil.rmtree(out)
        runs += 1
        process = start_vidfer("process", videos, "--out", out, "--events", events, *SETTINGS)
        while process.poll() is None and sum(done.values()) < KILLS:
            what = draw.choice(["parent", "worker", "worker", "whole group"])
            if what == "worker" or draw.random() < 0.7:  # else also while it starts
                wait_for_workers(process)
            time.sleep(draw.uniform(0.05, 3.0))
            done[what] += strike(process.pid, what, draw)
            if draw.random() < 0.5:
                break
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = vidfer("process", videos, "--out", out, "--events", events, *SETTINGS, "--retry-failed")
    assert finished.returncode == 0, finished.stderr
    assert output_digests(out) == output_digests(undisturbed)
    assert cache_digests(out) == cache_digests(undisturbed)
    rounds = 1 + (runs - 1) // 12
    repeated = computed_frames(read_events(events), "faces") - rounds * frames
    print(f"\n{done} kills over {runs} runs: {repeated} frames repeated, {repeated / sum(done.values()):.1f} a kill")
    assert min(done.values()) >= KILLS // 10  # parent and workers were both hit
    assert repeated <= sum(done.values()) * 2 * SEGMENT_FRAMES  # two workers, a segment each at most


def workers_of(parent: int) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def wait_for_workers(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and not workers_of(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)


def strike(parent: int, what: str, draw: random.Random) -> bool:
    """Kill the parent, one worker, or everything; return whether there was something to kill."""
    try:
        if what == "worker":
            os.kill(draw.choice(workers_of(parent)), signal.SIGKILL)
        elif what == "parent":
            os.kill(parent, signal.SIGKILL)
        else:
            os.killpg(parent, signal.SIGKILL)
    except (ProcessLookupError, IndexError):
        return False  # it has just finished
    return True
