"""What only the local executor promises: nothing of it outlives the run, whatever ends the run."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures import worker_tasks
from fixtures.measuring import heed_interrupts
from fixtures.worker_tasks import do

from vidfer.errors import VidferError
from vidfer.executors import EXECUTORS, Resources, available_cpus, plan_resources
from vidfer.executors.channel import ChannelError, FrameReader, encode
from vidfer.executors.local import LocalExecutor

TESTS = Path(worker_tasks.__file__).parents[1]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def started_pids(tries: Path) -> list[int]:
    return [int(line) for line in tries.read_text().split()] if tries.exists() else []


def driver(tmp_path: Path, tasks: list[str]) -> subprocess.Popen[bytes]:
    """Start a parent process of its own that runs these tasks; a script without a main guard, as users write them."""
    script = tmp_path / "driver.py"
    items = [{"do": task, "tries": str(tmp_path / "tries")} for task in tasks]
    script.write_text(
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        "from fixtures.worker_tasks import do\n"
        "from vidfer.executors import Resources\n"
        "from vidfer.executors.local import LocalExecutor\n"
        f"items = {items!r}\n"
        "for outcome in LocalExecutor().run(do, items, resources=Resources(jobs=2), timeout=100, retries=0):\n"
        "    print(outcome.status, flush=True)\n"
    )
    return subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts
    )


@pytest.mark.parametrize("task", ["hang", "hang_in_native_code"])
def test_workers_die_with_a_parent_that_was_killed(tmp_path: Path, task: str) -> None:
    with driver(tmp_path, [task, task]) as parent:
        assert wait_until(lambda: len(started_pids(tmp_path / "tries")) == 2)
        time.sleep(0.1)
        parent.kill()
    pids = started_pids(tmp_path / "tries")
    assert wait_until(lambda: not any(map(is_running, pids)), 3.0)


def test_ctrl_c_stops_the_workers_promptly(tmp_path: Path) -> None:
    with driver(tmp_path, ["hang", "hang_in_native_code"]) as parent:
        assert wait_until(lambda: len(started_pids(tmp_path / "tries")) == 2)
        time.sleep(0.1)
        began = time.monotonic()
        parent.send_signal(signal.SIGINT)
        _, errors = parent.communicate(timeout=10)
    assert b"KeyboardInterrupt" in errors
    assert time.monotonic() - began < 5  # idle: 0.1 s
    assert not any(map(is_running, started_pids(tmp_path / "tries")))


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    with driver(tmp_path, ["warn", "warn"]) as parent:
        output, _ = parent.communicate(timeout=30)
    assert output == b"ok\nok\n"
    assert len(started_pids(tmp_path / "tries")) == 2


def test_a_parent_that_was_suspended_does_not_take_its_workers_for_dead(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        "from fixtures.worker_tasks import do\n"
        "from vidfer.executors import Resources\n"
        "from vidfer.executors.local import LocalExecutor\n"
        "run = LocalExecutor().run(do, [dict(do='pid', seconds=1.8)], resources=Resources(), timeout=2.2, retries=0,\n"
        "                          on_event=print)\n"
        "print('started', flush=True)\n"
        "print(next(run).status, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        time.sleep(1.0)
        worker = int(subprocess.check_output(["pgrep", "-P", str(parent.pid)]))
        for pid in (parent.pid, worker):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3.0)
        for pid in (parent.pid, worker):
            os.kill(pid, signal.SIGCONT)
        assert parent.stdout.readline() == "ok\n"


def test_closing_the_iterator_stops_workers_in_the_middle_of_a_task(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    items: list[dict[str, Any]] = [{"do": "hang", "tries": str(tries)}, {"do": "pid", "seconds": 1.5}]
    outcomes = LocalExecutor().run(do, items, resources=Resources(jobs=2), timeout=60, retries=0)
    assert next(outcomes).status == "ok"
    assert wait_until(lambda: len(started_pids(tries)) == 1)
    outcomes.close()
    assert not any(map(is_running, started_pids(tries)))


def test_children_of_a_hung_worker_are_killed_with_it(tmp_path: Path) -> None:
    item = {"do": "hang_with_child", "pid_file": str(tmp_path / "pid")}
    (outcome,) = LocalExecutor().run(do, [item], resources=Resources(), timeout=1.0, retries=0)
    assert outcome.status == "timeout"
    assert wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())), 3.0)


def test_a_worker_killed_from_outside_is_replaced(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    items = [{"do": "pid", "seconds": 0.3, "tries": str(tries)} for _ in range(4)]
    outcomes = LocalExecutor().run(do, items, resources=Resources(), timeout=20, retries=1)
    first = next(outcomes)
    os.kill(first.value or 0, signal.SIGKILL)
    rest = list(outcomes)
    assert [outcome.status for outcome in rest] == ["ok"] * 3
    assert sum(outcome.attempts for outcome in rest) <= 4
    assert len(started_pids(tries)) <= 5


def test_bytes_that_are_no_message_count_as_a_crash() -> None:
    (outcome,) = LocalExecutor().run(do, [{"do": "garble_channel"}], resources=Resources(), timeout=30, retries=0)
    assert outcome.status == "crashed"
    assert outcome.error is not None
    assert "garbled" in outcome.error.message


def test_the_error_of_a_crash_holds_what_the_worker_last_printed() -> None:
    outcomes = LocalExecutor().run(do, [{"do": "segfault"}], resources=Resources(), timeout=30, retries=0)
    error = next(iter(outcomes)).error
    assert error is not None
    assert "about to crash" in error.traceback
    assert "Segmentation fault" in error.traceback
    assert "task_segfault" in error.traceback


def test_a_slow_caller_does_not_cost_the_workers_their_time(tmp_path: Path) -> None:
    items = [{"do": "double", "n": 1}, {"do": "slow_but_alive"}]
    statuses = []
    for outcome in LocalExecutor().run(do, items, resources=Resources(jobs=1), timeout=0.8, retries=0):
        statuses.append(outcome.status)
        time.sleep(1.5)
    assert statuses == ["ok", "ok"]


def test_a_run_can_be_ended_while_its_worker_hangs_and_the_executor_goes_on() -> None:
    class Enough(Exception):
        pass

    enough_at = float("inf")

    def look_up() -> None:
        if time.monotonic() > enough_at:
            raise Enough

    executor = LocalExecutor(keep_workers=True, on_wait=look_up)
    options = {"resources": Resources(jobs=1), "timeout": 100, "retries": 0}
    (first,) = executor.run(do, [{"do": "pid"}], **options)
    enough_at = time.monotonic() + 0.5
    with pytest.raises(Enough):
        list(executor.run(do, [{"do": "hang_in_native_code"}], **options))
    assert wait_until(lambda: not is_running(first.value)), "the worker that was kept hung"
    enough_at = float("inf")
    (after,) = executor.run(do, [{"do": "double", "n": 2}], **options)
    assert after.value == 4
    executor.close()


def test_warnings_of_workers_reach_the_log_of_the_parent(caplog: pytest.LogCaptureFixture) -> None:
    list(LocalExecutor().run(do, [{"do": "warn"}], resources=Resources(), timeout=30, retries=0))
    assert ("vidfer.somewhere", logging.WARNING, "set a.h5 aside") in caplog.record_tuples


def test_a_worker_imports_nothing_heavy_by_itself() -> None:
    (outcome,) = LocalExecutor().run(do, [{"do": "modules"}], resources=Resources(), timeout=30, retries=0)
    assert outcome.value is not None
    assert not {"torch", "numpy", "h5py", "cv2", "multiprocessing"} & set(outcome.value)


def test_functions_that_workers_cannot_import_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="can be imported by its name"):
        LocalExecutor().run(lambda item: item, [1], resources=Resources(), timeout=1, retries=0)


def test_a_module_that_workers_cannot_import_ends_the_run_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def task(item):\n    return item\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here  # type: ignore[import-not-found]

    (tmp_path / "only_here.py").write_text("import no_such_package\n")
    with pytest.raises(VidferError, match="no_such_package"):
        list(LocalExecutor().run(only_here.task, range(100), resources=Resources(), timeout=30, retries=5))


def test_workers_that_never_start_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(VidferError, match="do not start: exited with code 1"):
        list(LocalExecutor().run(do, [{"do": "pid"}] * 5, resources=Resources(), timeout=30, retries=5))


def test_items_that_cannot_travel_fail_alone() -> None:
    items: list[Any] = [{"do": "double", "n": (x for x in ())}, worker_tasks.Unloadable(), {"do": "double", "n": 3}]
    outcomes = list(LocalExecutor().run(do, items, resources=Resources(jobs=1), timeout=30, retries=0))
    assert sorted(outcome.status for outcome in outcomes) == ["failed", "failed", "ok"]


def test_no_descriptors_or_processes_are_left_behind() -> None:
    items = [{"do": "double", "n": 1}, {"do": "kill"}, {"do": "exception"}]
    run = LocalExecutor().run

    def held() -> tuple[int, bytes]:
        children = subprocess.run(["pgrep", "-P", str(os.getpid()), "python"], capture_output=True).stdout
        return len(os.listdir("/proc/self/fd")), children

    _, others = held()  # of other tests
    list(run(do, items, resources=Resources(jobs=2), timeout=30, retries=0))
    before = held()
    assert before[1] == others
    for _ in range(2):
        list(run(do, items, resources=Resources(jobs=2), timeout=30, retries=1))
    assert held() == before


def test_cores_are_never_oversubscribed() -> None:
    cpus = available_cpus()
    for jobs in (0, 1, 2, 5):
        resources = plan_resources(jobs)
        assert resources.jobs == jobs or jobs == 0
        assert resources.threads_per_worker * resources.jobs <= max(cpus, resources.jobs)


def test_few_videos_get_few_workers_with_more_threads_each() -> None:
    assert plan_resources(0, items=1).jobs == 1
    assert plan_resources(0, items=1).threads_per_worker == available_cpus()
    assert plan_resources(4, items=0).jobs == 1
    assert plan_resources(1).max_rss_bytes >= 4 << 30


def test_the_local_executor_is_found_by_name() -> None:
    assert EXECUTORS.get("local") is LocalExecutor


class TestChannel:
    def test_messages_survive_any_division_of_the_bytes(self) -> None:
        frames = encode(b"12345678", ("event", {"a": 1})) + encode(b"12345678", "x" * 1000)
        for size in (1, 3, 17, 5000):
            reader = FrameReader(b"12345678")
            pieces = [frames[i : i + size] for i in range(0, len(frames), size)]
            assert [m for piece in pieces for m in reader.feed(piece)] == [("event", {"a": 1}), "x" * 1000]

    @pytest.mark.parametrize("place", [0, 9, 14, 20])
    def test_a_wrong_byte_is_an_error_and_nothing_is_unpickled(self, place: int) -> None:
        frame = bytearray(encode(b"12345678", "hello"))
        frame[place] ^= 0xFF
        with pytest.raises(ChannelError):
            list(FrameReader(b"12345678").feed(bytes(frame) + bytes(64 << 20 if place == 9 else 0)))

    def test_arrays_do_not_fit(self) -> None:
        with pytest.raises(ValueError, match="use the cache"):
            encode(b"12345678", bytes(65 << 20))
