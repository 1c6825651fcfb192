"""Which episode each row lies in: what charts, shares of time and labels over the video show of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from vidfer.labels import UNSURE_LABEL
from vidfer.types import EmotionSegment, EmotionTimeline, SampledFrames

_ROUNDING_SECONDS = 1e-6


def episode_labels(timeline: EmotionTimeline, frames: SampledFrames, segments: Sequence[EmotionSegment]) -> np.ndarray:
    """Return the label of the episode that each row of the timeline lies in, (N,) int64, or ``UNSURE_LABEL``.

    Parameters
    ----------
    timeline, frames
        Of one clip.
    segments
        Its episodes, also as read from a table, where times are rounded to microseconds.
    """
    held = np.full(len(timeline.track_id), UNSURE_LABEL, dtype=np.int64)
    seconds = frames.pts_seconds[timeline.frame_row] + _ROUNDING_SECONDS
    order = np.argsort(timeline.track_id, kind="stable")  # of each track in order of time
    tracks = timeline.track_id[order]
    of_track: dict[int, list[EmotionSegment]] = defaultdict(list)
    for segment in segments:
        of_track[segment.track_id].append(segment)
    for track, episodes in of_track.items():
        rows = order[slice(*np.searchsorted(tracks, [track, track + 1]))]
        starts = np.searchsorted(seconds[rows], [episode.start_seconds for episode in episodes])
        ends = np.searchsorted(seconds[rows], [episode.end_seconds for episode in episodes])
        for first, stop, episode in zip(starts.tolist(), ends.tolist(), episodes, strict=True):
            held[rows[first:stop]] = timeline.labels.index(episode.emotion)
    return held
