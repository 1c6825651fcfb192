"""SLURM, through submitit: jobs of a few items each, watched on their nodes, reporting through the shared folder."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidfer.errors import ClusterError, MissingDependency
from vidfer.executors import EXECUTORS, ItemT, Outcome, Resources, ValueT
from vidfer.executors.channel import TOKEN_BYTES, ChannelError, FrameReader, encode, pickled_function
from vidfer.executors.driver import SubmissionLost, drive
from vidfer.executors.node import Message, work

ITEMS_PER_JOB = 8  # the networks are loaded once for so many videos; a job that is lost costs one of them an attempt
MAX_JOBS = 64  # in SLURM's queue at a time, unless --jobs says otherwise
_HOURS = 24  # a job's limit; $SBATCH_TIMELIMIT overrides it, as $SBATCH_PARTITION and the like do
_POLL_SECONDS = 0.1
_SILENCE_SECONDS = 180.0
_GRACE_SECONDS = 5.0  # until what a node has written is seen here


@EXECUTORS.register("slurm")
class SlurmExecutor:
    """Runs items in SLURM jobs; see `vidfer.executors.Executor`.

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
        os.environ.setdefault("PYTHONSAFEPATH", "1")  # submitit's `python -m` would look in the current folder first
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
        return self._outcomes(_Jobs(self, pickled_function(fn), resources, timeout), items, retries, on_event)

    def _outcomes(
        self, jobs: _Jobs, items: Iterable[ItemT], retries: int, on_event: Callable[[ItemT, Any], None] | None
    ) -> Generator[Outcome[ItemT, Any], None, None]:
        with contextlib.closing(jobs):
            yield from drive(jobs, items, retries=retries, on_event=on_event)

    def submit(self, *arguments: Any) -> Any:
        """Submit one job; raises ClusterError with what SLURM says."""
        try:
            return self._submitit.submit(_work, *arguments)
        except Exception as error:
            raise ClusterError(f"SLURM takes no job: {' '.join(str(error).split())[:400]}") from error

    def close(self) -> None:
        """Remove what jobs have left."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(eq=False)
class _Job:
    job: Any
    messages: Path
    reader: FrameReader
    unfinished: int
    place: int = 0
    ended: float | None = None


class _Jobs:
    """The jobs of one run: an `vidfer.executors.driver.Engine`."""

    items_per_submission = ITEMS_PER_JOB
    silence_seconds = _SILENCE_SECONDS

    def __init__(self, executor: SlurmExecutor, pickled_fn: bytes, resources: Resources, timeout: float) -> None:
        self.executor, self.pickled_fn, self.resources, self.timeout = executor, pickled_fn, resources, timeout
        self.ending: list[_Job] = []  # they have sent all results, or are being cancelled

    def room(self) -> int:
        return self.resources.jobs or MAX_JOBS

    def submit(self, pickled_items: Sequence[bytes]) -> _Job:
        token = secrets.token_bytes(TOKEN_BYTES)
        messages = self.executor.folder / f"{token.hex()}.messages"
        job = self.executor.submit(self.pickled_fn, pickled_items, self.resources, self.timeout, messages, token)
        return _Job(job, messages, FrameReader(token), len(pickled_items))

    def listen(self, handles: Sequence[_Job]) -> Iterator[tuple[_Job, Message | SubmissionLost]]:
        is_silent = True
        for job in handles:
            for message in self._new_of(job):
                is_silent = False
                yield job, message
        if is_silent:
            time.sleep(_POLL_SECONDS)

    def _new_of(self, job: _Job) -> Iterator[Message | SubmissionLost]:
        data = b""
        with contextlib.suppress(FileNotFoundError), job.messages.open("rb") as file:
            file.seek(job.place)
            data = file.read()
        job.place += len(data)
        try:
            for message in job.reader.feed(data):
                yield message
                if message[0] == "outcome":
                    job.unfinished -= 1
        except ChannelError as error:
            yield SubmissionLost(f"its messages were garbled: {error}")
            return
        if not job.unfinished:
            job.messages.unlink(missing_ok=True)
            self._see_the_end_of(job)
        elif data:
            return
        elif job.ended is None and job.job.done():
            job.ended = time.monotonic()
        elif job.ended is not None and time.monotonic() - job.ended > _GRACE_SECONDS:
            yield SubmissionLost(f"its SLURM job {job.job.job_id} ended: {job.job.state}: {_last_words(job.job)}")

    def cancel(self, handle: _Job) -> None:
        with contextlib.suppress(Exception):
            handle.job.cancel(check=False)
        self._see_the_end_of(handle)

    def _see_the_end_of(self, job: _Job) -> None:
        if self.executor.is_local:  # our own child processes
            self.ending.append(job)

    def close(self) -> None:
        deadline = time.monotonic() + _GRACE_SECONDS
        while not all(job.job.done() for job in self.ending) and time.monotonic() < deadline:
            time.sleep(0.02)


def _work(
    pickled_fn: bytes, pickled_items: list[bytes], resources: Resources, timeout: float, messages: Path, token: bytes
) -> None:
    """Work on some items, writing what happens to a file: a SLURM job."""
    with messages.open("ab", buffering=0) as file:
        for message in work(pickled_fn, pickled_items, resources=resources, timeout=timeout):
            file.write(encode(token, message))
            if message[0] == "outcome":
                os.fsync(file.fileno())


def _last_words(job: Any) -> str:
    with contextlib.suppress(Exception):
        return " ".join((job.stderr() or "").split())[-200:]
    return ""
