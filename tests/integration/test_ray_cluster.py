"""The same run on a Ray cluster: a node is lost, the driver is killed, and the bytes are those of a local run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from fixtures import forked
from fixtures.commands import VIDFER, output_digests, read_events, vidfer
from fixtures.ray_cluster import OTHER_HOST, RayCluster

SETTINGS = ["--fps", "2", "--no-plots", "--set", "run.retries=2"]
NUM_CLIPS = 6
WAIT_SECONDS = 240


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster() as running:
        yield running


@pytest.fixture(scope="module")
def videos(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of different content, so that each is computed, and a file that is no video."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(NUM_CLIPS):
        shutil.copy(sample_video, folder / f"{number}.mp4")
        with (folder / f"{number}.mp4").open("ab") as file:
            file.write(b"\0\0\0\x0cfree" + bytes([number] * 4))  # a box that players pass over
    (folder / "bad.mp4").write_text("not a video")
    return folder


@pytest.fixture(scope="module")
def local_digests(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("local")
    assert forked.vidfer("process", videos, "--out", out, *SETTINGS).returncode == 1
    return output_digests(out)


def start(
    cluster: RayCluster, videos: Path, out: Path, events: Path, *settings: str, inside: Sequence[str] = ()
) -> subprocess.Popen[str]:
    address = "auto" if inside else cluster.address  # as `ray start` noted it on that machine
    arguments = ["process", videos, "--out", out, "--events", events, "--engine", "ray", "--address", address]
    return subprocess.Popen(
        [*inside, *VIDFER, *map(str, arguments), *SETTINGS, *settings],
        env=cluster.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(run: subprocess.Popen[str]) -> str:
    """Wait for the end of a run, whatever happens to it, and return what it printed."""
    try:
        return run.communicate(timeout=WAIT_SECONDS)[0]
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()


def wait_until(happened: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not happened():
        assert run.poll() is None, f"it ended too early:\n{finish(run)}"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def clips(events: Path, kind: str) -> Counter[str]:
    return Counter(event["clip_id"] for event in read_events(events) if event["event"] == kind)


def test_a_lost_node_costs_nothing_and_the_bytes_are_a_local_runs(
    cluster: RayCluster, videos: Path, local_digests: dict[str, str], tmp_path: Path
) -> None:
    second, events = cluster.add_node(), tmp_path / "events.jsonl"
    run = start(cluster, videos, tmp_path / "out", events)
    try:
        # Two clips in work at once: one of them is on the second node, each node having one CPU. It stays in work
        # there, however fast the machine is, while the other node goes on.
        in_work = lambda: clips(events, "ClipStarted").total() - clips(events, "ClipDone").total()  # noqa: E731
        wait_until(lambda: in_work() >= 2, run)
        cluster.freeze(second)
        wait_until(lambda: clips(events, "ClipDone").total() >= 2, run)
        cluster.kill(second)
    finally:
        said = finish(run)
    assert run.returncode == 1, said  # bad.mp4 is no video; everything else is there
    assert output_digests(tmp_path / "out") == local_digests
    started = clips(events, "ClipStarted")
    assert 1 <= started.total() - len(started) <= 2, started  # what the node had in work was done again, no more
    assert started["bad"] == 1  # a permanent failure is not retried


@pytest.mark.torture
def test_a_killed_driver_goes_on_on_another_machine_and_repeats_nothing_that_was_finished(
    cluster: RayCluster, videos: Path, local_digests: dict[str, str], tmp_path: Path
) -> None:
    other_machine = cluster.add_machine() or []  # where that is not allowed it goes on here
    lease = tmp_path / "out" / ".vidfer" / "lease.json"
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    run = start(cluster, videos, tmp_path / "out", first)
    try:
        wait_until(lambda: clips(first, "ClipDone").total() >= 2, run)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        finish(run)
    finished = set(clips(first, "ClipDone"))
    assert json.loads(lease.read_text())["host"] == socket.gethostname()  # it is dead, but who knows that elsewhere?
    again = start(cluster, videos, tmp_path / "out", second, inside=other_machine)
    try:
        wait_until(lambda: clips(second, "ClipDone").total() >= 3, again)
        assert json.loads(lease.read_text())["host"] == (OTHER_HOST if other_machine else socket.gethostname())
    finally:
        said = finish(again)
    assert again.returncode == 1, said
    assert output_digests(tmp_path / "out") == local_digests
    assert not finished & set(clips(second, "ClipStarted"))
    assert set(clips(second, "ClipDone")) >= finished  # announced as cached
    # Frames want a GPU, which no node has. A change behind them wants none; a change of theirs says what is missing.
    wants_gpu, third = ["--set", "resources.frames.num_gpus=1"], tmp_path / "third.jsonl"
    cheap = start(cluster, videos, tmp_path / "out", third, *wants_gpu, "--set", "temporal.name=none")
    said = finish(cheap)
    assert cheap.returncode == 1, said
    assert len(clips(third, "ClipStarted")) == NUM_CLIPS
    assert not clips(third, "FramesDone")
    dear = start(cluster, videos, tmp_path / "out", third, *wants_gpu, "--fps", "3")
    assert "no node has the 1 cores and 1 GPUs that one video is to get (at most 1 and 0)" in finish(dear)
    assert dear.returncode == 2


def test_without_a_cluster_at_the_address_the_error_says_what_to_do(videos: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    done = vidfer("process", videos, "--out", tmp_path / "out", "--engine", "ray", "--address", "127.0.0.1:9")
    assert done.returncode == 2
    assert "no Ray cluster at 127.0.0.1:9" in done.stderr
    assert "ray start --head" in done.stderr
    assert time.monotonic() - began < 60


def test_a_stale_cluster_file_is_not_picked_up(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    env = {"RAY_TMPDIR": str(tmp_path)}
    done = vidfer("process", videos, "--out", tmp_path / "o", "--engine", "ray", "--address", "auto", env=env)
    assert done.returncode == 2
    assert "no Ray cluster at 127.0.0.1:9" in done.stderr
