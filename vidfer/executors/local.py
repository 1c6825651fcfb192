"""Worker processes on this machine: persistent, watched, replaced when they die."""

from __future__ import annotations

import logging
import os
import selectors
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Generic

from vidfer.errors import VidferError
from vidfer.executors import (
    EXECUTORS,
    ItemT,
    Outcome,
    Resources,
    Status,
    ValueT,
    available_cpus,
)
from vidfer.executors.attempts import Attempts, Task
from vidfer.executors.channel import ChannelError, pickled_function
from vidfer.executors.process import WorkerProcess
from vidfer.memory_limit import limit_bytes, memory_advice, says_out_of_memory

_START_SECONDS = 120.0  # a worker imports torch from a cold disk before it can say anything
_POLL_SECONDS = 0.2  # how soon too much memory is seen, and ``on_wait`` called
_MAX_FAILED_STARTS = 3
_STALL_SECONDS = 1.0


@EXECUTORS.register("local")
class LocalExecutor:
    """Runs items in worker processes of this machine; see `vidfer.executors.Executor`.

    A worker that is silent for ``timeout`` seconds, dies, garbles its messages or outgrows ``max_rss_bytes`` is
    killed with all its children and replaced; its item is tried again ``retries`` times. If this process dies, by
    whatever means, the workers die too.

    Parameters
    ----------
    keep_workers
        Keep idle workers, with the networks that they have loaded, from one `run` to the next that runs the same
        function: for executors that hand over one item at a time. `close` ends them.
    on_wait
        Called several times a second while workers work; what it raises ends the run, as Ctrl-C does.
    """

    def __init__(self, *, keep_workers: bool = False, on_wait: Callable[[], None] = lambda: None) -> None:
        self._keep_workers = keep_workers
        self._on_wait = on_wait
        self._kept: list[_Worker[Any]] = []
        self._kept_for: tuple[Any, ...] = ()

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
        """Yield one outcome per item as it finishes.

        Raises
        ------
        TypeError
            ``fn`` cannot be imported by a worker.
        VidferError
            Workers cannot be started at all.
        """
        if timeout <= 0 or retries < 0:
            raise ValueError(f"expected timeout > 0 and retries >= 0, got {timeout} and {retries}")
        pickled_fn = pickled_function(fn)
        if not resources.jobs:
            resources = replace(resources, jobs=available_cpus())
        run: _Run[ItemT, ValueT] = _Run(pickled_fn, Attempts(items, retries=retries), resources, timeout, on_event)
        run.on_wait = self._on_wait
        if self._keep_workers:
            # A GPU that was assigned anew is seen by a new process only.
            signs = (pickled_fn, resources.threads_per_worker, os.environ.get("CUDA_VISIBLE_DEVICES"))
            if signs != self._kept_for:
                self.close()
            self._kept_for = signs
            run.kept = self._kept
        return run.outcomes()

    def close(self) -> None:
        """End the workers that were kept."""
        while self._kept:
            self._kept.pop().process.kill()


@dataclass(eq=False)
class _Worker(Generic[ItemT]):
    process: WorkerProcess
    deadline: float
    ready: bool = False
    task: Task[ItemT] | None = None


@dataclass
class _Run(Generic[ItemT, ValueT]):
    pickled_fn: bytes
    attempts: Attempts[ItemT, ValueT]
    resources: Resources
    timeout: float
    on_event: Callable[[ItemT, Any], None] | None
    workers: list[_Worker[ItemT]] = field(default_factory=list)
    failed_starts: int = 0
    kept: list[_Worker[ItemT]] | None = None  # idle workers of the run before, and for the run after
    on_wait: Callable[[], None] = lambda: None

    def outcomes(self) -> Generator[Outcome[ItemT, ValueT], None, None]:
        self.selector = selectors.DefaultSelector()
        clean = False
        try:
            while True:
                self._hand_out()  # before yielding: workers have work while the caller deals with an outcome
                while self.attempts.done:
                    left = time.monotonic()
                    yield self.attempts.done.popleft()
                    self._put_off(time.monotonic() - left)
                if all(worker.task is None for worker in self.workers):
                    break
                self._listen()
                self._watch()
                self.on_wait()
            clean = True
        finally:
            self._end(clean)

    def _hand_out(self) -> None:
        """Give every idle worker a task, starting workers while there are more tasks than workers."""
        while True:
            worker = next((w for w in self.workers if w.task is None), None)
            if worker is None and len(self.workers) >= self.resources.jobs:
                return
            began = time.monotonic()
            tasks = self.attempts.take()
            self._put_off(time.monotonic() - began)
            if not tasks:
                return
            if worker is None:
                worker = self._take_kept() or self._start()
            (worker.task,) = tasks
            if worker.ready:
                self._send(worker)

    def _start(self) -> _Worker[ItemT]:
        try:
            process = WorkerProcess(self.pickled_fn, threads=self.resources.threads_per_worker)
        except OSError as error:
            raise VidferError(f"a worker process cannot be started: {error}: {memory_advice()}") from error
        worker = _Worker[ItemT](process, time.monotonic() + max(_START_SECONDS, self.timeout))
        self._watch_over(worker)
        return worker

    def _take_kept(self) -> _Worker[ItemT] | None:
        while self.kept:
            worker = self.kept.pop()
            if worker.process.is_alive():
                self._watch_over(worker)
                return worker
            worker.process.kill()
        return None

    def _watch_over(self, worker: _Worker[ItemT]) -> None:
        self.workers.append(worker)
        self.selector.register(worker.process.fileno(), selectors.EVENT_READ, (worker, "messages"))
        self.selector.register(worker.process.output, selectors.EVENT_READ, (worker, "output"))

    def _send(self, worker: _Worker[ItemT]) -> None:
        assert worker.task is not None
        worker.process.forget_output()
        worker.process.send(worker.task.pickled)
        worker.deadline = time.monotonic() + self.timeout

    def _listen(self) -> None:
        """Wait for messages, output, the next deadline or the next look at memory, and take in what has come."""
        now = time.monotonic()
        wait = min((w.deadline for w in self.workers if w.task is not None), default=now) - now
        wait = max(0.0, min(wait, _POLL_SECONDS))
        events = self.selector.select(wait)
        woke = time.monotonic()
        if woke - now > wait + _STALL_SECONDS:  # suspended (Ctrl-Z, a laptop's lid): the workers probably were, too
            self._put_off(woke - now)
        for key, _ in events:
            worker, what = key.data
            if worker not in self.workers:
                continue  # it was removed while its other events waited
            if what == "output":
                if not worker.process.drain_output():
                    self.selector.unregister(key.fd)
            else:
                self._take_in(worker)
        self._put_off(time.monotonic() - woke)

    def _take_in(self, worker: _Worker[ItemT]) -> None:
        try:
            messages, is_open = worker.process.receive()
        except ChannelError as error:
            self._lose(worker, "crashed", f"its messages were garbled: {error}")
            return
        for kind, value in messages:
            worker.deadline = time.monotonic() + self.timeout
            self._handle(worker, kind, value)
        if not is_open and worker in self.workers:
            self._lose(worker, "crashed", worker.process.how_it_ended())

    def _handle(self, worker: _Worker[ItemT], kind: str, value: Any) -> None:
        if worker not in self.workers:
            return
        if kind == "log":
            name, level, message = value
            logging.getLogger(name).log(level, "%s", message)
        elif kind == "unusable":
            unusable = VidferError(f"a worker process cannot import its task: {value.message}")
            unusable.add_note(value.traceback)
            raise unusable
        elif kind == "ready":
            worker.ready = True
            self.failed_starts = 0
            if worker.task is not None:
                self._send(worker)
        elif worker.task is None:
            self._lose(worker, "crashed", "it spoke without a task")
        elif kind == "event":
            if self.on_event is not None:
                self.on_event(worker.task.item, value)
        elif kind == "exhausted":
            self._lose(worker, "crashed", f"out of memory: {value.message}: {memory_advice()}")
        else:
            task, worker.task = worker.task, None
            if kind == "ok":
                self.attempts.end(task, "ok", value=value)
            else:
                self.attempts.end(task, "failed", error=value)

    def _watch(self) -> None:
        """End workers that have been silent for too long or hold too much memory."""
        now = time.monotonic()
        limit = self.resources.max_rss_bytes
        for worker in list(self.workers):
            if worker.task is not None and now >= worker.deadline:
                self._lose(worker, "timeout", f"no sign of life for {self.timeout:g} s")
            elif limit and worker.process.rss_bytes() > limit:
                self._lose(worker, "crashed", f"out of memory: it held more than {limit >> 20} MiB")

    def _lose(self, worker: _Worker[ItemT], status: Status, reason: str) -> None:
        """Kill and forget a worker; its task is tried again, or fails."""
        tail = worker.process.output_tail()
        # It said so before it died; or it died under a limit, where native code often cannot even say so.
        is_memory = status == "crashed" and "memory" not in reason and (says_out_of_memory(tail) or limit_bytes() > 0)
        advice = f": probably out of memory: {memory_advice()}" if is_memory else ""
        self._remove(worker)
        task, worker.task = worker.task, None
        if not worker.ready:
            self.failed_starts += 1
            if self.failed_starts >= _MAX_FAILED_STARTS:
                hint = tail.rpartition("\n")[2]
                raise VidferError(f"worker processes do not start: {reason}" + (f": {hint}" if hint else "") + advice)
            if task is not None:
                self.attempts.put_back(task)  # it was never sent
        elif task is not None:
            self.attempts.lose(task, status, reason + advice, traceback=tail)

    def _remove(self, worker: _Worker[ItemT]) -> None:
        self.workers.remove(worker)
        for key in [key for key in self.selector.get_map().values() if key.data[0] is worker]:
            self.selector.unregister(key.fd)
        worker.process.kill()

    def _put_off(self, seconds: float) -> None:
        """Do not count time in which this process could not listen as silence of the workers."""
        for worker in self.workers:
            worker.deadline += seconds

    def _end(self, clean: bool) -> None:
        for worker in list(self.workers):
            if clean and self.kept is not None and worker.ready:
                self.kept.append(worker)
            elif clean:
                worker.process.stop()
            else:
                worker.process.kill()
        self.workers.clear()
        self.selector.close()
