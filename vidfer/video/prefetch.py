"""Decode ahead of the computation, and compute several items at once: threads behind queues that bound memory."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

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


def map_in_order(
    function: Callable[[T], R], source: Iterable[T], *, threads: int, on_start: Callable[[], None]
) -> Generator[R, None, None]:
    """Yield ``function`` of each item, in the order of ``source``, computed by several threads at once.

    At most ``threads`` + 1 items are with the threads or wait for them; ``source`` runs in the caller's thread. What
    ``function`` or ``source`` raises is raised here, after the results of the items before it. The threads end when
    the items end or this generator is closed, once each has finished the item in its hands.

    Parameters
    ----------
    function
        Must not depend on which items other threads have in hand.
    source
        The items.
    threads
        How many, from 1.
    on_start
        Called in each thread before its first item.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="vidfer-map", initializer=on_start)
    pending: deque[Future[R]] = deque()
    failure: Exception | None = None
    items = iter(source)
    try:
        while True:
            try:
                item = next(items)
            except StopIteration:
                break
            except Exception as error:
                failure = error
                break
            pending.append(pool.submit(function, item))
            del item  # it may be large
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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
