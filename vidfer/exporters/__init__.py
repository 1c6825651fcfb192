"""What is written for each clip: one output format a file, each of which registers itself here.

An exporter turns a finished clip into the bytes of its files; the engine writes them, whole or not at all. The same
clip gives the same bytes on every run, so no exporter writes a date, a duration of the run or a host name.

A video exporter paints over the clip's own pictures; the engine decodes the video, hands it frame by frame, and
encodes what comes back. It alone needs the video to be where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vidfer.registry import Registry
from vidfer.report.chart_options import ChartOptions
from vidfer.types import ClipResult

Render = Callable[[ClipResult], dict[str, bytes]]
Draw = Callable[[ClipResult, ChartOptions], dict[str, bytes]]
Paint = Callable[[np.ndarray, float], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Output:
    """What all output formats tell of themselves.

    Attributes
    ----------
    name
        What ``[output] exports`` and ``--export`` call it.
    filenames
        The files it writes into the clip's folder, all of them, always.
    version
        Raised by hand when the bytes change for the same clip, so that finished clips are exported again.
    shared_files
        Gives the files that all clips' files need, by path below the results folder.
    """

    name: str
    filenames: tuple[str, ...]
    version: int
    shared_files: Callable[[], dict[str, bytes]] = dict


@dataclass(frozen=True, kw_only=True)
class Exporter(Output):
    """An output format that is made from the clip's tables; ``render`` gives the content of each of ``filenames``."""

    render: Render


@dataclass(frozen=True, kw_only=True)
class ChartExporter(Exporter):
    """An output format that shows charts; ``draw`` renders it as ``[output]`` wants them, ``render`` as they are."""

    draw: Draw


@dataclass(frozen=True, kw_only=True)
class VideoExporter(Output):
    """An output format that is a video, the only one of ``filenames``, made from the clip's own.

    Attributes
    ----------
    painter
        Gives, for a clip, the function that is called with every frame, upright (H, W, 3) uint8 RGB, and its time in
        seconds from the first, and returns what is to be seen instead, of the same shape.
    replaces
        A file that an earlier run may have left and that must not stay beside this one, unless it is asked for, too.
    """

    painter: Callable[[ClipResult], Paint]
    replaces: str = ""


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """A stretch [start, end) of a clip's video, in seconds from its first frame, and the file that it becomes."""

    filename: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, kw_only=True)
class MadeSnippet(Snippet):
    """A snippet as it was written: what it really holds, and whether its pictures are the source's own."""

    is_copied: bool


@dataclass(frozen=True, kw_only=True)
class SnippetExporter(Output):
    """An output format that cuts pieces out of the clip's video, with its sound, into a folder of their own.

    Attributes
    ----------
    folder
        The name of that folder, below the clip's.
    choose
        Gives what is to be cut out; ``filename`` is the name in the folder.
    painter
        As of ``VideoExporter``; None: pictures stay as they are, and are copied where the video allows it.
    index
        Gives ``filenames``, for what was made.
    replaces
        Another such format whose files must not stay beside these, unless it is asked for, too.
    """

    folder: str
    choose: Callable[[ClipResult, ChartOptions], Sequence[Snippet]]
    painter: Callable[[ClipResult], Paint] | None
    index: Callable[[ClipResult, Sequence[MadeSnippet]], dict[str, bytes]]
    replaces: str = ""


EXPORTERS: Registry[Exporter | VideoExporter | SnippetExporter] = Registry("exporter", __name__)


def needs_video(name: str) -> bool:
    """Say whether an exporter is made from the clip's own pictures, so that the video must be where it was."""
    return isinstance(EXPORTERS.get(name), VideoExporter | SnippetExporter)


def exporter(name: str, *, filenames: tuple[str, ...], version: int) -> Callable[[Render], Render]:
    """Return a decorator that registers a function as the exporter called ``name``."""

    def decorate(render: Render) -> Render:
        EXPORTERS.register(name)(Exporter(name=name, filenames=filenames, version=version, render=render))
        return render

    return decorate


def chart_exporter(
    name: str,
    *,
    filenames: tuple[str, ...],
    version: int,
    shared_files: Callable[[], dict[str, bytes]] = dict,
) -> Callable[[Draw], Draw]:
    """Return a decorator that registers a function of clip and options as the chart exporter called ``name``."""

    def decorate(draw: Draw) -> Draw:
        made = ChartExporter(
            name=name,
            filenames=filenames,
            version=version,
            render=lambda clip: draw(clip, ChartOptions()),
            draw=draw,
            shared_files=shared_files,
        )
        EXPORTERS.register(name)(made)
        return draw

    return decorate


def video_exporter(
    name: str, *, filename: str, version: int, replaces: str = ""
) -> Callable[[Callable[[ClipResult], Paint]], Callable[[ClipResult], Paint]]:
    """Return a decorator that registers a function as the painter of the video exporter called ``name``."""

    def decorate(painter: Callable[[ClipResult], Paint]) -> Callable[[ClipResult], Paint]:
        made = VideoExporter(name=name, filenames=(filename,), version=version, painter=painter, replaces=replaces)
        EXPORTERS.register(name)(made)
        return painter

    return decorate
