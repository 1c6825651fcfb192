"""Files that appear whole or not at all, also when the process is killed or the disk fills up."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from vidfer.errors import OutputError

TEMPORARY_PREFIX = ".vidfer-"
TEMPORARY_SUFFIX = ".aside"

_REMEDIES = {
    errno.ENOSPC: "free some space or choose another --out, then run the same command again",
    errno.EDQUOT: "your quota is used up: free some space or choose another --out, then run the same command again",
    errno.EACCES: "allow writing there or choose another --out",
    errno.EPERM: "allow writing there or choose another --out",
    errno.EROFS: "the file system is read-only: choose another --out",
    errno.ENAMETOOLONG: "the name is too long for this file system: rename the clip or choose a shorter --out",
    errno.ENOTDIR: "a part of this path is a file, not a folder: move it away or choose another --out",
    errno.EEXIST: "a part of this path is a file, not a folder: move it away or choose another --out",
    errno.EISDIR: "a folder has this name: move it away or choose another --out",
}


def write_bytes(path: str | Path, data: bytes | bytearray | memoryview) -> None:
    """Write a file so that its name never shows anything but the old or the complete new content.

    The bytes go to a temporary file in the same folder (made if missing), are flushed to the disk and renamed over
    ``path``; then the folder is flushed, so that the name survives a power cut too.

    Parameters
    ----------
    path
        The final name. A symbolic link there is replaced, never followed.
    data
        The whole content.

    Raises
    ------
    OutputError
        With what, where and what to do, if the disk is full or writing is not allowed. No temporary file is left.
    """
    with temporary_beside(Path(path)) as temporary, temporary.open("xb") as file:
        file.write(data)


@contextlib.contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Give a name beside ``path`` to write to; the file takes its final name if the block succeeds.

    Raises
    ------
    OutputError
        As ``write_bytes``.
    """
    temporary = path.parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        _remove(temporary)
        raise output_error(path, error) from error
    except BaseException:
        _remove(temporary)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file as `write_bytes` does; line ends are written as they are."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def remove_temporary_files(folder: str | Path) -> int:
    """Delete what killed runs left half-written in ``folder`` and below; return how many files that were.

    Call it only while no other process writes there (with the run lock held, before workers start).
    """
    removed = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX):
                removed += _remove(Path(parent) / name)
    return removed


def output_error(path: Path, error: OSError) -> OutputError:
    """Return the OutputError for a failed write: the file, the system's reason, and what to do about it."""
    reason = (error.strerror or type(error).__name__).lower()
    remedy = _REMEDIES.get(error.errno or 0, "check the disk or choose another --out")
    return OutputError(f"{path}: cannot be written: {reason}: {remedy}")


@contextlib.contextmanager
def reported_as_output_error(path: Path) -> Iterator[None]:
    """Turn any OSError of the block into the OutputError for ``path``."""
    try:
        yield
    except OSError as error:
        raise output_error(path, error) from error


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot flush a folder; the file itself is safe
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True
