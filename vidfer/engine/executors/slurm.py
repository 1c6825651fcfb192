"""SLURM, through submitit: jobs of a few items each, watched on their nodes, reporting through the shared folder."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import secrets
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Generic

from vidfer.engine.executors import EXECUTORS, ItemT, Outcome, Resources, ValueT
from vidfer.engine.executors.channel import TOKEN_BYTES, ChannelError, FrameReader, encode, pickled_function
from vidfer.engine.executors.node import Attempts, Message, Unopened, log_here, work
from vidfer.errors import ClusterError, MissingDependency

ITEMS_PER_JOB = 8  # the networks are loaded once for so many videos; a job that is lost costs one of them an attempt
MOST_JOBS = 64  # in SLURM's queue at a time, unless --jobs says otherwise
_HOURS = 24  # a job's limit; $SBATCH_TIMELIMIT overrides it, as $SBATCH_PARTITION and the like do
_POLL_SECONDS = 0.1
_SILENCE_SECONDS = 180.0
_GRACE_SECONDS = 5.0  # until what a node has written is seen here


@EXECUTORS.register("slurm")
class SlurmExecutor:
    """Runs items in SLURM jobs; see `vidfer.engine.executors.Executor`.

    Parameters
    ----------
    address
        Empty: SLURM. ``local``: submitit's own processes on this machine, to try things without SLURM.
    folder
        A shared folder for submitit's files and the messages of jobs; a temporary one if None, for ``local``.

    Raises
    ------
    MissingDependency
        submitit is not installed.
    ClusterError
        There is no SLURM here.
    """

    def __init__(self, address: str = "", *, folder: Path | None = None) -> None:
        try:
            import submitit
        except ImportError as error:
            raise MissingDependency(
                "submitit", needed_for="--engine slurm", extra="slurm", detail=str(error)
            ) from error
        if address not in ("", "local"):
            raise ClusterError(f"--address {address}: expected nothing with --engine slurm, or local to try it")
        if not address and shutil.which("sbatch") is None:
            raise ClusterError(
                "--engine slurm: no sbatch on this machine: run vidfer on a login node of the cluster "
                "(--address local tries the same without SLURM)"
            )
        self.is_local = address == "local"
        self.folder = folder or Path(tempfile.mkdtemp(prefix="vidfer-slurm-"))
        self._submitit: Any = submitit.AutoExecutor(folder=self.folder, cluster=address or "slurm")

    def run(
        self,
        fn: Callable[[ItemT], ValueT],
        items: Iterable[ItemT],
        *,
        resources: Resources,
        timeout: float,
        retries: int,
        on_event: Callable[[ItemT, Any], None] | None = None,
    ) -> Generator[Outcome[ItemT, ValueT], None, None]:
        """Yield one outcome per item as it finishes; ``resources.jobs`` is the number of SLURM jobs at a time."""
        self._submitit.update_parameters(
            name="vidfer", timeout_min=60 * _HOURS, cpus_per_task=math.ceil(resources.num_cpus)
        )
        if resources.max_rss_bytes:
            self._submitit.update_parameters(mem_gb=math.ceil(resources.max_rss_bytes / 2**30) + 1)
        if resources.num_gpus:
            self._submitit.update_parameters(gpus_per_node=math.ceil(resources.num_gpus))
        return _Run(self, pickled_function(fn), iter(items), resources, timeout, retries, on_event).outcomes()

    def submit(self, *arguments: Any) -> Any:
        """Submit one job; raises ClusterError with what SLURM says."""
        try:
            return self._submitit.submit(_work_on_some, *arguments)
        except Exception as error:
            raise ClusterError(f"SLURM takes no job: {' '.join(str(error).split())[:400]}") from error

    def close(self) -> None:
        """Remove what jobs have left."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(eq=False)
class _Task(Generic[ItemT]):
    attempts: Attempts[ItemT]
    pickled: bytes


@dataclass(eq=False)
class _Job(Generic[ItemT]):
    job: Any
    messages: Path
    reader: FrameReader
    left: dict[int, _Task[ItemT]]  # by number within the job
    place: int = 0
    heard: float | None = None
    ended: float | None = None
    node: str = "a node"


@dataclass
class _Run(Generic[ItemT, ValueT]):
    executor: SlurmExecutor
    pickled_fn: bytes
    items: Iterator[ItemT]
    resources: Resources
    timeout: float
    retries: int
    on_event: Callable[[ItemT, Any], None] | None
    jobs: list[_Job[ItemT]] = field(default_factory=list)
    again: deque[_Task[ItemT]] = field(default_factory=deque)
    done: deque[Outcome[ItemT, ValueT]] = field(default_factory=deque)
    ending: list[_Job[ItemT]] = field(default_factory=list)  # they have told all

    def outcomes(self) -> Generator[Outcome[ItemT, ValueT], None, None]:
        try:
            while True:
                while len(self.jobs) < (self.resources.jobs or MOST_JOBS) and (tasks := self._next()):
                    self._submit(tasks)
                while self.done:
                    yield self.done.popleft()
                if not self.jobs:
                    return
                heard = [self._listen(job) for job in list(self.jobs)]
                if not any(heard):
                    time.sleep(_POLL_SECONDS)
        finally:
            for job in self.jobs:
                self._cancel(job)
            if self.executor.is_local:  # our own child processes: see them end
                deadline = time.monotonic() + _GRACE_SECONDS
                while not all(job.job.done() for job in self.jobs + self.ending) and time.monotonic() < deadline:
                    time.sleep(0.02)

    def _next(self) -> list[_Task[ItemT]]:
        if self.again:  # alone: what was lost may take others with it
            return [self.again.popleft()]
        return [_Task(Attempts(item), pickle.dumps(item)) for item in islice(self.items, ITEMS_PER_JOB)]

    def _submit(self, tasks: list[_Task[ItemT]]) -> None:
        token = secrets.token_bytes(TOKEN_BYTES)
        messages = self.executor.folder / f"{token.hex()}.messages"
        resources = replace(self.resources, jobs=1)
        arguments = (self.pickled_fn, [task.pickled for task in tasks], resources, self.timeout, messages, token)
        job = self.executor.submit(*arguments)
        self.jobs.append(_Job(job, messages, FrameReader(token), dict(enumerate(tasks))))

    def _listen(self, job: _Job[ItemT]) -> bool:
        """Take in what a job has written; True if it was something."""
        with contextlib.suppress(FileNotFoundError), job.messages.open("rb") as file:
            file.seek(job.place)
            data = file.read()
            job.place += len(data)
            if data:
                job.heard = time.monotonic()
            try:
                for number, message in job.reader.feed(data):
                    self._take_in(job, number, message)
            except ChannelError as error:
                self._lose(job, f"its messages were garbled: {error}")
            if data or job not in self.jobs:
                return True
        self._watch(job)
        return False

    def _take_in(self, job: _Job[ItemT], number: int, message: Message) -> None:
        kind, value = message
        if kind == "node":
            job.node = value
        elif kind == "event" and self.on_event is not None and number in job.left:
            self.on_event(job.left[number].attempts.item, value[1])
        elif kind == "log":
            log_here(value)
        elif kind == "unusable":
            raise ClusterError(f"node {job.node}: {value.message}")
        elif kind == "outcome" and number in job.left:
            task = job.left.pop(number)
            task.attempts.made += 1
            self._settle(task, task.attempts.verdict(value, retries=self.retries))
        if not job.left and job in self.jobs:
            self.jobs.remove(job)
            if self.executor.is_local:
                self.ending.append(job)
            job.messages.unlink(missing_ok=True)

    def _watch(self, job: _Job[ItemT]) -> None:
        now = time.monotonic()
        if job.heard is not None and now - job.heard > _SILENCE_SECONDS:
            self._cancel(job)
            self._lose(job, f"it gave no sign of life for {now - job.heard:.0f} s")
        elif job.ended is None and job.job.done():
            job.ended = now
        elif job.ended is not None and now - job.ended > _GRACE_SECONDS:
            self._lose(job, f"its SLURM job {job.job.job_id} ended: {job.job.state}: {_last_words(job.job)}")

    def _lose(self, job: _Job[ItemT], reason: str) -> None:
        """Try the tasks of a job again that has ended without them; the first of them was being tried."""
        self.jobs.remove(job)
        for position, task in enumerate(job.left.values()):
            if position == 0:
                task.attempts.made += 1
                self._settle(task, task.attempts.lost(f"on {job.node}: {reason}", retries=self.retries))
            else:
                self.again.append(task)

    def _cancel(self, job: _Job[ItemT]) -> None:
        with contextlib.suppress(Exception):
            job.job.cancel(check=False)

    def _settle(self, task: _Task[ItemT], outcome: Outcome[ItemT, Any] | None) -> None:
        if outcome is None:
            self.again.append(task)
        else:
            self.done.append(outcome)


def _work_on_some(
    pickled_fn: bytes, pickled_items: list[bytes], resources: Resources, timeout: float, messages: Path, token: bytes
) -> None:
    """Run some items one after the other, writing what happens to a file: a SLURM job."""
    with messages.open("ab", buffering=0) as file:
        for number, pickled_item in enumerate(pickled_items):
            for kind, value in work(
                Unopened(pickled_fn), [Unopened(pickled_item)], resources=resources, timeout=timeout
            ):
                if kind == "event":
                    value = (None, value[1])
                elif kind == "outcome":
                    value = replace(value, item=None)
                file.write(encode(token, (number, (kind, value))))
                if kind == "unusable":
                    return
            os.fsync(file.fileno())


def _last_words(job: Any) -> str:
    with contextlib.suppress(Exception):
        return " ".join((job.stderr() or "").split())[-200:]
    return ""
