"""What a clip's movements are to people: columns of the timeline, each person's own neutral, blinks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vidfer.timeline.blinks import MIN_FPS, find_blinks
from vidfer.types import EmotionTimeline, FaceDetections, SampledFrames
from vidfer.types.movements import Blink, BlinkCount, ClipMovements
from vidfer.types.validation import rows_by_number

CHANGE = "_change"  # added to a movement's name: less the person's own neutral
_OPENINGS = ("eye_open_left", "eye_open_right")


def clip_movements(
    table: Mapping[str, np.ndarray],
    names: Mapping[str, int],
    timeline: EmotionTimeline,
    frames: SampledFrames,
    faces: FaceDetections,
    *,
    person_id: np.ndarray,
    baseline: str | tuple[float, float],
    least_px: tuple[float, float],
) -> ClipMovements:
    """Return the movements of a clip.

    Parameters
    ----------
    table, names
        Arrays of ``MovementsTable``, and which columns of ``values`` are what.
    timeline, frames, faces
        Of the clip.
    person_id
        (N,) whose each face is, negative for a face that tracking dropped.
    baseline
        ``none``, ``clip``, or [start, end) in seconds: where a person's median is taken from.
    least_px
        Sides of the smallest face that is measured, and of the smallest whose eyes are.
    """
    columns = movement_columns(table, names)
    seconds = frames.pts_seconds[timeline.frame_row]
    if baseline != "none":
        first, last = (-np.inf, np.inf) if isinstance(baseline, str) else baseline
        neutral = (seconds >= first) & (seconds < last)
        people = list(rows_by_number(person_id))
        columns |= {name + CHANGE: _less_neutral(columns[name], people, neutral) for name in names}
    blinks, counts = blinks_of(columns, seconds, timeline.track_id)
    return ClipMovements(
        columns=columns,
        iris=table["iris"],
        blinks=blinks,
        counts=counts,
        warnings=tuple(_warnings(timeline.track_id, seconds, faces, counts, least_px)),
    )


def movement_columns(table: Mapping[str, np.ndarray], names: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Return the columns of the timeline, (N,) each, that need no other row; see ``clip_movements``."""
    return {
        **{name: table["values"][:, i] for name, i in names.items()},
        "gaze_yaw": table["gaze"][:, 0],
        "gaze_pitch": table["gaze"][:, 1],
        "movement_quality": table["quality"],
    }


def blinks_of(
    columns: Mapping[str, np.ndarray], seconds: np.ndarray, ids: np.ndarray
) -> tuple[tuple[Blink, ...], dict[int, BlinkCount]]:
    """Return the blinks, and how far they could be counted, by track or person.

    Parameters
    ----------
    columns
        Movements by name, each (N,).
    seconds, ids
        (N,) time, and track or person, of each row; rows of negative ids are nobody's.
    """
    opening = np.stack([columns[name] for name in _OPENINGS], 1)
    blinks: list[Blink] = []
    counts: dict[int, BlinkCount] = {}
    for number, rows in rows_by_number(ids):
        found, counts[number] = find_blinks(seconds[rows], opening[rows], track_id=number)
        blinks += found
    return tuple(blinks), counts


def _less_neutral(values: np.ndarray, people: Sequence[tuple[int, np.ndarray]], neutral: np.ndarray) -> np.ndarray:
    """Return values less each person's median over the rows that are neutral; NaN for who is not seen in them."""
    change = np.full(len(values), np.nan, np.float32)
    for _, rows in people:
        change[rows] = values[rows] - own_median(values[rows[neutral[rows]]])
    return change


def own_median(values: np.ndarray) -> float:
    """Return the median of the values (n,) that are known; NaN if none is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan


def _warnings(
    track_id: np.ndarray,
    seconds: np.ndarray,
    faces: FaceDetections,
    counts: Mapping[int, BlinkCount],
    least_px: tuple[float, float],
) -> Iterator[str]:
    side = (faces.xyxy[:, 2:] - faces.xyxy[:, :2]).max(1, initial=0)[track_id >= 0]
    small, eyes = np.count_nonzero(side < least_px[0]), np.count_nonzero(side < least_px[1])
    if small:
        yield f"movements: {small} of {len(side)} faces are smaller than {least_px[0]:g} px: their cells are empty"
    if eyes > small:
        yield f"movements: {eyes - small} of {len(side)} faces are smaller than {least_px[1]:g} px: no eyes, no gaze"
    times = np.unique(seconds)
    if len(times) > 1 and np.median(np.diff(times)) > 1.02 / MIN_FPS:
        rate = 1 / float(np.median(np.diff(times)))
        yield f"blinks cannot be counted at {rate:.3g} frames a second: expected {MIN_FPS:g} or more (video.fps)"
    elif counts and not any(count.count is not None for count in counts.values()):
        yield "blinks cannot be counted: no eye is seen for long enough"
