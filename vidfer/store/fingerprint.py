"""What a video is, whatever it is called: the SHA-256 of its content."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vidfer.errors import BadVideo

_RECENT_NS = 100_000_000  # file systems with fractions of a second keep time to 10 ms or better
_RECENT_COARSE_NS = 2_000_000_000  # and those without to 2 s (FAT)
_PIECE_BYTES = 16 << 20


# Size in bytes, mtime and ctime in ns; ctime betrays a file of the same size and date.
VideoStamp = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """The content of a file, and the signs by which it is recognised as unchanged.

    Attributes
    ----------
    sha256
        Of the content, hexadecimal.
    stamp
        See ``is_unchanged``; None if the file had changed so shortly before that a further change might leave the same
        stamp.
    """

    sha256: str
    stamp: VideoStamp | None


def is_unchanged(path: str | Path, stamp: VideoStamp | None) -> bool:
    """Return whether a file is unchanged since it got this stamp; False if that is unknown, or it is gone."""
    try:
        return stamp is not None and _stamp(os.stat(path)) == stamp
    except OSError:
        return False


def fingerprint_file(path: str | Path, *, on_progress: Callable[[], None] | None = None) -> Fingerprint:
    """Read a file once, in small pieces, and return its fingerprint.

    ``on_progress`` is called after every piece, so that a file of many gigabytes does not look like a hang.

    Raises
    ------
    BadVideo
        ``unreadable``: it does not exist, may not be read, or is no regular file.
    """
    try:
        # Non-blocking, so that a named pipe cannot stop us; for regular files it means nothing.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise BadVideo(path, "unreadable", "not a regular file: give a video file or a folder")
            digest = _digest(file, on_progress)
            after = os.fstat(file.fileno())
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise BadVideo(path, "unreadable", f"{reason}: check that the file exists and may be read") from error
    now = time.time_ns()
    window = _RECENT_NS if after.st_ctime_ns % 1_000_000_000 else _RECENT_COARSE_NS
    recent = any(abs(now - when) < window for when in (after.st_mtime_ns, after.st_ctime_ns))
    changed = _stamp(before)[:2] != _stamp(after)[:2]
    return Fingerprint(sha256=digest, stamp=None if recent or changed else _stamp(after))


def _stamp(status: os.stat_result) -> VideoStamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(file: IO[bytes], on_progress: Callable[[], None] | None) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
        if on_progress is not None:
            on_progress()
    return digest.hexdigest()
