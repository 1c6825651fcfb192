"""The packets of a video stream as arrays: what demuxing tells, without decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidfer.types.validation import check_array

NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, kw_only=True)
class PacketTable:
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

    pts: np.ndarray
    dts: np.ndarray
    duration: np.ndarray
    size: np.ndarray
    is_keyframe: np.ndarray
    is_discard: np.ndarray
    is_corrupt: np.ndarray
    is_shown: np.ndarray

    def __post_init__(self) -> None:
        dims: dict[str, int] = {}
        for name in ("pts", "dts", "duration", "size"):
            check_array(self, name, ("P",), np.int64, dims)
        for name in ("is_keyframe", "is_discard", "is_corrupt", "is_shown"):
            check_array(self, name, ("P",), np.bool_, dims)

    def __len__(self) -> int:
        return len(self.pts)


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
