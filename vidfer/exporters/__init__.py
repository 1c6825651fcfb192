"""What is written for each clip: one output format a file, each of which registers itself here.

An exporter turns a finished clip into the bytes of its files; the engine writes them, whole or not at all. The same
clip gives the same bytes on every run, so no exporter writes a date, a duration of the run or a host name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vidfer.registry import Registry
from vidfer.types import ClipResult

Render = Callable[[ClipResult], dict[str, bytes]]


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """One output format.

    Attributes
    ----------
    name
        What ``[output] exports`` and ``--export`` call it.
    filenames
        The files it writes into the clip's folder, all of them, always.
    version
        Raised by hand when the bytes change for the same clip, so that finished clips are exported again.
    render
        Gives the content of each of ``filenames``.
    shared_files
        Gives the files that all clips' files need, by path below the results folder.
    """

    name: str
    filenames: tuple[str, ...]
    version: int
    render: Render
    shared_files: Callable[[], dict[str, bytes]] = dict


EXPORTERS: Registry[Exporter] = Registry("exporter", __name__)


def exporter(
    name: str,
    *,
    filenames: tuple[str, ...],
    version: int,
    shared_files: Callable[[], dict[str, bytes]] = dict,
) -> Callable[[Render], Render]:
    """Return a decorator that registers a function as the exporter called ``name``."""

    def decorate(render: Render) -> Render:
        made = Exporter(name=name, filenames=filenames, version=version, render=render, shared_files=shared_files)
        EXPORTERS.register(name)(made)
        return render

    return decorate
