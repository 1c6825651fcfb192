"""Blinks: short, deep falls of the eyes' opening."""

from __future__ import annotations

from typing import Final

import numpy as np

from vidfer.types.movements import Blink, BlinkCount, BlinkSide

MIN_FPS: Final = 15.0  # a blink lasts 0.1 to 0.4 s (Schiffman 1990; Caffier et al. 2003): three frames or more
# Of the usual opening, the mean of both eyes: in the teacher's curves of the clips that the network learnt from, few
# falls lie near it: those of other movements are smaller, those of blinks larger.
MIN_DEPTH: Final = 0.36
MAX_SECONDS: Final = 0.5  # below half of the fall; an eye that is closed for longer is at rest
_SHALLOW, _SHALLOW_SECONDS = 0.5, 0.3  # a smaller fall that lasts longer is a look downwards or a squint
_ONE_SIDED: Final = 0.5  # a wink: the other eye falls by less than this part
_EDGE: Final = 0.25  # of the fall: where it begins and ends
_TAIL: Final = 0.25  # seconds from half of the fall to there at most: lids may go on rising for long
_USUAL_SECONDS: Final = 3.0  # to either side: what is usual follows the person
_USUAL_PERCENTILE: Final = 80.0  # of the opening there: eyes are closed for less than a fifth of the time


def find_blinks(seconds: np.ndarray, opening: np.ndarray, *, track_id: int) -> tuple[list[Blink], BlinkCount]:
    """Return one person's blinks, and how far they could be counted.

    Parameters
    ----------
    seconds
        (T,) times of the frames with the face, ascending.
    opening
        (T, 2) of the left and the right eye, 0..1; NaN where not known.
    track_id
        The person.

    Notes
    -----
    The mean of both eyes is looked at: a wink lowers it by a half. A blink is a minimum that lies ``MIN_DEPTH`` of the
    usual opening below what is around it and half of which is made up again within ``MAX_SECONDS``, or sooner if it is
    shallow.
    Stretches between gaps are looked at each by itself; one of fewer than ``MIN_FPS`` frames a second is not measured.
    """
    known = np.flatnonzero(np.isfinite(opening).any(1))
    blinks: list[Blink] = []
    measured = 0.0
    for rows in _stretches(seconds, known):
        steps = np.diff(seconds[rows])
        if len(rows) < 3 or np.median(steps) > 1.02 / MIN_FPS:
            continue
        measured += float(seconds[rows[-1]] - seconds[rows[0]] + np.median(steps))
        blinks += _of_stretch(seconds[rows], opening[rows], track_id)
    total = _seen_seconds(seconds)
    count = BlinkCount(
        count=len(blinks) if measured else None,
        measured_seconds=measured,
        share=min(1.0, measured / total) if total else 0.0,
    )
    return blinks, count


def _stretches(seconds: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Return rows without gaps: frames no further apart than twice the usual step, and a tenth of a second."""
    if not len(rows):
        return []
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    breaks = np.flatnonzero(np.diff(seconds[rows]) > max(2.1 * step, 0.1)) + 1
    return np.split(rows, breaks)


def _seen_seconds(seconds: np.ndarray) -> float:
    if len(seconds) < 2:
        return 0.0
    steps = np.diff(seconds)
    step = float(np.median(steps))
    return float(np.minimum(steps, max(2.1 * step, 0.1)).sum() + step)


def _of_stretch(seconds: np.ndarray, opening: np.ndarray, track_id: int) -> list[Blink]:
    from scipy.signal import find_peaks

    other = opening[:, ::-1]
    opening = np.where(np.isfinite(opening), opening, other)  # (T, 2)
    usual = np.stack([_open_baseline(seconds, opening[:, eye]) for eye in range(2)], 1)
    closing = 1 - opening / usual  # 0 open, 1 closed
    mean = closing.mean(1)
    peaks, facts = find_peaks(mean, height=MIN_DEPTH, prominence=MIN_DEPTH)
    found: list[Blink] = []
    for peak, prominence in zip(peaks.tolist(), facts["prominences"].tolist(), strict=True):
        closed, opened = _edges(seconds, mean, peak, mean[peak] - prominence / 2)
        left, right = closing[peak]
        depth = max(left, right)
        if not opened - closed <= (MAX_SECONDS if depth >= _SHALLOW else _SHALLOW_SECONDS):
            continue
        start, end = _edges(seconds, mean, peak, mean[peak] - (1 - _EDGE) * prominence)
        start, end = max(start, closed - _TAIL, seconds[0]), min(end, opened + _TAIL, seconds[-1])
        if found:
            if closed < found[-1].closed_seconds:  # the same closure again
                continue
            start = max(start, found[-1].end_seconds)
        both = min(left, right) >= _ONE_SIDED * max(left, right)
        side: BlinkSide = "both" if both else "left" if left > right else "right"
        found.append(
            Blink(
                track_id=track_id,
                start_seconds=start,
                closed_seconds=float(seconds[peak]),
                end_seconds=end,
                depth=float(min(1.0, depth)),
                side=side,
            )
        )
    return found


def _edges(seconds: np.ndarray, closing: np.ndarray, peak: int, level: float) -> tuple[float, float]:
    """Return when the curve passes ``level`` before and after a peak; infinitely far away where it does not."""
    below = np.flatnonzero(closing < level)
    before, after = below[below < peak], below[below > peak]
    if not len(before) or not len(after):
        return -np.inf, np.inf

    def passed(low: int, high: int) -> float:
        part = (level - closing[low]) / (closing[high] - closing[low])
        return float(seconds[low] + part * (seconds[high] - seconds[low]))

    return passed(int(before[-1]), int(before[-1]) + 1), passed(int(after[0]), int(after[0]) - 1)


def _open_baseline(seconds: np.ndarray, opening: np.ndarray) -> np.ndarray:
    """Return how far an eye is open around each frame when it does not blink, (T,), never 0."""
    half = max(1, round(_USUAL_SECONDS / max(float(np.median(np.diff(seconds))), 1e-3)))
    padded = np.pad(opening, half, mode="reflect" if len(opening) > half else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    usual: np.ndarray = np.maximum(np.percentile(windows, _USUAL_PERCENTILE, axis=1), 0.15)
    return usual
