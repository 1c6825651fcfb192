"""Decode ahead of the computation: an iterator run in a thread, behind a queue that bounds memory."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_JOIN_SECONDS = 30.0


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def prefetch(source: Iterable[T], *, depth: int = 2) -> Generator[T, None, None]:
    """Yield what ``source`` yields, computed up to ``depth`` items ahead in a thread of its own.

    At most ``depth`` + 2 items exist at a time: queued ones, the one being made and the one in use. What ``source``
    raises is raised here, after the items before it. The thread starts with the first ``next()``; it ends, and
    ``source`` is closed in it, when the items end or this generator is closed.
    """
    if depth < 1:
        raise ValueError(f"depth: expected 1 or more, got {depth}")
    items: queue.Queue[object] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(source, items, stop), name="vidfer-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = items.get()
            if item is _END:
                return
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]  # only _fill puts, and it puts T
    finally:
        stop.set()
        thread.join(_JOIN_SECONDS)
        if thread.is_alive():
            logger.warning("the reader thread is stuck in native code and is left behind")


def _fill(source: Iterable[T], items: queue.Queue[object], stop: threading.Event) -> None:
    last: object = _END
    try:
        iterator = iter(source)
        try:
            for item in iterator:
                if not _put(items, item, stop):
                    return
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
    except BaseException as error:  # carried to the consumer, whatever it is
        last = _Failure(error)
    finally:
        _put(items, last, stop)


def _put(items: queue.Queue[object], item: object, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            items.put(item, timeout=_POLL_SECONDS)
            return True
        except queue.Full:
            continue
    return False
