"""A clip's time course in a few dozen numbers: what sparklines and averages over clips are drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vidfer.labels import EMOTIONS, NUM_EMOTIONS
from vidfer.timeline.series import end_seconds
from vidfer.types import ClipResult

MAX_BINS = 60


def time_course(clip: ClipResult, *, max_bins: int = MAX_BINS) -> dict[str, Any]:
    """Return the mean probabilities over all faces in equal parts of the clip, JSON-ready.

    Returns
    -------
    ``{"end_seconds": float, "means": {emotion: [one number per part]}}``; a part in which no face is seen is None. A
    clip of fewer than ``max_bins`` sampled frames has as many parts as frames.
    """
    num_frames, end = len(clip.frames), end_seconds(clip)
    kept = np.flatnonzero(clip.timeline.track_id >= 0)
    frame_row = clip.timeline.frame_row[kept]
    faces = np.bincount(frame_row, minlength=num_frames)  # (F,)
    sums = np.zeros((num_frames, NUM_EMOTIONS))
    np.add.at(sums, frame_row, clip.timeline.probabilities[kept])
    of_frame = sums / np.maximum(faces, 1)[:, None]  # (F, K), 0 where no face is
    bins = max(1, min(max_bins, num_frames))
    edges = np.linspace(0, end, bins + 1)
    bounds = np.searchsorted(clip.frames.pts_seconds, edges)
    first, last = bounds[:-1], bounds[1:]
    first = np.where(last <= first, np.maximum(first - 1, 0), first)  # a frame that lasts longer than the part
    last = np.maximum(last, first + 1).clip(max=num_frames)
    totals = _range_sums(of_frame, first, last)  # (B, K)
    seen = _range_sums((faces > 0)[:, None].astype(float), first, last)  # (B, 1)
    means = np.where(seen > 0, totals / np.maximum(seen, 1), np.nan)
    return {
        "end_seconds": round(end, 6),
        "means": {
            name: [None if np.isnan(value) else round(float(value), 3) for value in means[:, label]]
            for label, name in enumerate(EMOTIONS)
        },
    }


def time_course_array(of_clip: Mapping[str, Any]) -> np.ndarray:
    """Return the means of what ``time_course`` gave as (B, K) float64, NaN where no face is seen."""
    return np.array([of_clip["means"][name] for name in EMOTIONS], dtype=np.float64).T


def average_time_course(
    time_courses: Iterable[Mapping[str, Any]], *, by_fraction: bool, points: int = 120
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average time courses over clips.

    Parameters
    ----------
    time_courses
        What ``time_course`` gave, one per clip.
    by_fraction
        True: clips are stretched to the same length, and time is 0..1. False: all begin at 0 seconds, and the axis
        ends where fewer than half of the clips go on.
    points
        Points of the average, T.

    Returns
    -------
    times
        (T,) middle of each part, a fraction or seconds.
    probabilities
        (C, T, K) per clip; NaN where a clip shows no face or has ended.
    num_clips
        (T,) clips that count at each point.
    """
    known = list(time_courses)
    ends = sorted((of_clip["end_seconds"] for of_clip in known), reverse=True)
    end = 1.0 if by_fraction or not ends else ends[fewest_clips(len(ends)) - 1]
    times = (np.arange(points) + 0.5) / points * end
    values = np.full((len(known), points, NUM_EMOTIONS), np.nan)
    for row, of_clip in enumerate(known):
        array = time_course_array(of_clip)
        place = np.floor(times / (1.0 if by_fraction else of_clip["end_seconds"]) * len(array)).astype(int)
        inside = place < len(array)
        values[row, inside] = array[place[inside]]
    return times, values, (~np.isnan(values[..., 0])).sum(axis=0)


def fewest_clips(num_clips: int) -> int:
    """Return how many clips an average of so many must be made of: what is left of fewer stands for them no more."""
    return max(1, -(-num_clips // 2))


def _range_sums(values: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the sums of ``values[first:last]`` for each range."""
    running = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    sums: np.ndarray = running[last] - running[first]
    return sums
