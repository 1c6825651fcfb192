"""Arrays that stay on disk read like the arrays that they are, and read no more than they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidfer.errors import CacheError
from vidfer.store.cache import StageCache
from vidfer.store.cache_key import key_for
from vidfer.types import StoredArray

KEY = key_for("faces", version=1, config={})
VALUES = np.random.default_rng(3).normal(size=(3000, 68, 2)).astype(np.float32)  # 1.6 MB: many chunks of the file


@pytest.fixture
def stored(tmp_path: Path) -> StoredArray:
    cache = StageCache(tmp_path)
    cache.store("faces", KEY, {"landmarks": VALUES, "score": np.ones(3000)})
    array = cache.open_array("faces", KEY, "landmarks")
    assert array is not None
    return array


@pytest.mark.parametrize(
    "index",
    [
        *(0, -1, 2999, np.int64(7)),
        *(slice(None), slice(5, 9), slice(2990, 5000), slice(9, 5), slice(None, None, 700), slice(90, 10, -7)),
        *(np.array([4, 2, 2, 2999]), [1, -1], np.zeros(0, np.int64), np.array([[1, 2], [3, 4]])),
        np.arange(3000) % 1000 == 3,
        *((slice(None), slice(28, 30)), (np.array([9, 3]), slice(28, 30)), (5, 2, 1), (slice(1, 3), [0, 5], 1)),
        *((np.array([1, 2]), np.array([3, 4])), (Ellipsis, 0), None),
    ],
    ids=str,
)
def test_any_index_gives_what_the_array_would(stored: StoredArray, index: Any) -> None:
    expected = VALUES[index]
    assert stored[index].dtype == expected.dtype
    np.testing.assert_array_equal(stored[index], expected)


def test_the_whole_is_an_array_of_the_same_shape_and_type(stored: StoredArray) -> None:
    assert (len(stored), stored.shape, stored.ndim, stored.dtype) == (3000, VALUES.shape, 3, np.float32)
    np.testing.assert_array_equal(np.asarray(stored), VALUES)
    np.testing.assert_allclose(np.asarray(stored, np.float64).mean(), VALUES.mean(dtype=np.float64))
    with pytest.raises(IndexError):
        stored[3000]


def test_only_rows_in_between_are_read() -> None:
    read: list[tuple[int, int]] = []

    def take(first: int, last: int) -> np.ndarray:
        read.append((first, last))
        return VALUES[first:last]

    array = StoredArray(VALUES.shape, VALUES.dtype, take)
    array[[20, 12]], array[5], array[100:40:-20], array[np.zeros(3000, bool)]
    assert read == [(12, 21), (5, 6), (60, 101), (0, 0)]


def test_the_file_may_be_replaced_while_it_is_read(stored: StoredArray, tmp_path: Path) -> None:
    cache = StageCache(tmp_path)
    cache.store("faces", KEY, {"landmarks": np.zeros((2, 68, 2), np.float32)})
    cache.remove("faces", KEY)
    np.testing.assert_array_equal(stored[10:20], VALUES[10:20])


def test_what_is_missing_or_damaged_is_not_opened(tmp_path: Path) -> None:
    cache = StageCache(tmp_path)
    assert cache.open_array("faces", KEY, "landmarks") is None
    cache.store("faces", KEY, {"landmarks": VALUES})
    assert cache.open_array("faces", KEY, "nonsense") is None
    assert [problem.stage for problem in cache.problems] == ["faces"]
    cache.store("faces", KEY, {"landmarks": VALUES})
    path = cache.path("faces", KEY)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert cache.open_array("faces", KEY, "landmarks") is None
    assert "SHA-256" in cache.problems[-1].reason


def test_damage_done_while_it_is_open_is_an_error_and_not_a_number(stored: StoredArray, tmp_path: Path) -> None:
    path = StageCache(tmp_path).path("faces", KEY)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 100_000)
    with pytest.raises(CacheError, match="run the same command again"):
        stored[:]
