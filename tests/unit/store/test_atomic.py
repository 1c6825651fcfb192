"""Files appear whole or not at all: kill -9, a full disk, no permission."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vidfer.errors import OutputError
from vidfer.store.atomic import remove_temporary_files, write_bytes, write_text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode != 0:
        pytest.skip(f"a small tmpfs cannot be mounted here (needs root): {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_the_content_and_missing_folders_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    write_text(path, "größe\r\n")
    assert path.read_bytes() == "größe\r\n".encode()
    write_bytes(path, b"")
    assert path.read_bytes() == b""
    assert list(path.parent.iterdir()) == [path]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "f", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640


def test_a_symlink_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("precious")
    (tmp_path / "out").symlink_to(target)
    write_text(tmp_path / "out", "new")
    assert target.read_text() == "precious"
    assert not (tmp_path / "out").is_symlink()


def test_a_full_disk_gives_a_clear_error_keeps_the_old_file_and_leaves_nothing(small_disk: Path) -> None:
    write_bytes(small_disk / "old", b"old content")
    with pytest.raises(OutputError, match=r"old: cannot be written: no space left on device: free some space"):
        write_bytes(small_disk / "old", bytes(1 << 20))
    assert (small_disk / "old").read_bytes() == b"old content"
    assert [path.name for path in small_disk.iterdir()] == ["old"]
    write_bytes(small_disk / "old", bytes(1 << 15))  # and the space is free again


def test_a_cache_on_a_full_disk_keeps_its_parts_and_continues_when_there_is_space(small_disk: Path) -> None:
    import numpy as np

    from vidfer.store.cache import StageCache

    key = "0" * 64
    cache = StageCache(small_disk / "cache")
    stored = 0

    def fill() -> None:
        nonlocal stored
        for stored in range(100):
            cache.store_part("faces", key, stored, {"a": np.full(2000, stored)})

    with pytest.raises(OutputError, match="no space left"):
        fill()
    assert 0 < stored < 99
    assert len(list(cache.iter_parts("faces", key))) == stored
    with pytest.raises(OutputError, match="no space left"):
        cache.finish("faces", key, num_parts=stored)
    assert not cache.contains("faces", key)
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    cache.finish("faces", key, num_parts=stored)
    table = cache.load("faces", key)
    assert table is not None
    assert len(table.arrays["a"]) == 2000 * stored


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda p: (p / "f").write_text(""), "not a folder"),
        (lambda p: (p / "f" / "name").mkdir(parents=True), "a folder has this name"),
    ],
)
def test_what_stands_in_the_way_is_named(tmp_path: Path, make: object, match: str) -> None:
    make(tmp_path)  # type: ignore[operator]
    with pytest.raises(OutputError, match=match):
        write_text(tmp_path / "f" / "name", "x")
    assert list(tmp_path.rglob(".vidfer-*")) == []


def test_a_name_that_is_too_long_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="rename the clip"):
        write_text(tmp_path / ("x" * 300), "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_is_an_output_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="allow writing"):
        write_text(tmp_path / "f", "x")


def test_a_name_as_long_as_the_file_system_allows_works(tmp_path: Path) -> None:
    write_text(tmp_path / ("x" * 255), "y")
    assert (tmp_path / ("x" * 255)).read_text() == "y"


def test_kill_at_any_moment_leaves_the_old_or_the_new_content(tmp_path: Path) -> None:
    code = (
        "import sys, itertools; from vidfer.store.atomic import write_bytes\n"
        "for i in itertools.count(): write_bytes(sys.argv[1], bytes([i % 256]) * 300_000)"
    )
    path = tmp_path / "f"
    for attempt in range(6):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)])
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.01 + 0.007 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = path.read_bytes()
        assert len(content) == 300_000
        assert len(set(content)) == 1
    remove_temporary_files(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_aside_files_are_cleaned_and_nothing_else(tmp_path: Path) -> None:
    for name in ("sub/.vidfer-1-abc.aside", ".vidfer-2-def.aside", "sub/kept.aside", ".vidfer-kept"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert remove_temporary_files(tmp_path) == 2
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [".vidfer-kept", "kept.aside"]
