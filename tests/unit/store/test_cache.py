"""The stage cache, on real files: what is stored comes back, what is damaged never does."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from vidfer.errors import CacheError, OutputError
from vidfer.store.cache import StageCache
from vidfer.store.cache_key import key_for

KEY = key_for("faces", version=1, config={"min_score": 0.5}, inputs=["ab" * 32], reader="pyav")
OTHER = key_for("faces", version=1, config={"min_score": 0.6}, inputs=["ab" * 32], reader="pyav")


def rows(start: int, stop: int) -> dict[str, np.ndarray]:
    """Rows start..stop of one endless table: frames, and two faces for each frame."""
    frames = np.arange(start, stop, dtype=np.int64)
    faces = np.arange(2 * start, 2 * stop)
    return {
        "pts_seconds": frames / 25.0,
        "frame_row": faces // 2,
        "landmarks": np.sin(faces[:, None, None] + np.arange(136).reshape(68, 2)).astype(np.float32),
        "vectors": np.cos(faces[:, None] + np.arange(64)).astype(np.float16),
        "followed": faces % 3 == 0,
    }


def bad_files(cache: StageCache) -> list[str]:
    return sorted(path.name for path in cache.root.rglob("*.bad"))


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    return StageCache(tmp_path / "cache")


class TestStoreAndLoad:
    def test_arrays_and_attributes_come_back_as_they_were(self, cache: StageCache) -> None:
        table = rows(0, 300) | {"none": np.zeros((0, 4), np.float32), "flat": np.zeros((5, 0), np.int32)}
        attributes = {"reader": "pyav", "nested": {"b": [1, 2.5, None], "a": "ü"}}
        cache.store("faces", KEY, table, attributes)
        loaded = cache.load("faces", KEY)
        assert loaded is not None
        assert loaded.attributes == attributes
        assert sorted(loaded.arrays) == sorted(table)
        for name, array in table.items():
            assert loaded.arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(loaded.arrays[name], array)
        assert cache.contains("faces", KEY)
        assert cache.problems == []

    def test_a_table_may_consist_of_attributes_only(self, cache: StageCache) -> None:
        cache.store("faces", KEY, {}, {"reader": "pyav"})
        loaded = cache.load("faces", KEY)
        assert loaded is not None
        assert (dict(loaded.arrays), loaded.attributes) == ({}, {"reader": "pyav"})

    def test_what_was_never_stored_is_missing_without_complaint(self, cache: StageCache) -> None:
        assert cache.load("faces", KEY) is None
        assert not cache.contains("faces", KEY)
        assert list(cache.iter_parts("faces", KEY)) == []
        assert cache.load_failure("faces", KEY) is None
        assert cache.problems == []

    def test_other_tools_can_open_the_file(self, cache: StageCache) -> None:
        cache.store("faces", KEY, rows(0, 10), {"reader": "pyav"})
        with h5py.File(cache.path("faces", KEY), "r", locking=False) as file:
            assert file.attrs["key"] == KEY
            assert json.loads(file.attrs["attributes"]) == {"reader": "pyav"}
            assert json.loads(file.attrs["rows"])["landmarks"] == [20, 68, 2]
            assert len(file.attrs["payload_sha256"]) == 64
            assert file["landmarks"].fletcher32
            np.testing.assert_array_equal(file["vectors"][...], rows(0, 10)["vectors"])

    def test_equal_tables_give_equal_bytes_in_another_process_at_another_time(self, cache: StageCache) -> None:
        cache.store("faces", KEY, rows(0, 100), {"b": 1, "a": 2})
        first = cache.path("faces", KEY).read_bytes()
        time.sleep(1.1)  # HDF5 time stamps count seconds
        code = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "from test_cache import *\n"
            f"StageCache({str(cache.root)!r}).store('faces', KEY, dict(reversed(rows(0, 100).items())), dict(a=2, b=1))"
        )
        subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONHASHSEED": "7"})
        assert cache.path("faces", KEY).read_bytes() == first

    def test_big_endian_and_strided_arrays_are_stored_alike(self, cache: StageCache) -> None:
        plain = {"a": np.arange(10, dtype="<f4")}
        cache.store("faces", KEY, plain)
        first = cache.path("faces", KEY).read_bytes()
        cache.store("faces", KEY, {"a": np.arange(0, 10, 0.5, dtype=">f4")[::2]})
        assert cache.path("faces", KEY).read_bytes() == first

    @pytest.mark.parametrize("array", [np.array(["text"]), np.array([None]), np.float32(3).reshape(())])
    def test_only_numbers_in_rows_are_accepted(self, cache: StageCache, array: np.ndarray) -> None:
        with pytest.raises(ValueError, match="expected numbers"):
            cache.store("faces", KEY, {"a": array})

    @pytest.mark.parametrize(("stage", "key"), [("../faces", KEY), ("faces", "../../etc/passwd"), ("faces", "")])
    def test_names_cannot_leave_the_folder(self, cache: StageCache, stage: str, key: str) -> None:
        with pytest.raises(ValueError, match="expected a stage name"):
            cache.path(stage, key)

    def test_two_kilobytes_per_face_are_kept(self, cache: StageCache) -> None:
        table = rows(0, 2000) | {"logits": np.zeros((4000, 8), np.float32)}
        cache.store("faces", KEY, table)
        payload = sum(array.nbytes for array in table.values())
        assert cache.path("faces", KEY).stat().st_size < 1.15 * payload


class TestDamage:
    def test_any_flipped_byte_is_noticed_and_the_file_set_aside(self, cache: StageCache) -> None:
        cache.store("faces", KEY, rows(0, 3), {"reader": "pyav"})
        path = cache.path("faces", KEY)
        good = path.read_bytes()
        generator = np.random.default_rng(0)
        places = sorted({0, 5, 100, 300, 511, 512, 513, len(good) - 1, *generator.integers(0, len(good), 300).tolist()})
        for place in places:
            damaged = bytearray(good)
            damaged[place] ^= 1 << int(generator.integers(8))
            path.write_bytes(damaged)
            assert cache.load("faces", KEY) is None, f"byte {place} flipped and not noticed"
            assert not path.exists()
        assert len(cache.problems) == len(places)
        assert bad_files(cache) == [path.name + ".bad"]

    @pytest.mark.parametrize("size", [0, 1, 511, 512, 1000, -1])
    def test_a_cut_off_file_is_set_aside_and_can_be_stored_again(
        self, cache: StageCache, size: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        cache.store("faces", KEY, rows(0, 30))
        path = cache.path("faces", KEY)
        path.write_bytes(path.read_bytes()[:size])
        assert not cache.contains("faces", KEY)
        assert cache.load("faces", KEY) is None
        assert bad_files(cache) == [path.name + ".bad"]
        assert cache.problems[0].path == str(path)
        assert "set aside" in caplog.text
        cache.store("faces", KEY, rows(0, 30))
        assert cache.load("faces", KEY) is not None

    def test_an_appended_byte_is_noticed(self, cache: StageCache) -> None:
        cache.store("faces", KEY, rows(0, 3))
        with cache.path("faces", KEY).open("ab") as file:
            file.write(b"\0")
        assert not cache.contains("faces", KEY)
        assert cache.load("faces", KEY) is None

    def test_a_file_of_another_key_or_stage_is_foreign(self, cache: StageCache) -> None:
        cache.store("faces", OTHER, rows(0, 3))
        for stage in ("faces", "embeddings"):
            path = cache.path(stage, KEY)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cache.path("faces", OTHER).read_bytes())
            assert not cache.contains(stage, KEY)
            assert cache.load(stage, KEY) is None
            assert "belongs to another" in cache.problems[-1].reason
        assert cache.load("faces", OTHER) is not None

    @pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" * 200, b"vidfer cache 1\n{}", b"x" * 5000])
    def test_files_that_are_something_else_are_set_aside(self, cache: StageCache, content: bytes) -> None:
        path = cache.path("faces", KEY)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        assert cache.load("faces", KEY) is None
        assert bad_files(cache) == [path.name + ".bad"]

    def test_a_folder_in_place_of_the_file_is_set_aside(self, cache: StageCache) -> None:
        cache.path("faces", KEY).mkdir(parents=True)
        assert cache.load("faces", KEY) is None
        cache.store("faces", KEY, rows(0, 3))
        assert cache.load("faces", KEY) is not None

    def test_a_forged_file_cannot_claim_more_memory_than_it_has_bytes(self, cache: StageCache, tmp_path: Path) -> None:
        cache.store("faces", KEY, {"a": np.arange(4)})
        path = cache.path("faces", KEY)
        forge_huge_array(path)
        assert cache.load("faces", KEY) is None
        assert "more than the file has" in cache.problems[0].reason


def forge_huge_array(path: Path) -> None:
    """Rewrite a cache file with valid digests so that it declares 8 TB."""
    import hashlib

    with h5py.File(path, "r+", locking=False) as file:
        del file["a"]
        file.create_dataset("a", shape=(10**12,), chunks=(1024,), dtype="i8")
        file.attrs["rows"] = json.dumps({"a": [10**12]})
    data = path.read_bytes()
    fields = json.loads(data[len(b"vidfer cache 1\n") : 512].rstrip(b"\0"))
    fields |= {"size": len(data), "sha256": hashlib.sha256(data[512:]).hexdigest()}
    header = b"vidfer cache 1\n" + json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(header.ljust(512, b"\0") + data[512:])


class TestParts:
    @pytest.mark.parametrize("step", [7, 64, 200])
    def test_the_joined_file_has_the_bytes_of_one_stored_in_one_go(self, cache: StageCache, step: int) -> None:
        cache.store("faces", OTHER, rows(0, 200))
        cache.store("faces", KEY, rows(0, 200), {"reader": "pyav"})
        expected = cache.path("faces", KEY).read_bytes()
        cache.remove("faces", KEY)
        starts = range(0, 200, step)
        for index, start in enumerate(starts):
            cache.store_part("faces", KEY, index, rows(start, min(200, start + step)), {"at": start})
        cache.finish("faces", KEY, {"reader": "pyav"}, num_parts=len(starts))
        assert cache.path("faces", KEY).read_bytes() == expected
        assert [path.name for path in cache.path("faces", KEY).parent.iterdir()] == [f"{KEY}.h5"]

    def test_a_killed_run_continues_after_its_last_part(self, cache: StageCache) -> None:
        for index in range(3):
            cache.store_part("faces", KEY, index, rows(10 * index, 10 * index + 10), {"last": index})
        parts = list(StageCache(cache.root).iter_parts("faces", KEY))
        assert [part.attributes["last"] for part in parts] == [0, 1, 2]
        assert cache.part_attributes("faces", KEY) == [{"last": 0}, {"last": 1}, {"last": 2}]
        joined = np.concatenate([part.arrays["pts_seconds"] for part in parts])
        np.testing.assert_array_equal(joined, rows(0, 30)["pts_seconds"])
        assert not cache.contains("faces", KEY)

    def test_parts_without_rows_are_fine(self, cache: StageCache) -> None:
        for index in range(2):
            cache.store_part("faces", KEY, index, rows(0, 0))
        cache.finish("faces", KEY, num_parts=2)
        table = cache.load("faces", KEY)
        assert table is not None
        assert table.arrays["landmarks"].shape == (0, 68, 2)

    def test_a_damaged_part_ends_the_valid_start_and_is_set_aside(self, cache: StageCache) -> None:
        for index in range(4):
            cache.store_part("faces", KEY, index, rows(10 * index, 10 * index + 10))
        part = next(cache.root.rglob("*.part000002.h5"))
        data = bytearray(part.read_bytes())
        data[-5] ^= 1
        part.write_bytes(data)
        with pytest.raises(CacheError, match="not all of its 4 parts"):
            cache.finish("faces", KEY, num_parts=4)
        assert bad_files(cache) == [part.name + ".bad"]
        assert len(list(cache.iter_parts("faces", KEY))) == 2

    def test_parts_of_an_earlier_division_are_not_joined_to_new_ones(self, cache: StageCache) -> None:
        for index in range(3):
            cache.store_part("faces", KEY, index, rows(10 * index, 10 * index + 10))
        cache.store_part("faces", KEY, 1, rows(10, 35))  # part 2 still holds rows 20 to 30
        parts = list(cache.iter_parts("faces", KEY))
        assert [len(part.arrays["pts_seconds"]) for part in parts] == [10, 25]
        assert cache.problems == []
        cache.finish("faces", KEY, num_parts=2)
        assert list(cache.root.rglob("*.part*")) == []

    def test_parts_of_unlike_arrays_are_a_mistake_of_the_stage(self, cache: StageCache) -> None:
        cache.store_part("faces", KEY, 0, {"a": np.zeros((3, 2))})
        cache.store_part("faces", KEY, 1, {"a": np.zeros((3, 4))})
        with pytest.raises(ValueError, match="array a is missing or of another shape"):
            cache.finish("faces", KEY, num_parts=2)

    def test_two_workers_on_copies_of_one_video_do_not_disturb_each_other(self, cache: StageCache) -> None:
        other = StageCache(cache.root)
        for worker in (cache, other):
            worker.store_part("faces", KEY, 0, rows(0, 10))
        cache.store_part("faces", KEY, 1, rows(10, 20))
        cache.finish("faces", KEY, num_parts=2)
        other.store_part("faces", KEY, 1, rows(10, 20))
        other.finish("faces", KEY, num_parts=2)
        table = other.load("faces", KEY)
        assert table is not None
        np.testing.assert_array_equal(table.arrays["pts_seconds"], rows(0, 20)["pts_seconds"])

    def test_parts_left_by_a_kill_after_publishing_are_removed(self, cache: StageCache) -> None:
        cache.store_part("faces", KEY, 0, rows(0, 10))
        cache.store_part("faces", OTHER, 0, rows(0, 10))
        cache.store("faces", KEY, rows(0, 10))
        assert cache.remove_leftovers() == 1
        assert len(list(cache.iter_parts("faces", OTHER))) == 1


class TestFailures:
    def test_a_failure_is_kept_until_it_is_removed(self, cache: StageCache) -> None:
        cache.store_failure("faces", KEY, {"reason": "no_frames", "detail": "ü"})
        assert cache.load_failure("faces", KEY) == {"reason": "no_frames", "detail": "ü"}
        assert cache.path("faces", KEY).with_name(f"{KEY}.err.json").is_file()
        cache.remove_failure("faces", KEY)
        assert cache.load_failure("faces", KEY) is None

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"sha256": 1, "stage": 2}'])
    def test_a_damaged_failure_is_set_aside(self, cache: StageCache, content: bytes) -> None:
        cache.store_failure("faces", KEY, {"reason": "no_frames"})
        path = next(cache.root.rglob("*.err.json"))
        path.write_bytes(content)
        assert cache.load_failure("faces", KEY) is None
        assert bad_files(cache) == [path.name + ".bad"]

    def test_an_edited_failure_is_noticed(self, cache: StageCache) -> None:
        cache.store_failure("faces", KEY, {"reason": "no_frames"})
        path = next(cache.root.rglob("*.err.json"))
        path.write_text(path.read_text().replace("no_frames", "something"))
        assert cache.load_failure("faces", KEY) is None


def test_an_unwritable_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="choose another --out"):
        StageCache(tmp_path / "cache").store("faces", KEY, rows(0, 3))


def test_asking_what_is_cached_imports_neither_numpy_nor_h5py(cache: StageCache) -> None:
    cache.store("faces", KEY, rows(0, 3))
    code = (
        "import sys; from vidfer.store.cache import StageCache\n"
        f"assert StageCache({str(cache.root)!r}).contains('faces', {KEY!r})\n"
        "sys.exit(sorted({'numpy', 'h5py', 'torch'} & set(sys.modules)) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""
