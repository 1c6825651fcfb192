"""The files that users read, written from a clip's finished tables; and whether they are still what was written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vidfer.exporters import EXPORTERS, ChartExporter, MadeSnippet, Output, SnippetExporter, VideoExporter
from vidfer.memory import give_back_free_memory
from vidfer.report.chart_options import ChartOptions
from vidfer.store.atomic import temporary_beside, write_bytes
from vidfer.store.layout import PEOPLE_PICTURE
from vidfer.types import ClipResult

FileStamp = tuple[int, int]  # size in bytes, mtime in nanoseconds


def write_outputs(
    clip: ClipResult,
    folder: Path,
    exports: tuple[str, ...],
    *,
    options: ChartOptions | None = None,
    on_progress: Callable[[], None] = lambda: None,
) -> dict[str, FileStamp]:
    """Write the files of the named exporters into a clip's folder, each whole or not at all.

    Parameters
    ----------
    clip, folder, exports
        What to write, where, and in which formats.
    options
        How charts are to be drawn; None = as they are without any wish.
    on_progress
        Called every few frames while a video is written.

    Returns
    -------
    The stamp of each file by name, for ``is_untouched``.

    Raises
    ------
    OutputError
        A file cannot be written.
    BadVideo
        A video exporter needs the clip's video, and it is no longer there.
    """
    stamps: dict[str, FileStamp] = {}
    options = replace(options or ChartOptions(), folder=folder)
    if any(isinstance(EXPORTERS.get(name), ChartExporter) for name in exports):
        stamps |= _write_portraits(folder / PEOPLE_PICTURE, options)
    for name in exports:
        exporter = EXPORTERS.get(name)
        if isinstance(exporter, VideoExporter):
            _write_video(clip, folder / exporter.filenames[0], exporter, on_progress)
            if exporter.replaces and not any(exporter.replaces in EXPORTERS.get(other).filenames for other in exports):
                (folder / exporter.replaces).unlink(missing_ok=True)
        elif isinstance(exporter, SnippetExporter):
            stamps |= _write_snippets(clip, folder, exporter, options, on_progress)
            if exporter.replaces and exporter.replaces not in exports:
                _remove_snippets(folder, EXPORTERS.get(exporter.replaces))
        else:
            files = exporter.draw(clip, options) if isinstance(exporter, ChartExporter) else exporter.render(clip)
            for filename, data in files.items():
                write_if_changed(folder / filename, data)
            files = {}
            give_back_free_memory()  # of an hour, the next exporter would add to what this one has left
        stamps |= {filename: _stamp(folder / filename) for filename in exporter.filenames}
    return stamps


def _write_portraits(path: Path, options: ChartOptions) -> dict[str, FileStamp]:
    """Write the pictures of the clip's people, or remove them where they are no longer wanted."""
    if not options.portraits:
        path.unlink(missing_ok=True)
        return {}
    from vidfer.report.portraits import portraits_png

    write_if_changed(path, portraits_png(options.portraits))
    return {path.name: _stamp(path)}


def _write_video(clip: ClipResult, path: Path, exporter: VideoExporter, on_progress: Callable[[], None]) -> None:
    from vidfer.video.repaint import repaint

    with temporary_beside(path) as temporary:
        repaint(
            Path(clip.info.path),
            temporary,
            exporter.painter(clip),
            stream=clip.info.stream,
            turned_degrees=clip.info.turned_degrees,
            on_progress=on_progress,
        )


def _write_snippets(
    clip: ClipResult, folder: Path, exporter: SnippetExporter, options: ChartOptions, on_progress: Callable[[], None]
) -> dict[str, FileStamp]:
    """Cut out the wanted moments, remove those of earlier runs, and write the index."""
    from vidfer.video.probe import probe, turned
    from vidfer.video.snippet import cut

    chosen = exporter.choose(clip, options)
    video = probe(Path(clip.info.path), stream=clip.info.stream, on_progress=on_progress)  # before anything goes
    _remove_snippets(folder, exporter)
    made = []
    if chosen:
        video = turned(video, clip.info.turned_degrees)
        paint = exporter.painter(clip) if exporter.painter else None
        (folder / exporter.folder).mkdir(parents=True, exist_ok=True)
        for one in chosen:
            with temporary_beside(folder / exporter.folder / one.filename) as temporary:
                between = (one.start_seconds, one.end_seconds)
                start, end, is_copied = cut(video, temporary, between, paint, on_progress=on_progress)
            made.append(MadeSnippet(filename=one.filename, start_seconds=start, end_seconds=end, is_copied=is_copied))
    for filename, data in exporter.index(clip, made).items():
        write_if_changed(folder / filename, data)
    names = [f"{exporter.folder}/{one.filename}" for one in made]
    return {name: _stamp(folder / name) for name in names}


def _remove_snippets(folder: Path, exporter: Output) -> None:
    """Remove all files of an earlier run, and their folder unless something else lies in it."""
    assert isinstance(exporter, SnippetExporter)
    for path in [*(folder / exporter.folder).glob("*.mp4"), *(folder / name for name in exporter.filenames)]:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (folder / exporter.folder).rmdir()


def write_if_changed(path: Path, data: bytes) -> None:
    """Write a file whole, unless it already holds these bytes; raises OutputError."""
    if not _holds(path, data):
        write_bytes(path, data)


def is_untouched(folder: str | Path, stamps: dict[str, FileStamp]) -> bool:
    """Return whether all files are there with the size and time at which they were written."""
    try:
        for name, (size, mtime_ns) in stamps.items():  # a hundred thousand clips pass here
            status = os.stat(f"{folder}/{name}")
            if status.st_mtime_ns != mtime_ns or status.st_size != size:
                return False
    except OSError:
        return False
    return True


def _stamp(path: Path) -> FileStamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _holds(path: Path, data: bytes) -> bool:
    try:
        return not path.is_symlink() and path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False
