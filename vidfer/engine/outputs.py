"""The files that users read, written from a clip's finished tables; and whether they are still what was written."""

from __future__ import annotations

from pathlib import Path

from vidfer.engine.atomic import write_bytes
from vidfer.exporters import EXPORTERS
from vidfer.types import ClipResult

FileStamp = tuple[int, int]  # size in bytes, mtime in nanoseconds


def write_outputs(clip: ClipResult, folder: Path, exports: tuple[str, ...]) -> dict[str, FileStamp]:
    """Write the files of the named exporters into a clip's folder, each whole or not at all.

    Returns
    -------
    The stamp of each file by name, for ``is_untouched``.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    stamps = {}
    for name in exports:
        for filename, data in EXPORTERS.get(name).render(clip).items():
            write_if_changed(folder / filename, data)
            stamps[filename] = _stamp(folder / filename)
    return stamps


def write_if_changed(path: Path, data: bytes) -> None:
    """Write a file whole, unless it already holds these bytes; raises OutputError."""
    if not _holds(path, data):
        write_bytes(path, data)


def is_untouched(folder: Path, stamps: dict[str, FileStamp]) -> bool:
    """Return whether all files are there with the size and time at which they were written."""
    try:
        return all(_stamp(folder / name) == tuple(stamp) for name, stamp in stamps.items())
    except OSError:
        return False


def _stamp(path: Path) -> FileStamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _holds(path: Path, data: bytes) -> bool:
    try:
        return not path.is_symlink() and path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False
