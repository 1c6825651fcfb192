"""One suite over every executor: what becomes of good, bad, crashing, hanging and greedy tasks.

An executor whose optional package is missing skips. Tasks are real processes and real signals.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures import worker_tasks
from fixtures.worker_tasks import do

from vidfer.errors import MissingDependency
from vidfer.executors import EXECUTORS, Executor, Outcome, Resources
from vidfer.executors.local import LocalExecutor

SLOW = {"slurm": pytest.mark.torture}  # each of its jobs is an interpreter that starts


@pytest.fixture(scope="module", params=[pytest.param(name, marks=SLOW.get(name, ())) for name in EXECUTORS.names()])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with pytest.MonkeyPatch.context() as patch:
        # Nodes import the tasks, too.
        patch.setenv("PYTHONPATH", str(Path(worker_tasks.__file__).parent.parent), prepend=os.pathsep)
        try:
            factory = EXECUTORS.get(request.param)
            found = factory("local") if request.param == "slurm" else factory()
        except MissingDependency as error:
            pytest.skip(str(error))
        # What an executor needs to start at all (Ray: processes of its own) is not what its timings are about.
        list(found.run(do, [{"do": "double", "n": 0}], resources=Resources(jobs=1), timeout=60.0, retries=0))
        yield found
        found.close()


def run(executor: Executor, items: list[Any], **options: Any) -> list[Outcome[Any, Any]]:
    resources = options.pop("resources", Resources(jobs=2))
    settings = {"timeout": 20.0, "retries": 0} | options
    return list(executor.run(do, items, resources=resources, **settings))


def only(outcomes: list[Outcome[Any, Any]]) -> Outcome[Any, Any]:
    assert len(outcomes) == 1
    return outcomes[0]


def test_every_item_has_one_outcome_with_its_value(executor: Executor) -> None:
    items = [{"do": "double", "n": n} for n in range(50)]
    outcomes = run(executor, items)
    assert sorted(outcome.item["n"] for outcome in outcomes) == list(range(50))
    assert all(o.status == "ok" and o.value == 2 * o.item["n"] and o.attempts == 1 for o in outcomes)
    assert all(outcome.error is None for outcome in outcomes)


def test_nothing_to_do_is_done_at_once(executor: Executor) -> None:
    began = time.monotonic()
    assert run(executor, []) == []
    assert time.monotonic() - began < 0.2


def test_a_bad_video_fails_permanently_with_its_reason_and_is_not_retried(executor: Executor, tmp_path: Path) -> None:
    item = {"do": "bad_video", "tries": str(tmp_path / "tries")}
    outcome = only(run(executor, [item], retries=3))
    assert (outcome.status, outcome.attempts, outcome.value) == ("failed", 1, None)
    assert outcome.error is not None
    assert outcome.error.permanent
    assert (outcome.error.kind, outcome.error.reason) == ("BadVideo", "no_frames")
    assert outcome.error.message == "clip.mp4: no_frames: it has no frames: record it again"
    assert "task_bad_video" in outcome.error.traceback
    assert worker_tasks.attempts(item) == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [("exception", "ZeroDivisionError"), ("sys_exit", "SystemExit"), ("unpicklable_value", "TypeError")],
)
def test_an_exception_fails_its_item_only(executor: Executor, name: str, kind: str) -> None:
    outcomes = run(executor, [{"do": name}, {"do": "double", "n": 4}], retries=2)
    by_name = {outcome.item["do"]: outcome for outcome in outcomes}
    assert by_name["double"].value == 8
    failed = by_name[name]
    assert (failed.status, failed.attempts) == ("failed", 1)
    assert failed.error is not None
    assert (failed.error.kind, failed.error.permanent) == (kind, False)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("segfault", "SIGSEGV"),
        ("null_pointer", "SIGSEGV"),
        ("kill", "SIGKILL"),
        ("os_exit", "exited with code 7"),
        ("memory_error", "out of memory"),
    ],
)
def test_a_crash_costs_its_item_the_attempts_and_the_others_nothing(
    executor: Executor, tmp_path: Path, name: str, told: str
) -> None:
    bad = {"do": name, "tries": str(tmp_path / "tries")}
    outcomes = run(executor, [bad, *({"do": "double", "n": n} for n in range(6))], retries=1)
    assert sorted(outcome.value for outcome in outcomes if outcome.status == "ok") == [0, 2, 4, 6, 8, 10]
    crashed = only([outcome for outcome in outcomes if outcome.status != "ok"])
    assert (crashed.status, crashed.attempts, worker_tasks.attempts(bad)) == ("crashed", 2, 2)
    assert crashed.error is not None
    assert crashed.error.kind == "WorkerCrash"
    assert told in crashed.error.message
    assert "\n" not in crashed.error.message


def test_a_crash_that_does_not_come_again_is_forgiven(executor: Executor, tmp_path: Path) -> None:
    outcome = only(run(executor, [{"do": "crash_once", "tries": str(tmp_path / "tries")}], retries=1))
    assert (outcome.status, outcome.value, outcome.attempts) == ("ok", "second time lucky", 2)


def test_the_process_that_watches_over_a_task_may_die_with_its_node(executor: Executor, tmp_path: Path) -> None:
    if isinstance(executor, LocalExecutor):
        pytest.skip("here that process is the caller")
    bad = {"do": "kill_watcher", "tries": str(tmp_path / "tries")}
    outcomes = run(executor, [bad, *({"do": "double", "n": n} for n in range(6))], retries=1)
    assert sorted(outcome.value for outcome in outcomes if outcome.status == "ok") == [0, 2, 4, 6, 8, 10]
    crashed = only([outcome for outcome in outcomes if outcome.status != "ok"])
    assert (crashed.status, crashed.attempts, worker_tasks.attempts(bad)) == ("crashed", 2, 2)
    assert crashed.error is not None
    assert "the worker process was lost: on " in crashed.error.message
    assert crashed.error.message.endswith("(tried 2 times)")


@pytest.mark.torture
def test_a_node_that_falls_silent_is_cancelled_by_force(executor: Executor, tmp_path: Path) -> None:
    if type(executor).__name__ != "RayExecutor":
        pytest.skip("the driver counts silence for Ray only")
    impatient = EXECUTORS.get("ray")(silence_seconds=8.0)  # shares the Ray that runs
    pid_file = tmp_path / "pid"
    began = time.monotonic()
    try:
        outcomes = run(impatient, [{"do": "freeze_watcher", "pid_file": str(pid_file)}, {"do": "double", "n": 1}])
        assert time.monotonic() - began < 60
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
    frozen = only([outcome for outcome in outcomes if outcome.status != "ok"])
    assert frozen.status == "crashed"
    assert frozen.error is not None
    assert "gave no sign of life for" in frozen.error.message


@pytest.mark.parametrize("name", ["hang", "hang_in_native_code"])
def test_a_hang_ends_with_the_timeout(executor: Executor, tmp_path: Path, name: str) -> None:
    bad = {"do": name, "tries": str(tmp_path / "tries")}
    began = time.monotonic()
    outcomes = run(executor, [bad, {"do": "double", "n": 1}], timeout=1.0, retries=1)
    assert time.monotonic() - began < 15
    hung = only([outcome for outcome in outcomes if outcome.status != "ok"])
    assert (hung.status, hung.attempts, worker_tasks.attempts(bad)) == ("timeout", 2, 2)
    assert hung.error is not None
    assert hung.error.kind == "WorkerTimeout"
    assert "no sign of life for 1 s" in hung.error.message


def test_events_arrive_in_order_and_put_off_the_timeout(executor: Executor) -> None:
    events: list[tuple[str, Any]] = []
    outcome = only(
        run(
            executor,
            [{"do": "slow_but_alive"}],  # 2 s in all
            timeout=1.0,
            on_event=lambda item, event: events.append((item["do"], event)),
        )
    )
    assert (outcome.status, outcome.value) == ("ok", "done")
    assert events == [("slow_but_alive", {"step": step}) for step in range(8)]


def test_waiting_for_a_worker_does_not_count_as_silence(executor: Executor) -> None:
    items = [{"do": "pid", "seconds": 0.6} for _ in range(4)]
    outcomes = run(executor, items, timeout=1.5, resources=Resources(jobs=1))
    assert [outcome.status for outcome in outcomes] == ["ok"] * 4


def test_warnings_reach_the_callers_log(executor: Executor, caplog: pytest.LogCaptureFixture) -> None:
    run(executor, [{"do": "warn"}])
    assert [(record.name, record.getMessage()) for record in caplog.records if record.name.startswith("vidfer")] == [
        ("vidfer.somewhere", "set a.h5 aside")
    ]


def test_what_tasks_print_disturbs_nothing(executor: Executor) -> None:
    outcomes = run(executor, [{"do": "print_garbage"}, {"do": "print_garbage"}, {"do": "double", "n": 1}])
    assert sorted(str(outcome.value) for outcome in outcomes) == ["2", "unharmed", "unharmed"]


def test_a_greedy_task_is_stopped(executor: Executor) -> None:
    resources = Resources(jobs=1, max_rss_bytes=200 << 20)
    outcomes = run(executor, [{"do": "eat_memory"}, {"do": "double", "n": 1}], resources=resources)
    assert [(outcome.status, outcome.value) for outcome in outcomes] == [("crashed", None), ("ok", 2)]
    assert outcomes[0].error is not None
    assert "out of memory" in outcomes[0].error.message


def test_items_are_taken_as_workers_become_free(executor: Executor) -> None:
    taken = 0

    def items() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for n in range(100_000):
            taken += 1
            yield {"do": "double", "n": n}

    outcomes = executor.run(do, items(), resources=Resources(jobs=2), timeout=20.0, retries=0)
    for _ in range(5):
        next(outcomes)
    assert taken < 30
    outcomes.close()  # type: ignore[attr-defined]


def test_models_stay_loaded_because_workers_persist(executor: Executor) -> None:
    outcomes = run(executor, [{"do": "pid"} for _ in range(20)])
    assert len({outcome.value for outcome in outcomes}) <= 4  # two at a time; Ray has a spare, SLURM ends its jobs
    assert os.getpid() not in {outcome.value for outcome in outcomes}


def test_threads_are_limited_before_anything_is_imported(executor: Executor) -> None:
    outcome = only(run(executor, [{"do": "environment"}], resources=Resources(jobs=1, threads_per_worker=3)))
    assert outcome.value["OMP_NUM_THREADS"] == "3"


def test_an_error_of_the_items_themselves_reaches_the_caller(executor: Executor) -> None:
    def items() -> Iterator[dict[str, Any]]:
        yield {"do": "double", "n": 1}
        raise RuntimeError("the list of clips broke")

    with pytest.raises(RuntimeError, match="the list of clips broke"):
        list(executor.run(do, items(), resources=Resources(), timeout=20.0, retries=0))
