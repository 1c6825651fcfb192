"""How many videos are worked on at once, and where: one interface, one file per way.

An executor runs a function over items in worker processes and reports what became of each. Only small things
travel (items, events, summaries); arrays go through the cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from vidfer.registry import Registry

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")
Status = Literal["ok", "failed", "crashed", "timeout"]

WORKER_BYTES = 3 << 29  # 1.5 GiB: what one worker may need, to keep a small machine from swapping
RUNAWAY_BYTES = 4 << 30  # generous: a guard against runaways, far above WORKER_BYTES, not a budget


@dataclass(frozen=True, kw_only=True)
class TaskError:
    """Why an item has no value, in a form that survives every process boundary.

    Attributes
    ----------
    kind
        Name of the exception's class; ``WorkerCrash`` or ``WorkerTimeout`` where there was no exception.
    message
        One line: what, where, what to do.
    permanent
        Trying again would give the same (a VidferError: bad video, missing weights, full disk, ...).
    ends_run
        Every item would meet it (`VidferError.ends_run`).
    reason
        The error's own short code where it has one (`BadVideo.reason`), else empty.
    stage
        Where it happened, if the function said so (`errors.blamed_on`), else empty.
    traceback
        For ``-v``; after a crash what the worker last wrote to stderr.
    """

    kind: str
    message: str
    permanent: bool = False
    ends_run: bool = False
    reason: str = ""
    stage: str = ""
    traceback: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[ItemT, ValueT]):
    """What became of one item.

    Attributes
    ----------
    item
        As it was given.
    status
        ``ok``; ``failed``: the function raised; ``crashed``: its process died, ran out of memory or garbled its
        messages; ``timeout``: it was silent for too long and was killed.
    value
        What the function returned; None unless ``ok``.
    error
        None if ``ok``.
    attempts
        How often it was tried, at least 1.
    """

    item: ItemT
    status: Status
    value: ValueT | None
    error: TaskError | None
    attempts: int


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a run may use.

    Attributes
    ----------
    jobs
        Items at a time; 0: as many as the executor finds room for.
    threads_per_worker
        Set as OMP_NUM_THREADS and its like before the worker imports anything.
    num_cpus, num_gpus
        What one item needs, for executors that place work on several machines.
    max_rss_bytes
        A worker that holds more memory than this is killed; 0 = no limit.
    """

    jobs: int = 1
    threads_per_worker: int = 1
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    max_rss_bytes: int = 0

    def __post_init__(self) -> None:
        if self.jobs < 0 or self.threads_per_worker < 1 or self.max_rss_bytes < 0:
            raise ValueError(f"expected at least one thread, and no negative number of jobs or limit: got {self}")


class Executor(Protocol):
    """Runs a function over items, each in a process that may die without harm to the others."""

    def close(self) -> None:
        """Release what is held from one `run` to the next."""
        ...

    def run(
        self,
        fn: Callable[[ItemT], ValueT],
        items: Iterable[ItemT],
        *,
        resources: Resources,
        timeout: float,
        retries: int,
        on_event: Callable[[ItemT, Any], None] | None = None,
    ) -> Iterator[Outcome[ItemT, ValueT]]:
        """Yield one outcome per item, in the order in which they finish; closing the iterator stops all work.

        Parameters
        ----------
        fn
            A function that can be imported by its module and name. What it returns must be small.
        items
            Taken one at a time as workers become free.
        resources
            See `Resources`.
        timeout
            Seconds without an event or a result after which an item's worker is killed. Waiting in a queue does
            not count; a long item that emits events may take as long as it likes.
        retries
            Further attempts after a crash or a timeout. Exceptions are not retried: they would come again.
        on_event
            Called with the item and each event that ``fn`` emits (`vidfer.executors.worker.emit`).
        """
        ...


@runtime_checkable
class ClusterExecutor(Executor, Protocol):
    """An executor that knows its machines before they work."""

    def run_on_each_node(self, fn: Callable[[str], ValueT], *, timeout: float) -> dict[str, Outcome[str, ValueT]]:
        """Run ``fn`` with the node's name on every node that may get work, and return the outcomes by that name."""
        ...


EXECUTORS: Registry[Callable[..., Executor]] = Registry("executor", "vidfer.executors")


def plan_resources(jobs: int = 0, *, items: int | None = None, num_gpus: float = 0.0) -> Resources:
    """Choose workers and threads for this machine, so that cores are never oversubscribed, and a memory limit.

    Parameters
    ----------
    jobs
        Videos at a time; 0: one per core, or less where memory is short (`WORKER_BYTES` each).
    items
        How many videos there are, if that is known: no more workers than these are started.
    num_gpus
        See `Resources`.
    """
    cpus = available_cpus()
    if jobs == 0:
        jobs = max(1, min(cpus, available_memory_bytes() // WORKER_BYTES))
    if items is not None:
        jobs = max(1, min(jobs, items))
    limit = max(RUNAWAY_BYTES, available_memory_bytes() // jobs)
    threads = max(1, cpus // jobs)
    return Resources(jobs=jobs, threads_per_worker=threads, num_gpus=num_gpus, max_rss_bytes=limit)


def available_cpus() -> int:
    """Return the cores that this process may use: its affinity, and the quota of its container (cgroup v2)."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read_line("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        cpus = min(cpus, max(1, round(int(quota) / int(period))))
    return max(1, cpus)


def available_memory_bytes() -> int:
    """Return the memory that can be taken now: the machine's available memory within the container's limit."""
    available = 8 << 30  # where the system does not tell
    for line in _read_text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    limit, used = _read_line("/sys/fs/cgroup/memory.max"), _read_line("/sys/fs/cgroup/memory.current")
    if limit.isdigit() and used.isdigit():
        reclaimable = 0  # files that the kernel keeps in memory count as used, but give way
        for line in _read_text("/sys/fs/cgroup/memory.stat").splitlines():
            if line.startswith("inactive_file "):
                reclaimable = int(line.split()[1])
        available = min(available, max(0, int(limit) - int(used) + reclaimable))
    return available


def _read_line(path: str) -> str:
    return _read_text(path).partition("\n")[0]


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
