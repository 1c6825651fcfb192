import gc
import threading
import time
from collections.abc import Iterator

import pytest

from vidfer.video.prefetch import map_in_order, prefetch


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


def _nothing() -> None:
    pass


def test_results_come_in_order_however_long_each_takes() -> None:
    def slow(item: int) -> int:
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item

    assert list(map_in_order(slow, range(20), threads=3, on_start=_nothing)) == list(range(20))


def test_several_threads_work_at_once_each_started_once() -> None:
    started: list[str] = []
    meeting = threading.Barrier(3, timeout=10)  # passes only where three wait at the same time
    results = map_in_order(lambda _: meeting.wait(), range(6), threads=3, on_start=lambda: started.append("x"))
    assert len(list(results)) == 6
    assert len(started) == 3
    assert _mapping_threads() == []


def test_no_more_items_are_taken_than_promised() -> None:
    taken = []

    def source() -> Iterator[int]:
        for i in range(20):
            taken.append(i)
            yield i

    for done, _ in enumerate(map_in_order(str, source(), threads=2, on_start=_nothing)):
        assert len(taken) <= done + 1 + 2


def test_an_error_comes_after_the_results_before_it() -> None:
    def source() -> Iterator[int]:
        yield 0
        yield 1
        raise OSError("disk gone")

    results = map_in_order(str, source(), threads=4, on_start=_nothing)
    assert [next(results), next(results)] == ["0", "1"]
    with pytest.raises(OSError, match="disk gone"):
        next(results)

    def fails_on_two(item: int) -> int:
        return 1 // (2 - item)

    results = map_in_order(fails_on_two, range(9), threads=2, on_start=_nothing)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert _mapping_threads() == []


def test_closing_early_ends_the_threads() -> None:
    results = map_in_order(str, iter(range(10**9)), threads=2, on_start=_nothing)
    assert next(results) == "0"
    results.close()
    assert _mapping_threads() == []


def _mapping_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("vidfer-map")]
