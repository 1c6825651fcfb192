"""The packets of a video stream as arrays: what demuxing tells, without decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from vidfer.types.validation import Columns

NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, kw_only=True)
class PacketTable(Columns):
    """One row per packet that holds data, in the order of the file (decoding order).

    Attributes
    ----------
    pts, dts
        (P,) int64 ticks of the stream's time base; ``NO_TIME`` where the container gives none.
    duration
        (P,) int64 ticks, 0 where unknown.
    size
        (P,) int64 bytes.
    is_keyframe, is_discard, is_corrupt, is_shown
        (P,) bool: decoding can start here; decoded but not displayed (edit lists); damaged, as the
        demuxer or the packet's own structure says; holds a picture to display (VP8 has hidden ones).
    """

    pts: Annotated[np.ndarray, "P", np.int64]
    dts: Annotated[np.ndarray, "P", np.int64]
    duration: Annotated[np.ndarray, "P", np.int64]
    size: Annotated[np.ndarray, "P", np.int64]
    is_keyframe: Annotated[np.ndarray, "P", np.bool_]
    is_discard: Annotated[np.ndarray, "P", np.bool_]
    is_corrupt: Annotated[np.ndarray, "P", np.bool_]
    is_shown: Annotated[np.ndarray, "P", np.bool_]


def displayed(packets: PacketTable) -> np.ndarray:
    """Return (P,) bool: the packets that give a displayed frame with a known time."""
    return (packets.pts != NO_TIME) & ~packets.is_discard & packets.is_shown


def clean_keyframes(packets: PacketTable) -> np.ndarray:
    """Return (K,) int64 packet rows where decoding can start and be cut without losing or mixing frames.

    A keyframe is clean if every packet before it is displayed earlier and none after it is; the keyframes of an
    open GOP, whose leading pictures need the GOP before, are not.
    """
    if not len(packets):
        return np.zeros(0, dtype=np.int64)
    timed = packets.pts != NO_TIME
    latest = np.iinfo(np.int64).max
    after = np.minimum.accumulate(np.where(timed, packets.pts, latest)[::-1])[::-1]
    before = np.maximum.accumulate(np.where(timed, packets.pts, NO_TIME))
    before = np.concatenate([[NO_TIME], before[:-1]])
    clean = packets.is_keyframe & timed & (after == packets.pts) & (before < packets.pts)
    return np.flatnonzero(clean).astype(np.int64)
