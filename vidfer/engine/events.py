"""What a run announces while it works. The library never prints: callers draw these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

StageStatus = Literal["computed", "cached"]


@dataclass(frozen=True, kw_only=True)
class ClipStarted:
    """A worker has taken up a clip."""

    clip_id: str


@dataclass(frozen=True, kw_only=True)
class ClipRead:
    """Another piece of a clip's file was read to fingerprint it: a sign of life, nothing else."""

    clip_id: str


@dataclass(frozen=True, kw_only=True)
class FramesDone:
    """Frame stages have seen this many of a clip's sampled frames.

    ``computed`` counts, per stage, the frames that were really computed since the last event; others were replayed.
    """

    clip_id: str
    done: int
    total: int
    computed: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class StageDone:
    """A stage's table for a clip is complete."""

    clip_id: str
    stage: str
    status: StageStatus


@dataclass(frozen=True, kw_only=True)
class ClipDone:
    """A clip is finished.

    Attributes
    ----------
    clip_id
        The clip.
    status
        ``ok``, ``cached`` (nothing was left to do) or ``failed``.
    message
        Why it failed, or what it warns about; one line, may be empty.
    done, total
        Clips finished so far, and in all.
    """

    clip_id: str
    status: Literal["ok", "cached", "failed"]
    message: str
    done: int
    total: int


Event = ClipStarted | ClipRead | FramesDone | StageDone | ClipDone
EventCallback = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Do nothing: the callback where nobody listens."""
