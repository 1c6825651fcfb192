"""What is measured of some rows of a clip that are one person's: when, how long, how large, how still."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from vidfer.people.table import Sighting
from vidfer.types import ClipResult

STILL_PX, STILL_SHARE = 0.1, 0.0015
"""A face stands still where the centre of its box strays less than 0.1 px plus 0.15 % of its size (standard deviation).
On our clips pictures of faces stray 0.06 to 0.2 % of their size over the whole clip, with noise and compression, living
people in front of a still camera 0.4 % or more (benchmarks/still_faces.py)."""
WINDOW_SECONDS = 1.0
_WINDOW_FRAMES = 5  # fewer say nothing
_SIGHTINGS = 5  # of each track in a person
_FEWEST_FRAMES = 10  # of fewer one cannot say that a face never moves


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of some rows of a clip.

    Attributes
    ----------
    first_seconds, last_seconds
        From the video's first frame; the end of the last frame.
    seconds_on_screen, frames
        How long and in how many frames the face is seen.
    median_size_px
        Of the longer side of its box.
    mean_quality
        0..1, weighed by time; NaN where it is not known.
    stray_px
        Standard deviation of the box's centre over all frames.
    still_share
        Share of time in seconds in which it does not move, 0..1.
    """

    first_seconds: float
    last_seconds: float
    seconds_on_screen: float
    frames: int
    median_size_px: float
    mean_quality: float
    stray_px: float
    still_share: float

    @property
    def never_moves(self) -> bool:
        """Whether it is a picture of a face, as far as one can see: seen for two seconds and never moved."""
        is_seen = self.seconds_on_screen >= 2 * WINDOW_SECONDS and self.frames >= _FEWEST_FRAMES
        return is_seen and self.stray_px < _limit(self.median_size_px)


def figures_of(clip: ClipResult, rows: np.ndarray) -> Figures:
    """Measure some ascending rows (n,) of a clip's faces, at least one."""
    frame_row = clip.timeline.frame_row[rows]
    seconds, durations = clip.frames.pts_seconds[frame_row], clip.frames.durations_seconds[frame_row]
    xyxy = clip.faces.xyxy[rows].astype(np.float64)
    size = float(np.median((xyxy[:, 2:] - xyxy[:, :2]).max(axis=1)))
    centres = (xyxy[:, :2] + xyxy[:, 2:]) / 2  # (n, 2)
    quality = clip.faces.quality[rows].astype(np.float64)
    known = np.isfinite(quality)
    still = np.zeros(len(rows), np.bool_)
    edges = [0, *(np.flatnonzero(np.diff(seconds // WINDOW_SECONDS)) + 1).tolist(), len(rows)]
    for first, stop in itertools.pairwise(edges):
        still[first:stop] = stop - first >= _WINDOW_FRAMES and _stray(centres[first:stop]) < _limit(size)
    total = float(durations.sum())
    return Figures(
        first_seconds=float(seconds.min()),
        last_seconds=float((seconds + durations).max()),
        seconds_on_screen=total,
        frames=len(np.unique(frame_row)),
        median_size_px=size,
        mean_quality=float(np.average(quality[known], weights=durations[known])) if known.any() else float("nan"),
        stray_px=_stray(centres),
        still_share=float(durations[still].sum() / total) if total > 0 else 0.0,
    )


def sightings_of(clip: ClipResult, rows: np.ndarray) -> tuple[Sighting, ...]:
    """Return a few places of each track in some rows, spread over its time."""
    tracks = clip.timeline.track_id[rows]
    found = []
    for track in np.unique(tracks).tolist():
        mine = rows[tracks == track]
        places = np.unique(np.linspace(0, len(mine) - 1, _SIGHTINGS + 2).round().astype(int)[1:-1])
        for row in mine[places].tolist():
            left, top, right, bottom = np.round(clip.faces.xyxy[row]).astype(int).tolist()
            seconds = float(clip.frames.pts_seconds[clip.timeline.frame_row[row]])
            found.append(Sighting(track, seconds, (left, top, right - left, bottom - top)))
    return tuple(found)


def _stray(centres: np.ndarray) -> float:
    return float(np.sqrt(centres.var(axis=0).sum()))


def _limit(size: float) -> float:
    return STILL_PX + STILL_SHARE * size
