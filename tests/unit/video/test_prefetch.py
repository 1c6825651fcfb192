import gc
import threading
import time
from collections.abc import Iterator

import pytest

from vidfer.video.prefetch import prefetch


def _threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "vidfer-prefetch"]


def test_items_come_in_order_and_the_thread_ends() -> None:
    assert list(prefetch(range(100), depth=2)) == list(range(100))
    assert _threads() == []


def test_an_error_comes_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("disk gone")

    ahead = prefetch(source())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(OSError, match="disk gone"):
        next(ahead)
    assert _threads() == []


def test_closing_early_stops_the_thread_and_closes_the_source() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    ahead = prefetch(source(), depth=1)
    assert next(ahead) == 0
    ahead.close()
    assert closed.is_set()
    assert _threads() == []


def test_dropping_the_iterator_stops_the_thread() -> None:
    ahead = prefetch(iter(range(10**9)))
    next(ahead)
    del ahead
    gc.collect()
    assert _threads() == []


def test_it_is_never_further_ahead_than_promised() -> None:
    made = []

    def source() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            yield i

    for item in prefetch(source(), depth=2):
        time.sleep(0.002)
        assert len(made) <= item + 1 + 2 + 1  # in use, queued, being made


def test_depth_must_be_positive() -> None:
    with pytest.raises(ValueError, match="depth"):
        next(prefetch([1], depth=0))
