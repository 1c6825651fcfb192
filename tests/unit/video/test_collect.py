import numpy as np

from vidfer.video.collect import BufferPool


def test_an_array_is_used_again_only_when_nobody_holds_it() -> None:
    pool = BufferPool()
    first = pool.take((2, 4, 4, 3))
    view = first[:1]
    address = first.ctypes.data
    del first
    other = pool.take((2, 4, 4, 3))
    assert other.ctypes.data != address  # a view is still alive
    del view
    assert pool.take((2, 4, 4, 3)).ctypes.data == address


def test_memory_stays_bounded_with_a_consumer_that_lets_go() -> None:
    pool = BufferPool()
    addresses = {pool.take((2, 4, 4, 3)).ctypes.data for _ in range(100)}
    assert len(addresses) == 1


def test_a_consumer_that_keeps_everything_gets_memory_of_its_own() -> None:
    pool = BufferPool()
    kept = [pool.take((1, 2, 2, 3)) for _ in range(50)]
    for value, array in enumerate(kept):
        array[:] = value
    assert [int(np.unique(array)[0]) for array in kept] == list(range(50))
    assert len({array.ctypes.data for array in kept}) == 50
