"""One face's probabilities as a curve of drawable length, with the stretches in which the face is not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidfer.labels import UNSURE_LABEL
from vidfer.timeline.states import episode_labels
from vidfer.types import ClipResult

MAX_PANELS = 6  # faces that one chart shows
MIN_BAND = 0.02  # narrower is not to be seen


@dataclass(frozen=True, kw_only=True)
class FaceSeries:
    """What a chart draws for one face.

    Attributes
    ----------
    track_id
        The person.
    seconds
        (T,) float64, ascending. Each stretch ends with a point at the end of its last frame, so that a single frame
        can be seen too.
    probabilities
        (T, K) float32; NaN in rows that separate two stretches, where a line must break.
    low, high
        (T, K) float32, the band around each line: from the probability to what the per-frame network says of the same
        frame alone. Where a point stands for several frames, it leaves out the outer tenth of them on either side.
        It is wide where the two networks disagree, that is where a value hangs on the frames around it; it is no
        interval of confidence about the label. Equal to ``probabilities`` where the single frames are not known.
    averaged
        True if points stand for several frames.
    gaps
        (G, 2) float64, [start, end) seconds of sampled frames without this face.
    unsure
        (U, 2) float64, [start, end) seconds of those with this face and in no episode of it.
    """

    track_id: int
    seconds: np.ndarray
    probabilities: np.ndarray
    low: np.ndarray
    high: np.ndarray
    averaged: bool
    gaps: np.ndarray
    unsure: np.ndarray

    def band_is_seen(self, label: int) -> bool:
        """Return whether a label's band is wide enough anywhere to be drawn."""
        with np.errstate(invalid="ignore"):
            return bool((self.high[:, label] - self.low[:, label] >= MIN_BAND).any())


def face_series(clip: ClipResult, track: int, *, max_points: int = 1200) -> FaceSeries:
    """Build the curve of one face; where the clip has more than ``max_points`` frames, points are means over time."""
    rows = np.flatnonzero(clip.timeline.track_id == track)
    frame_row = clip.timeline.frame_row[rows]
    pts = clip.frames.pts_seconds
    stretch = np.cumsum(np.diff(frame_row, prepend=frame_row[0]) > 1)  # (n,) number of the unbroken stretch
    seconds = pts[frame_row]
    width = float(pts[-1] - pts[0]) / max_points
    fine = len(pts) <= max_points or width == 0
    bin_of = np.arange(len(rows)) if fine else ((seconds - pts[0]) // width).astype(np.int64)
    edges = np.flatnonzero((np.diff(bin_of) > 0) | (np.diff(stretch) > 0)) + 1
    starts = np.concatenate([[0], edges])  # first row of each point
    probabilities = clip.timeline.probabilities[rows]
    sizes = np.diff(np.append(starts, len(rows)))
    means = np.add.reduceat(probabilities, starts, axis=0) / sizes[:, None]  # (P, K)
    times = np.add.reduceat(seconds, starts) / sizes
    low, high = means, means
    logits = clip.embeddings.logits[rows]
    if np.isfinite(logits).all():
        low, high = _band(probabilities, logits, starts, sizes)
        low, high = np.minimum(low, means), np.maximum(high, means)
    last = np.append(np.flatnonzero(np.diff(stretch[starts]) > 0), len(starts) - 1)  # last point of each stretch
    final = starts[last] + sizes[last] - 1  # its last row
    ends = seconds[final] + clip.frames.durations_seconds[frame_row[final]]
    at = np.repeat(last + 1, 2)  # two rows after each: one that holds the value, one that breaks the line

    def with_breaks(values: np.ndarray) -> np.ndarray:
        held = np.repeat(values[last], 2, axis=0)
        held[1::2] = np.nan
        return np.insert(values, at, held, axis=0).astype(np.float32)[:-1]

    return FaceSeries(
        track_id=track,
        seconds=np.insert(times, at, np.repeat(ends, 2))[:-1],
        probabilities=with_breaks(means),
        low=with_breaks(low),
        high=with_breaks(high),
        averaged=not fine,
        gaps=gaps_of(clip, frame_row),
        unsure=_unsure(clip, rows),
    )


def main_faces(clip: ClipResult, *, most: int = MAX_PANELS) -> tuple[list[int], list[int]]:
    """Return the people (of `by_person`) or tracks that are drawn, most frames first, and those left out."""
    tracks, frames = np.unique(clip.timeline.track_id[clip.timeline.track_id >= 0], return_counts=True)
    by_presence = tracks[np.lexsort((tracks, -frames))].tolist()
    return by_presence[:most], by_presence[most:]


def end_seconds(clip: ClipResult) -> float:
    """Return where the clip's time axis ends; it begins at 0."""
    sampled = float(clip.frames.pts_seconds[-1] + clip.frames.durations_seconds[-1]) if len(clip.frames) else 0.0
    announced = clip.info.duration_seconds
    # A truncated file may announce far more than there is.
    end = sampled if clip.decode.truncated or not np.isfinite(announced) else max(sampled, announced)
    return end if end > 0 else 1.0


def gaps_of(clip: ClipResult, frame_row: np.ndarray) -> np.ndarray:
    """Return (G, 2) float64 the [start, end) seconds of sampled frames that are not in ``frame_row``."""
    missing = np.ones(len(clip.frames) + 2, dtype=np.bool_)
    missing[[0, -1]] = False
    missing[1 + frame_row] = False
    flips = np.flatnonzero(np.diff(missing.astype(np.int8)))
    ends = np.append(clip.frames.pts_seconds, clip.frames.pts_seconds[-1:] + clip.frames.durations_seconds[-1:])
    return ends[flips].reshape(-1, 2)


def _unsure(clip: ClipResult, rows: np.ndarray) -> np.ndarray:
    """Return (U, 2) float64 [start, end) seconds of a face's rows that lie in no episode."""
    sure = np.ones(len(clip.frames), dtype=np.bool_)
    held = episode_labels(clip.timeline, clip.frames, clip.segments)[rows]
    sure[clip.timeline.frame_row[rows[held == UNSURE_LABEL]]] = False
    return gaps_of(clip, np.flatnonzero(sure))


def _band(
    probabilities: np.ndarray, logits: np.ndarray, starts: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper edge (P, K) of the bands of groups of rows; see ``FaceSeries``."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    alone = powers / powers.sum(axis=1, keepdims=True)  # (n, K)
    low = _ranked(np.fmin(probabilities, alone), starts, sizes, part=0.1)
    high = _ranked(np.fmax(probabilities, alone), starts, sizes, part=0.9)
    return low, high


def _ranked(values: np.ndarray, starts: np.ndarray, sizes: np.ndarray, *, part: float) -> np.ndarray:
    """Return the value (P, K) at this part of each group of rows by rank, e.g. 0.5 for the median."""
    group = np.repeat(np.arange(len(starts)), sizes)
    place = starts + ((sizes - 1) * part).round().astype(int)
    columns = [values[np.lexsort((values[:, label], group)), label][place] for label in range(values.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)
