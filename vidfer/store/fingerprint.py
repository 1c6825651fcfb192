"""What a video is, whatever it is called: the SHA-256 of its content, remembered from run to run."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vidfer.errors import BadVideo
from vidfer.store.atomic import write_bytes

_LOG = logging.getLogger(__name__)
_MAGIC = b"vidfer fingerprints 1 "
_RECENT_NS = 100_000_000  # file systems with fractions of a second keep time to 10 ms or better
_RECENT_COARSE_NS = 2_000_000_000  # and those without to 2 s (FAT)
_MAX_STORE_BYTES = 1 << 30
_PIECE_BYTES = 16 << 20
_SAVING_SHARE = 100  # so many times as long as it takes to save passes until the next time


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """The content of a file, and the signs by which it is recognised as unchanged.

    Attributes
    ----------
    sha256
        Of the content, hexadecimal.
    size, mtime_ns, ctime_ns
        Bytes, time of the last change of the content, and of the last change of anything about the file (it
        betrays a file that was replaced by another of the same size and date).
    settled
        False if the file had changed so shortly before that a further change might leave the same signs; such a
        fingerprint is right but is not remembered.
    """

    sha256: str
    size: int
    mtime_ns: int
    ctime_ns: int
    settled: bool


class FingerprintMemo:
    """Fingerprints by absolute path, kept in one small file that only the parent process writes.

    Damage to the file costs the hashing again, nothing else.

    Parameters
    ----------
    path
        The file, e.g. ``<out>/.vidfer/fingerprints.json``; read now, written by `save`.
    save_every_seconds
        `remember` saves on its own when the last save is this long ago, so that a killed run loses little; more rarely
        where saving itself takes long, so that of a hundred thousand clips it takes no larger part of the time.
    """

    def __init__(self, path: str | Path, *, save_every_seconds: float = 10.0) -> None:
        self.path = Path(path)
        self._save_every_seconds = save_every_seconds
        self._entries = _read_store(self.path)
        self._changed = False
        self._saved_at = time.monotonic()
        self._saving_seconds = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, path: str | Path) -> str | None:
        """Return the digest of a file that has not changed since it was remembered, else None."""
        entry = self._entries.get(os.path.abspath(path))
        if entry is None:
            return None
        try:
            info = os.stat(path)
        except OSError:
            return None
        digest, *signs = entry
        return str(digest) if signs == [info.st_size, info.st_mtime_ns, info.st_ctime_ns] else None

    def remember(self, path: str | Path, fingerprint: Fingerprint) -> None:
        """Keep a fingerprint, computed here or by a worker; OutputError if saving fails."""
        if not fingerprint.settled:
            return
        entry = [fingerprint.sha256, fingerprint.size, fingerprint.mtime_ns, fingerprint.ctime_ns]
        self._entries[os.path.abspath(path)] = entry
        self._changed = True
        wait = max(self._save_every_seconds, _SAVING_SHARE * self._saving_seconds)
        if time.monotonic() - self._saved_at > wait:
            self.save()

    def save(self) -> None:
        """Write the file if anything changed; raises OutputError if that is impossible."""
        if not self._changed:
            return
        began = time.monotonic()
        body = json.dumps(self._entries, separators=(",", ":"), ensure_ascii=True).encode()
        digest = hashlib.sha256(body).hexdigest().encode()
        write_bytes(self.path, _MAGIC + digest + b"\n" + body + b"\n")
        self._changed = False
        self._saved_at = time.monotonic()
        self._saving_seconds = self._saved_at - began


def content_fingerprint(path: str | Path, memo: FingerprintMemo | None = None) -> str:
    """Return the SHA-256 of a file's content, from the memo if the file is unchanged.

    Raises
    ------
    BadVideo
        ``unreadable``: it does not exist, may not be read, or is no regular file.
    """
    known = memo.recall(path) if memo is not None else None
    if known is not None:
        return known
    fingerprint = fingerprint_file(path)
    if memo is not None:
        memo.remember(path, fingerprint)
    return fingerprint.sha256


def fingerprint_file(path: str | Path, *, on_progress: Callable[[], None] | None = None) -> Fingerprint:
    """Read a file once, in small pieces, and return its fingerprint; raises BadVideo as `content_fingerprint`.

    ``on_progress`` is called after every piece, so that a file of many gigabytes does not look like a hang.
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
    changed = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
    return Fingerprint(
        sha256=digest,
        size=after.st_size,
        mtime_ns=after.st_mtime_ns,
        ctime_ns=after.st_ctime_ns,
        settled=not (recent or changed),
    )


def _digest(file: IO[bytes], on_progress: Callable[[], None] | None) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
        if on_progress is not None:
            on_progress()
    return digest.hexdigest()


def _read_store(path: Path) -> dict[str, list[Any]]:
    try:
        if path.stat().st_size > _MAX_STORE_BYTES:
            raise ValueError("too large")
        head, _, body = path.read_bytes().partition(b"\n")
        body = body.removesuffix(b"\n")
        if head != _MAGIC + hashlib.sha256(body).hexdigest().encode():
            raise ValueError("damaged")
        entries: dict[str, list[Any]] = json.loads(body)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _LOG.warning("%s: cannot be used (%s): videos are fingerprinted again", path, error)
        return {}
    return entries
