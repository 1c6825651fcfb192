"""Which episodes get a picture of their peak, how it is cut out, and where pictures stand beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidfer.people.by_person import by_person
from vidfer.timeline.series import main_faces
from vidfer.types import ClipResult, EmotionSegment

MAX_PER_FACE = 11  # stand side by side under the chart
MAX_PORTRAITS = 40
PICTURE_PX = 120
_MARGIN_SHARE = 0.15  # of the box's longer side is added on each side


def apex_episodes(clip: ClipResult) -> list[EmotionSegment]:
    """Return the episodes whose peak is shown, by face, then time.

    Of each face that charts draw: its expressions, the most probable ones where there are more than fit; a face that
    is never anything but neutral is shown so.
    """
    clip = by_person(clip)
    shown, _ = main_faces(clip)
    chosen: list[EmotionSegment] = []
    for track in shown:
        episodes = [segment for segment in clip.segments if segment.track_id == track]
        expressions = [segment for segment in episodes if segment.emotion != "neutral"] or episodes
        expressions.sort(key=lambda segment: (-segment.peak_probability, segment.start_seconds))
        chosen += sorted(expressions[:MAX_PER_FACE], key=lambda segment: segment.peak_seconds)
    return chosen


def face_row_at(clip: ClipResult, episode: EmotionSegment) -> int:
    """Return the row of the face at an episode's peak."""
    rows = np.flatnonzero(clip.timeline.track_id == episode.track_id)
    seconds = clip.frames.pts_seconds[clip.timeline.frame_row[rows]]
    return int(rows[np.abs(seconds - episode.peak_seconds).argmin()])


def best_views(clip: ClipResult) -> dict[int, int]:
    """Return the row that shows each person best, large and clear: who counts first, then by time on screen."""
    ids = clip.roster.person_id if clip.roster else clip.timeline.track_id
    included = clip.roster.included if clip.roster else np.ones(len(ids), np.bool_)
    people, frames = np.unique(ids[ids >= 0], return_counts=True)
    worth = np.nan_to_num(clip.faces.quality) * (clip.faces.xyxy[:, 2:] - clip.faces.xyxy[:, :2]).min(axis=1).clip(1)
    views = {}
    for person in people[np.lexsort((people, -frames))].tolist():
        rows = np.flatnonzero(ids == person)
        views[person] = int(rows[worth[rows].argmax()])
    order = sorted(views, key=lambda person: not included[views[person]])  # stable
    return {person: views[person] for person in order[:MAX_PORTRAITS]}


def cut_out(image: np.ndarray, xyxy: np.ndarray, *, size: int = PICTURE_PX) -> np.ndarray:
    """Return the face in a frame as a square picture, (size, size, 3) uint8 RGB; black beyond the frame's edge.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    xyxy
        (4,) px, the face's box.
    """
    from PIL import Image

    left, top, right, bottom = (float(value) for value in xyxy)
    half = max(right - left, bottom - top, 1.0) * (0.5 + _MARGIN_SHARE)
    x, y = (left + right) / 2, (top + bottom) / 2
    square = tuple(round(value) for value in (x - half, y - half, x + half, y + half))
    cut = Image.fromarray(image).crop(square)  # type: ignore[arg-type]
    return np.asarray(
        cut.resize((size, size), Image.Resampling.BOX if cut.width > 2 * size else Image.Resampling.BICUBIC)
    )


def side_by_side(centres: Sequence[float], *, width: float, low: float, high: float) -> np.ndarray:
    """Return the places nearest to ascending centres at which things of a width stand beside each other.

    Parameters
    ----------
    centres
        (n,) where each would best stand.
    width
        Of each.
    low, high
        Bounds of the whole row; it is at least ``n * width`` long.

    Returns
    -------
    (n,) float64 centres, at least ``width`` apart, with the least sum of squared moves.
    """
    from scipy.optimize import isotonic_regression

    steps = width * np.arange(len(centres))
    ascending = isotonic_regression(np.asarray(centres, dtype=np.float64) - steps).x
    first, last = low + width / 2, high - width / 2 - (steps[-1] if len(steps) else 0.0)
    places: np.ndarray = np.clip(ascending, first, max(first, last)) + steps
    return places
