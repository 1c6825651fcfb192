"""Content fingerprints: right whatever happens to the file, and trusted only where that is safe."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from vidfer.errors import BadVideo
from vidfer.store.fingerprint import fingerprint_file, is_unchanged


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
    assert fingerprint_file(tmp_path / "a.mp4").sha256 == sha(content)
    (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")
    assert fingerprint_file(tmp_path / "b.mp4").sha256 == sha(content)


def test_a_touched_a_changed_and_a_replaced_file_are_not_taken_for_unchanged(tmp_path: Path) -> None:
    clip = old_file(tmp_path / "a.mp4", b"content")
    stamp = fingerprint_file(clip).stamp
    assert is_unchanged(clip, stamp)
    info = clip.stat()
    other = tmp_path / "other"
    other.write_bytes(b"CONTENT")
    os.utime(other, ns=(info.st_atime_ns, info.st_mtime_ns))  # same size, same date, as rsync -t or cp -p leave it
    other.replace(clip)
    assert not is_unchanged(clip, stamp)
    clip.write_bytes(b"longer content")
    assert not is_unchanged(clip, stamp)
    clip.unlink()
    assert not is_unchanged(clip, stamp)


def test_a_file_that_changed_a_moment_ago_gets_no_stamp(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"content")
    assert fingerprint_file(clip).stamp is None
    assert not is_unchanged(clip, None)


def test_a_fifo_a_folder_and_a_missing_file_are_bad_videos_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")
    for name, told in (("fifo.mp4", "not a regular file"), ("", "regular file|directory"), ("missing.mp4", "no such")):
        with pytest.raises(BadVideo, match=told) as caught:
            fingerprint_file(tmp_path / name)
        assert caught.value.reason == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_a_bad_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "a.mp4").chmod(0)
    with pytest.raises(BadVideo, match="permission denied"):
        fingerprint_file(tmp_path / "a.mp4")
