"""Content fingerprints: right whatever happens to the file, and remembered only where that is safe."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

import vidfer.store.fingerprint
from vidfer.errors import BadVideo
from vidfer.store.fingerprint import Fingerprint, FingerprintMemo, content_fingerprint, fingerprint_file


def old_file(path: Path, content: bytes) -> Path:
    """Write a file; wait until its change lies far enough back to be trusted."""
    path.write_bytes(content)
    time.sleep(2.1 if path.stat().st_ctime_ns % 1_000_000_000 == 0 else 0.15)
    return path


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_fingerprint_is_the_sha256_of_the_content(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "a.mp4").write_bytes(content)
    assert content_fingerprint(tmp_path / "a.mp4") == sha(content)
    (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")
    assert content_fingerprint(tmp_path / "b.mp4") == sha(content)


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = old_file(tmp_path / "a.mp4", b"content")
    memo = FingerprintMemo(tmp_path / "store" / "fingerprints.json")
    content_fingerprint(clip, memo)
    memo.save()
    again = FingerprintMemo(memo.path)
    assert again.recall(clip) == sha(b"content")
    monkeypatch.chdir(tmp_path)
    assert again.recall("a.mp4") == sha(b"content")


def test_a_touched_a_changed_and_a_replaced_file_are_read_again(tmp_path: Path) -> None:
    clip = old_file(tmp_path / "a.mp4", b"content")
    memo = FingerprintMemo(tmp_path / "fingerprints.json")
    content_fingerprint(clip, memo)
    info = clip.stat()
    other = tmp_path / "other"
    other.write_bytes(b"CONTENT")
    os.utime(other, ns=(info.st_atime_ns, info.st_mtime_ns))  # same size, same date, as rsync -t or cp -p leave it
    other.replace(clip)
    assert memo.recall(clip) is None
    assert content_fingerprint(clip, memo) == sha(b"CONTENT")
    clip.write_bytes(b"longer content")
    assert content_fingerprint(clip, memo) == sha(b"longer content")
    clip.unlink()
    assert memo.recall(clip) is None


def test_a_file_that_changed_a_moment_ago_is_not_remembered(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"content")
    memo = FingerprintMemo(tmp_path / "fingerprints.json")
    assert content_fingerprint(clip, memo) == sha(b"content")
    assert not fingerprint_file(clip).settled
    assert memo.recall(clip) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "folder"])
def test_a_damaged_store_costs_only_the_hashing(tmp_path: Path, damage: str) -> None:
    memo = fill(FingerprintMemo(tmp_path / "fingerprints.json"), 10)
    memo.save()
    data = memo.path.read_bytes()
    if damage == "folder":
        memo.path.unlink()
        memo.path.mkdir()
    else:
        at = len(data) // 2
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        memo.path.write_bytes({"cut": data[:at], "flip": flipped, "empty": b"", "text": b"hello\n{}\n"}[damage])
    assert len(FingerprintMemo(memo.path)) == 0


def test_names_that_are_not_utf8_are_remembered(tmp_path: Path) -> None:
    clip = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    try:
        old_file(clip, b"content")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    memo = FingerprintMemo(tmp_path / "fingerprints.json")
    content_fingerprint(clip, memo)
    memo.save()
    assert FingerprintMemo(memo.path).recall(clip) == sha(b"content")


def test_fifty_thousand_clips_load_and_save_quickly(tmp_path: Path) -> None:
    memo = fill(FingerprintMemo(tmp_path / "fingerprints.json", save_every_seconds=1e9), 50_000)
    began = time.monotonic()
    memo.save()
    assert len(FingerprintMemo(memo.path)) == 50_000
    assert time.monotonic() - began < 3


def fill(memo: FingerprintMemo, count: int) -> FingerprintMemo:
    for n in range(count):
        known = Fingerprint(sha256=sha(b"%d" % n), size=n, mtime_ns=10**18 + n, ctime_ns=10**18, settled=True)
        memo.remember(f"/data/corpus/session_{n:05d}/camera_1/clip_{n}.mp4", known)
    return memo


def test_a_fifo_a_folder_and_a_missing_file_are_bad_videos_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")
    for name, told in (("fifo.mp4", "not a regular file"), ("", "regular file|directory"), ("missing.mp4", "no such")):
        with pytest.raises(BadVideo, match=told) as caught:
            content_fingerprint(tmp_path / name)
        assert caught.value.reason == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_a_bad_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "a.mp4").chmod(0)
    with pytest.raises(BadVideo, match="permission denied"):
        content_fingerprint(tmp_path / "a.mp4")


def test_where_saving_takes_long_it_is_done_more_rarely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saves = 0

    def slow(path: Path, data: bytes) -> None:
        nonlocal saves
        saves += 1
        time.sleep(0.2)

    monkeypatch.setattr(vidfer.store.fingerprint, "write_bytes", slow)
    memo = fill(FingerprintMemo(tmp_path / "fingerprints.json", save_every_seconds=0.0), 2_000)
    assert saves == 1
    memo.save()
    assert saves == 2
