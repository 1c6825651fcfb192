"""One rising clock for all frames of a video, whatever the container's clock does.

Recordings that were joined (``cat a.ts b.ts``, the cells of a disc) start their clock again in the middle; other files
give several frames one time, or none. Frames are told apart by their order, and their times are mended here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidfer.video.packets import NO_TIME

_LOOK_AHEAD = 8  # packets that decide whether the clock jumped or one packet has a wrong time
_MAX_OUTLIERS = 3  # packets in a row whose time may be too late before the clock counts as having jumped


@dataclass(frozen=True, kw_only=True)
class ClockJump:
    """A place where the container's clock does not go on.

    Attributes
    ----------
    row
        The first packet after it.
    ticks
        How far from where it would have gone on; negative = back.
    """

    row: int
    ticks: int


def continued(
    pts: np.ndarray, dts: np.ndarray, counts: np.ndarray, *, longest_gap_ticks: int | None = None
) -> tuple[np.ndarray, tuple[ClockJump, ...]]:
    """Let the clock go on where it jumps: the first frame after a jump comes one usual step after the last before.

    Parameters
    ----------
    pts, dts
        (P,) int64 ticks in the order of the file, ``NO_TIME`` where unknown.
    counts
        (P,) bool: packets that give a displayed frame.
    longest_gap_ticks
        A longer pause is a jump, too; None = a pause of any length is one.

    Returns
    -------
    pts
        (P,) int64; ``NO_TIME`` also where a single packet's time does not fit to those around it.
    jumps
        In order.
    """
    times = dts if np.count_nonzero(dts != NO_TIME) * 2 > len(dts) else pts
    known = times[times != NO_TIME]
    steps = np.diff(known)
    if not len(steps) or (steps.min() >= 0 and (longest_gap_ticks is None or steps.max() <= longest_gap_ticks)):
        return pts, ()
    step = usual_step(pts[counts])
    starts, outliers = _stretches(times, step, longest_gap_ticks)
    mended = pts.copy()
    mended[outliers] = NO_TIME
    jumps = []
    latest = latest_raw = 0  # time of the last frame so far, mended and as it was
    begun = False
    for start, stop in zip([0, *starts], [*starts, len(pts)], strict=True):
        part = mended[start:stop]
        timed = part != NO_TIME
        seen = part[timed & counts[start:stop]]
        if not len(seen):
            part[timed] = NO_TIME  # no frame that could tell where they belong
            continue
        if begun:
            first = int(seen.min())
            jumps.append(ClockJump(row=start, ticks=first - latest_raw - step))
            part[timed] += latest + step - first
        begun, latest_raw, latest = True, int(seen.max()), int(part[timed & counts[start:stop]].max())
    return mended, tuple(jumps)


def usual_step(pts: np.ndarray, otherwise: int = 1) -> int:
    """Return the median ticks from one displayed time to the next; ``otherwise`` where there are no two."""
    steps = np.diff(np.unique(pts[pts != NO_TIME]))
    return max(1, int(np.median(steps))) if len(steps) else otherwise


def spread(times: np.ndarray, step: int) -> np.ndarray:
    """Give every frame a time of its own.

    Parameters
    ----------
    times
        (F,) int64 ticks of frames in display order; ``NO_TIME``, repeated ones and such that go back may be among them.
    step
        Ticks between frames where no times tell.

    Returns
    -------
    numpy.ndarray
        (F,) float64 ticks, strictly rising: usable times as they are, the others evenly between their neighbours.
    """
    if (times != NO_TIME).all():
        times = np.sort(times)  # the times are right and only given to the wrong frames: B-frames stamped in file order
    _, own = np.unique(times, return_index=True)  # the first of each
    rows = np.sort(own)
    rows = rows[times[rows] != NO_TIME]
    rows = rows[_longest_rising(times[rows].tolist())]
    places = np.arange(len(times), dtype=np.float64)
    if not len(rows):
        return places * step
    first, last = rows[0], rows[-1]
    result = np.interp(places, rows, times[rows].astype(np.float64))
    beyond = float(np.median(np.diff(result[first : last + 1]))) if last > first else step
    result[:first] = times[first] - beyond * (first - places[:first])
    result[last + 1 :] = times[last] + beyond * (places[last + 1 :] - last)
    return result


def whole_ticks(times: np.ndarray) -> tuple[np.ndarray, int]:
    """Return rising times as strictly rising int64 of a finer tick, and how many of those are one tick before."""
    finer = 1
    while len(times) > 1 and np.diff(np.rint(times * finer)).min() < 1:
        finer *= 10
    return np.rint(times * finer).astype(np.int64), finer


def _stretches(times: np.ndarray, step: int, longest_gap: int | None) -> tuple[list[int], list[int]]:
    """Return the rows where the clock jumps, and the rows whose time is wrong."""
    starts: list[int] = []
    outliers: list[int] = []
    known = np.flatnonzero(times != NO_TIME).tolist()
    fine: list[tuple[int, int]] = []  # (row, time) of the stretch so far
    for place, row in enumerate(known):
        time = int(times[row])
        if fine and not 0 <= time - fine[-1][1] <= (longest_gap if longest_gap is not None else time - fine[-1][1]):
            wrong = _too_late(fine, row, time, step)
            if wrong:
                outliers += [before for before, _ in fine[-wrong:]]
                del fine[-wrong:]
            elif _old_clock_goes_on(times, known[place : place + 1 + _LOOK_AHEAD], fine[-1], step):
                outliers.append(row)
                continue
            else:
                starts.append(row)
                fine.clear()
        fine.append((row, time))
    return starts, outliers


def _too_late(fine: Sequence[tuple[int, int]], row: int, time: int, step: int) -> int:
    """Return how many of the last times must be wrong for this one to be right: 0 if that does not explain it."""
    for wrong in range(1, min(_MAX_OUTLIERS, len(fine) - 1) + 1):
        before_row, before = fine[-1 - wrong]
        if abs(time - (before + (row - before_row) * step)) <= step and time > before:
            return wrong
    return 0


def _old_clock_goes_on(times: np.ndarray, rows: Sequence[int], last: tuple[int, int], step: int) -> bool:
    """Return whether the packets after ``rows[0]`` fit better to the clock before it than to its own."""
    following = np.array(rows[1:])
    if not len(following):
        return True  # the last packet of all: nothing says that the clock goes on from there
    seen = times[following]
    by_old = last[1] + (following - last[0]) * step
    by_new = int(times[rows[0]]) + (following - rows[0]) * step
    return bool(2 * np.count_nonzero(np.abs(seen - by_old) < np.abs(seen - by_new)) > len(following))


def _longest_rising(values: Sequence[int]) -> list[int]:
    """Return the places of a longest strictly rising part of a sequence (patience sorting)."""
    tails: list[int] = []  # smallest last value of a rising part of each length
    at: list[int] = []  # its place
    before: list[int] = []
    for place, value in enumerate(values):
        length = bisect_left(tails, value)
        before.append(at[length - 1] if length else -1)
        tails[length : length + 1], at[length : length + 1] = [value], [place]
    chosen: list[int] = []
    place = at[-1] if at else -1
    while place >= 0:
        chosen.append(place)
        place = before[place]
    return chosen[::-1]
