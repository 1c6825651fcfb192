"""What a node of a cluster does: it watches over its own workers, and tells the driver what becomes of each item.

The local executor does the work in a worker process of its own, so that a hang, a crash, a garbled message or a runaway
is noticed, described and ended there exactly as on one machine. What it finds travels as small messages, which name no
item but its number: `vidfer.executors.driver` knows it.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from vidfer.executors import Resources
from vidfer.executors.local import LocalExecutor
from vidfer.executors.worker import WarningForwarder, describe

BEAT_SECONDS = 5.0  # a node that works shows it at least this often
MessageKind = Literal["node", "event", "log", "alive", "outcome", "unusable"]
Message = tuple[MessageKind, int, Any]  # kind, number of the item, content

_local = LocalExecutor(keep_workers=True)  # of this process: networks stay loaded from one video to the next


def work(
    pickled_fn: bytes, pickled_items: Sequence[bytes], *, resources: Resources, timeout: float
) -> Iterator[Message]:
    """Run items on this machine one after the other, and tell how it goes; each is tried once.

    Yields
    ------
    For each item ``("node", number, name)`` first; then its events as ``("event", number, event)`` and its outcome as
    ``("outcome", number, outcome)``, and ``("log", number, (logger, level, text))`` for what vidfer logs;
    ``("alive", number, None)`` where nothing was said for ``BEAT_SECONDS``. If no worker starts here:
    ``("unusable", number, TaskError)``, and no more.
    """
    name = f"{socket.gethostname()} (process {os.getpid()})"
    one_at_a_time = replace(resources, jobs=1)
    for number, pickled_item in enumerate(pickled_items):
        yield "node", number, name
        for kind, value in _work_on_one(pickled_fn, pickled_item, one_at_a_time, timeout):
            yield kind, number, value
            if kind == "unusable":
                return


def _work_on_one(
    pickled_fn: bytes, pickled_item: bytes, resources: Resources, timeout: float
) -> Iterator[tuple[MessageKind, Any]]:
    messages: queue.SimpleQueue[tuple[MessageKind, Any] | None] = queue.SimpleQueue()

    def run() -> None:
        def tell(_item: Any, event: Any) -> None:
            messages.put(("event", event))

        forward = WarningForwarder(lambda log: messages.put(("log", log)))
        logging.getLogger("vidfer").addHandler(forward)
        fn: Callable[[Any], Any] = _PassedOnPickle(pickled_fn)
        items: list[Any] = [_PassedOnPickle(pickled_item)]
        try:
            for outcome in _local.run(fn, items, resources=resources, timeout=timeout, retries=0, on_event=tell):
                messages.put(("outcome", replace(outcome, item=None)))
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


class _PassedOnPickle:
    """A pickle that becomes what it holds in the process that opens the pickle of this object, and not before.

    Functions and items thereby cross the process in between without it having to import anything for them.
    """

    def __init__(self, pickled: bytes) -> None:
        self.pickled = pickled

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        return pickle.loads, (self.pickled,)

    def __call__(self, item: Any) -> Any:
        return pickle.loads(self.pickled)(item)
