"""Corpora whose manifests can be built: one a file, each of which registers itself here.

A corpus finds its labelled clips in a folder as its owners give it out, with the labels that its owners use. Everything
else is the same for all: mapping the labels, splitting by subject, digests, checks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vidfer.registry import Registry
from vidfer.video.find import VIDEO_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class LabelledClip:
    """One clip, or a stretch of one, as the corpus has it.

    Attributes
    ----------
    clip_id
        Unique in the corpus and the same wherever it is unpacked.
    path
        The video.
    label
        The corpus's own word, a key of ``labels`` or ``left_out`` in its description.
    subject_id
        Who is seen; empty where the corpus does not tell.
    split
        The official split, or empty: by the rule of the description.
    start_seconds, end_seconds
        The stretch that the label is for; None: from the beginning, to the end.
    valence_arousal
        File with the video's valence and arousal over time; None without.
    """

    clip_id: str
    path: Path
    label: str
    subject_id: str = ""
    split: str = ""
    start_seconds: float | None = None
    end_seconds: float | None = None
    valence_arousal: Path | None = None


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """Options for reading a corpus.

    Attributes
    ----------
    fold
        The official fold, from 1.
    media
        Where videos may be written by a corpus that consists of pictures, and tables of valence and arousal.
    notes
        Receives one sentence on each thing that people should know: what was left out, and why.
    """

    fold: int
    media: Path
    notes: list[str] = field(default_factory=list)


FindClips = Callable[[Path, BuildRequest], Iterable[LabelledClip]]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One corpus.

    Attributes
    ----------
    name
        As in ``data_manifests/<name>.toml`` and on the command line.
    layout
        What its folder must hold, for messages.
    find
        Yields its labelled clips.
    """

    name: str
    layout: str
    find: FindClips


CORPORA: Registry[Corpus] = Registry("corpus", __name__)


def corpus(name: str, *, layout: str) -> Callable[[FindClips], FindClips]:
    """Return a decorator that registers a function as the finder of the corpus called ``name``."""

    def decorate(find: FindClips) -> FindClips:
        CORPORA.register(name)(Corpus(name=name, layout=layout, find=find))
        return find

    return decorate


def videos_below(folder: Path) -> Iterator[Path]:
    """Yield every file with a video's suffix in the folder and below it, sorted, without hidden ones."""
    return (path for path in files_below(folder) if path.suffix.lower() in VIDEO_SUFFIXES)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every file in the folder and below it, sorted, without hidden ones."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(files) if not name.startswith("."))


def named_and_more(names: Iterable[str]) -> str:
    """Return ``3 (a, b and 1 more)`` for a sentence."""
    found = list(names)
    shown = ", ".join(found[:2])
    return f"{len(found)} ({shown}{f' and {len(found) - 2} more' if len(found) > 2 else ''})"
