"""Tracks and parts of tracks as people.csv names them: ``0 3@0:12.5`` is track 0, and track 3 from 12.5 s on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_FACE_PART = re.compile(r"(\d{1,9})(?:\.0+)?(?:@(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,6}(?:\.\d{1,6})?))?")
SLACK_SECONDS = 5e-4  # of starts, which are in milliseconds
EXPECTED = "expected numbers of faces, parted by spaces, with @m:ss where only what comes later is meant: 0 3@0:12"


class FacePart(NamedTuple):
    """A track from a moment on, until where another part of it begins.

    Attributes
    ----------
    face_id
        The track.
    start_seconds
        From the video's first frame, in milliseconds' steps; 0 for the track from its begin.
    """

    face_id: int
    start_seconds: float


def parse_face_ids(text: str) -> tuple[FacePart, ...]:
    """Return the parts that a cell names, in order; raises ValueError where it is none of ``EXPECTED``."""
    parts = []
    for word in re.split(r"[\s,;]+", text.strip()):
        match = _FACE_PART.fullmatch(word)
        if match is None:
            raise ValueError(f"{EXPECTED}; got {text[:60]!r}")
        face, hours, minutes, seconds = match.groups()
        start = 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds or 0)
        parts.append(FacePart(int(face), round(start, 3)))
    return tuple(sorted(set(parts)))


def format_face_ids(parts: Iterable[FacePart]) -> str:
    """Return the cell that names these parts."""
    return " ".join(str(face) + (f"@{_clock(start)}" if start else "") for face, start in parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    return f"{minutes}:{rest / 1000:06.3f}".rstrip("0").rstrip(".") if rest % 1000 else f"{minutes}:{rest // 1000:02d}"
