"""When each frame of a video is displayed: the container's times where they are right, mended ones where not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from vidfer.video.clock import ClockJump, continued, spread, usual_step, whole_ticks
from vidfer.video.decode_pass import DecodedFrames
from vidfer.video.packets import NO_TIME, PacketTable, displayed

# Of a broadcast's clock: beyond lies another recording, or FFmpeg's idea of a wrap-around.
_MAX_GAP_SECONDS = 3600.0
_JOINABLE = frozenset({"mpeg", "mpegts"})  # files of these may simply be written one after another
_CHECKED_PACKETS = 100
_MAX_NAMED = 3  # jumps in one warning


@dataclass(frozen=True, kw_only=True)
class FrameTimes:
    """The times of a video's frames; attributes as of ``VideoProbe``."""

    packets: PacketTable
    frame_pts: np.ndarray
    time_base: Fraction
    mapping: Literal["pts", "order"]
    is_mended: bool
    warnings: tuple[str, ...]

    @property
    def last_duration(self) -> int:
        """Ticks that the last frame is displayed: its packet's duration, else the usual step."""
        last = self.packets.duration[self.packets.pts == self.frame_pts[-1:].sum()]
        return int(last[0]) if len(last) and last[0] > 0 else usual_step(self.frame_pts)

    @property
    def durations_seconds(self) -> np.ndarray:
        """How long each frame is shown, (F,) float64; the last, as usual."""
        ticks = np.append(np.diff(self.frame_pts), usual_step(self.frame_pts))
        seconds: np.ndarray = ticks * float(self.time_base)
        return seconds

    def rows(self, packets: np.ndarray) -> np.ndarray:
        """Return which frames come from these packets (n,), given in display order."""
        if self.mapping == "pts":
            rows = np.searchsorted(self.frame_pts, self.packets.pts[packets])
        else:
            rows = np.arange(len(packets))
        return np.minimum(rows, len(self.frame_pts) - 1)


def frame_times(
    packets: PacketTable,
    *,
    codec: str,
    container: str,
    time_base: Fraction,
    nominal_rate: float,
    allows_fields: bool,
    reorders: bool,
    decode_first: Callable[[int], DecodedFrames],
    decode: Callable[[], DecodedFrames],
) -> FrameTimes:
    """Return when each frame is displayed.

    Parameters
    ----------
    packets
        As the container has them.
    codec, container
        FFmpeg's names.
    time_base, nominal_rate
        Seconds per tick; frames per second where nothing tells more.
    allows_fields, reorders
        The codec may store pictures as two fields; display order may be another than the packets'.
    decode_first, decode
        Decode so many packets, or all: asked only where the packets' times cannot be right.
    """
    longest_gap = round(_MAX_GAP_SECONDS / time_base) if container in _JOINABLE else None
    counts = packets.is_shown & ~packets.is_discard
    pts, jumps = continued(packets.pts, packets.dts, counts, longest_gap_ticks=longest_gap)
    table = replace(packets, pts=pts)
    if _has_no_times(container, codec, packets):
        return _by_order(packets, time_base, nominal_rate)
    shown = displayed(table)
    repeated = int(np.count_nonzero(shown)) - len(np.unique(pts[shown]))
    missing = int(np.count_nonzero(counts & (pts == NO_TIME)))
    if allows_fields and codec == "h264" and _is_second_field_of_each(table):
        missing = 0
    warnings = _jump_warnings(jumps, pts, counts, time_base)
    if missing or repeated or (reorders and _is_out_of_order(pts, decode_first)):
        step = usual_step(pts[shown], otherwise=max(1, round(1 / (nominal_rate * time_base))))
        table, time_base = _by_decoding(table, decode(), time_base, step)
        if repeated:
            warnings += (f"{repeated} frames share the time of another: each gets one between its neighbours",)
        is_mended = True
    else:
        is_mended = bool(jumps)
    return FrameTimes(
        packets=table,
        frame_pts=np.sort(table.pts[displayed(table)]),
        time_base=time_base,
        mapping="pts",
        is_mended=is_mended,
        warnings=warnings,
    )


def _has_no_times(container: str, codec: str, packets: PacketTable) -> bool:
    """Return whether the k-th decoded frame is simply the k-th.

    AVI stores no display times: FFmpeg derives them, rightly for mpeg4, but for h264 and hevc as if there were no
    B-frames. Elementary streams have none at all.
    """
    if container == "avi" and codec in ("h264", "hevc"):
        return True
    return container not in _JOINABLE and bool(np.mean(packets.pts != NO_TIME) < 0.45)


def _is_second_field_of_each(packets: PacketTable) -> bool:
    """Return whether every other packet has no time: the second fields of pictures, which share that of the first."""
    timed = packets.pts != NO_TIME
    return bool(len(timed) > 1 and timed[0::2].all() and not timed[1::2].any())


def _is_out_of_order(pts: np.ndarray, decode_first: Callable[[int], DecodedFrames]) -> bool:
    """Return whether B-frames carry the times of the packets' order instead of the display's."""
    known = pts[pts != NO_TIME]
    if not (np.diff(known) > 0).all():
        return False  # packets are not stored in the order of their times: these are the display's
    return bool((np.diff(pts[decode_first(_CHECKED_PACKETS).packet]) < 0).any())


def _by_decoding(
    packets: PacketTable, frames: DecodedFrames, time_base: Fraction, step: int
) -> tuple[PacketTable, Fraction]:
    """Return the packets with a time of its own for each that gives a frame, and the seconds per tick of these."""
    rows = frames.packet
    ticks, finer = whole_ticks(spread(packets.pts[rows], step))
    pts = np.full(len(packets), NO_TIME, dtype=np.int64)
    pts[rows] = ticks
    is_shown = np.zeros(len(packets), dtype=np.bool_)
    is_shown[rows] = True
    return replace(packets, pts=pts, duration=packets.duration * finer, is_shown=is_shown), time_base / finer


def _by_order(packets: PacketTable, time_base: Fraction, nominal_rate: float) -> FrameTimes:
    shown = packets.is_shown & ~packets.is_discard
    warnings: tuple[str, ...] = ()
    for times in (packets.dts[shown], packets.pts[shown]):
        if np.all(times != NO_TIME) and len(np.unique(times)) == len(times):
            frame_pts = np.sort(times)
            break
    else:
        step = int(np.median(packets.duration[shown])) if shown.any() else 0
        step = max(1, step or round(1 / (nominal_rate * time_base)))
        frame_pts = np.arange(np.count_nonzero(shown), dtype=np.int64) * step
        warnings = ("the file stores no timestamps: its nominal frame rate is used",)
    return FrameTimes(
        packets=packets,
        frame_pts=frame_pts,
        time_base=time_base,
        mapping="order",
        is_mended=False,
        warnings=warnings,
    )


def _jump_warnings(
    jumps: Sequence[ClockJump], pts: np.ndarray, counts: np.ndarray, time_base: Fraction
) -> tuple[str, ...]:
    """Return one sentence that tells where the clock jumps, in seconds from the first frame."""
    if not jumps:
        return ()
    timed = counts & (pts != NO_TIME)
    first = pts[timed].min()
    places = []
    for jump in jumps[:_MAX_NAMED]:
        after = pts[jump.row :][timed[jump.row :]]
        where = float((after.min() - first) * time_base)
        by = float(abs(jump.ticks) * time_base)
        places.append(f"at {where:.2f} s ({by:.2f} s {'back' if jump.ticks < 0 else 'ahead'})")
    more = f" and {len(jumps) - _MAX_NAMED} more times" if len(jumps) > _MAX_NAMED else ""
    return (f"the file's clock jumps {', '.join(places)}{more}, as in joined recordings: times go on from there",)
