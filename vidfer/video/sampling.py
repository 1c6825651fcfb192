"""Which frames to look at: by time, never by index, so that variable frame rate is sampled evenly."""

from __future__ import annotations

import numpy as np

# Containers round timestamps (Matroska to 1 ms), so a frame that is due at a tick may be stamped just after it.
_TOLERANCE_SECONDS = 0.001


def tick_tolerance_seconds(fps: float) -> float:
    """Return how late a frame's timestamp may be and still count as displayed at a tick, in seconds."""
    return min(_TOLERANCE_SECONDS, 0.25 / fps)


def sample_indices(pts_seconds: np.ndarray, fps: float) -> np.ndarray:
    """Choose the frames displayed at every tick of ``1 / fps`` seconds.

    Parameters
    ----------
    pts_seconds
        (F,) float64, strictly increasing, the first 0.
    fps
        Frames per second of video; 0 = every frame.

    Returns
    -------
    numpy.ndarray
        (S,) int64, strictly increasing. For each tick k / fps from 0 to the last timestamp: the last frame whose
        timestamp is at most the tick (plus ``tick_tolerance_seconds``). A frame that is displayed over several ticks
        is taken once, so a video slower than ``fps`` gives each frame once. The first frame is always taken.
    """
    if fps < 0 or not np.isfinite(fps):
        raise ValueError(f"fps: expected 0 (every frame) or more, got {fps}")
    if fps == 0 or len(pts_seconds) == 0:
        return np.arange(len(pts_seconds), dtype=np.int64)
    tolerance = tick_tolerance_seconds(fps)
    # The ticks at which a frame is displayed: from its own time to the next frame's. Taken per frame rather than per
    # tick, a long pause costs nothing.
    first_tick = np.maximum(1, np.ceil((pts_seconds - tolerance) * fps))
    first_tick[0] = 0
    next_tick = np.append(first_tick[1:], first_tick[-1] + 1)
    last_tick = np.floor((pts_seconds[-1] + tolerance) * fps)
    return np.flatnonzero((first_tick < next_tick) & (first_tick <= last_tick)).astype(np.int64)
