"""What executors of several machines share: a node watches over its own workers, the driver counts the attempts.

On the node the local executor does the work in a worker process of its own, so that a hang, a crash, a garbled message
or a runaway is noticed, described and ended there exactly as on one machine. What it finds travels as small messages.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal

from vidfer.engine.executors import ItemT, Outcome, Resources, TaskError, ValueT
from vidfer.engine.executors.local import LocalExecutor
from vidfer.engine.executors.worker import describe

BEAT_SECONDS = 5.0  # a node that works shows it at least this often
MessageKind = Literal["node", "event", "log", "alive", "outcome", "unusable"]
Message = tuple[MessageKind, Any]

_local = LocalExecutor(keep_workers=True)  # of this process: networks stay loaded from one video to the next


def work(
    fn: Callable[[ItemT], ValueT], items: Iterable[ItemT], *, resources: Resources, timeout: float
) -> Iterator[Message]:
    """Run items on this machine and tell how it goes; each item is tried once.

    Yields
    ------
    ``("node", name)`` first; then ``("event", (item, event))`` and ``("outcome", outcome)`` as they come, and
    ``("log", (logger, level, text))`` for what vidfer logs; ``("alive", None)`` where nothing was said for
    ``BEAT_SECONDS``. If no worker starts here: ``("unusable", TaskError)``, and no more.
    """
    yield "node", f"{socket.gethostname()} (process {os.getpid()})"
    messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()

    def run() -> None:
        def tell(item: ItemT, event: Any) -> None:
            messages.put(("event", (item, event)))

        forward = _Forward(messages)
        logging.getLogger("vidfer").addHandler(forward)
        try:
            for outcome in _local.run(fn, items, resources=resources, timeout=timeout, retries=0, on_event=tell):
                messages.put(("outcome", outcome))
        except Exception as error:
            messages.put(("unusable", describe(error)))
        finally:
            logging.getLogger("vidfer").removeHandler(forward)
            messages.put(None)

    threading.Thread(target=run, name="vidfer-node", daemon=True).start()
    while True:
        try:
            message = messages.get(timeout=BEAT_SECONDS)
        except queue.Empty:
            message = ("alive", None)
        if message is None:
            return
        yield message


def log_here(value: tuple[str, int, str]) -> None:
    """Log what a node has logged, where the user has configured logging."""
    name, level, text = value
    logging.getLogger(name).log(level, "%s", text)


class _Forward(logging.Handler):
    def __init__(self, messages: queue.SimpleQueue[Message | None]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.put(("log", (record.name, record.levelno, record.getMessage())))


class Unopened:
    """A pickle that becomes what it holds in the process that opens the pickle of this object, and not before.

    Functions and items thereby cross the process in between without it having to import anything for them.
    """

    def __init__(self, pickled: bytes) -> None:
        self.pickled = pickled

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        return pickle.loads, (self.pickled,)

    def __call__(self, item: Any) -> Any:
        return pickle.loads(self.pickled)(item)


@dataclass(eq=False)
class Attempts(Generic[ItemT]):
    """An item and how often it was tried; the driver's side of retries."""

    item: ItemT
    made: int = 0

    def verdict(self, outcome: Outcome[ItemT, ValueT], *, retries: int) -> Outcome[ItemT, ValueT] | None:
        """Return the item's outcome with all attempts counted, or None if it is to be tried again."""
        if outcome.status in ("crashed", "timeout") and self.made <= retries:
            return None
        error = outcome.error
        if error is not None and outcome.status in ("crashed", "timeout") and self.made > 1:
            error = replace(error, message=f"{error.message} (tried {self.made} times)")
        return replace(outcome, item=self.item, error=error, attempts=self.made)

    def lost(self, reason: str, *, retries: int, traceback: str = "") -> Outcome[ItemT, Any] | None:
        """Return the outcome of an attempt that ended without one, or None if the item is to be tried again."""
        error = TaskError(kind="WorkerCrash", message=f"the worker process was lost: {reason}", traceback=traceback)
        return self.verdict(
            Outcome(item=self.item, status="crashed", value=None, error=error, attempts=self.made), retries=retries
        )
