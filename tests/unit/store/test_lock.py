"""One run per output folder: with real processes, kill -9, and file systems that have no locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vidfer.errors import OutputError
from vidfer.store.lock import RunLock

NO_FLOCK = (
    "import errno, fcntl\n"
    "def flock(handle, how): raise OSError(errno.ENOLCK, 'No locks available')\n"
    "fcntl.flock = flock\n"
)
HOLD = (
    "import sys, time\n"
    "from vidfer.store.lock import RunLock\n"
    "with RunLock(sys.argv[1], heartbeat_seconds=0.1, lease_seconds=1.0):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


def quick(folder: Path) -> RunLock:
    return RunLock(folder, heartbeat_seconds=0.1, lease_seconds=1.0)


def holder_process(folder: Path, prelude: str = "") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", prelude + HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def move_lease_to_another_machine(folder: Path) -> Callable[[], None]:
    """Make the lease look like another machine's; return a function that makes it beat once."""
    lease = folder / "lease.json"
    lease.write_text(json.dumps(json.loads(lease.read_text()) | {"machine": "other", "host": "node7", "pid": 1}))
    return lambda: os.utime(lease)


def test_the_second_run_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out" / ".vidfer"
    with holder_process(folder) as process:
        with pytest.raises(OutputError) as caught, quick(folder):
            pass
        message = str(caught.value)
        assert f"process {process.pid} on " in message
        assert "since 20" in message
        assert message.startswith(f"{tmp_path / 'out'}: ")
        assert "choose another --out" in message
        process.communicate("")
    with quick(folder) as lock:
        assert not lock.predecessor_killed
    assert not (folder / "lease.json").exists()


def test_the_folder_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), quick(tmp_path):
        raise ZeroDivisionError
    with quick(tmp_path) as lock:
        assert not lock.predecessor_killed


def test_two_runs_in_one_process_exclude_each_other_as_well(tmp_path: Path) -> None:
    with quick(tmp_path), pytest.raises(OutputError, match="another vidfer run"), quick(tmp_path):
        pass


@pytest.mark.parametrize("prelude", ["", NO_FLOCK], ids=["flock", "no_flock"])
def test_kill_9_frees_the_folder_at_once(tmp_path: Path, prelude: str, request: pytest.FixtureRequest) -> None:
    if prelude:
        request.getfixturevalue("no_flock")
    with holder_process(tmp_path, prelude) as process:
        with pytest.raises(OutputError, match=f"process {process.pid} "), quick(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    began = time.monotonic()
    with quick(tmp_path) as lock:
        assert time.monotonic() - began < 0.9
        assert lock.predecessor_killed


def test_a_reused_pid_is_not_taken_for_the_holder(tmp_path: Path, no_flock: None) -> None:
    with quick(tmp_path):
        lease = (tmp_path / "lease.json").read_text()
    (tmp_path / "lease.json").write_text(json.dumps(json.loads(lease) | {"started": "1"}))  # our pid, another process
    with quick(tmp_path) as lock:
        assert lock.predecessor_killed


def test_a_run_on_another_machine_is_seen_by_its_heartbeat(tmp_path: Path) -> None:
    with quick(tmp_path):
        lease = (tmp_path / "lease.json").read_text()
    (tmp_path / "lease.json").write_text(lease)
    beat = move_lease_to_another_machine(tmp_path)
    timer = threading.Timer(0.4, beat)
    timer.start()
    with pytest.raises(OutputError, match="process 1 on node7"), quick(tmp_path):
        pass
    timer.join()


def test_a_dead_run_on_another_machine_loses_the_folder_after_the_lease(tmp_path: Path) -> None:
    with quick(tmp_path):
        lease = (tmp_path / "lease.json").read_text()
    (tmp_path / "lease.json").write_text(lease)
    move_lease_to_another_machine(tmp_path)
    os.utime(tmp_path / "lease.json", (2**33, 2**33))  # its clock was centuries ahead: no matter
    began = time.monotonic()
    with quick(tmp_path) as lock:
        assert 0.9 < time.monotonic() - began < 4
        assert lock.predecessor_killed


def test_a_suspended_run_that_lost_its_lease_knows_it(tmp_path: Path) -> None:
    with quick(tmp_path) as lock:
        assert not lock.lost
        lease = tmp_path / "lease.json"
        lease.write_text(json.dumps(json.loads(lease.read_text()) | {"token": "of another run"}))
        deadline = time.monotonic() + 5
        while not lock.lost and time.monotonic() < deadline:
            time.sleep(0.02)
        assert lock.lost
        with pytest.raises(OutputError, match="another vidfer run took over"):
            lock.check()  # the runner asks before it writes anything
    assert lease.exists()  # it belongs to the other run now


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[1, 2]", b'{"pid": "x"}'])
def test_a_damaged_lease_is_taken_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lease.json").write_bytes(content)
    with quick(tmp_path):
        assert json.loads((tmp_path / "lease.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("prelude", ["", NO_FLOCK], ids=["flock", "no_flock"])
def test_of_many_runs_started_at_once_one_gets_the_folder(tmp_path: Path, prelude: str) -> None:
    code = prelude + HOLD.replace("sys.stdin.read()", "time.sleep(1.5)")
    command: list[Any] = [sys.executable, "-c", code, tmp_path]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(5)]
    results = [run.communicate() for run in runs]
    assert sum(b"held" in output for output, _ in results) == 1
    assert sum(b"OutputError" in errors for _, errors in results) == 4


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="choose another --out"), quick(tmp_path / "out" / ".vidfer"):
        pass
