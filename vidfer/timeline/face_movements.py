"""One face's movements in numbers: blinks a minute, where it looks, how it smiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vidfer.types import ClipMovements

# Degrees from the line to the camera; two networks differ by 3 to 4 in the mean (assets/movements.md).
AT_CAMERA = 12.0
SMILE = 0.4  # of the mean of both sides, where a smile begins
_NARROWED = 0.1  # how much more than in the person's time without a smile
_EDGES = (0.2, 0.8)  # of a smile's height, between which its speed is taken


def movements_of_face(
    movements: ClipMovements, track: int, rows: np.ndarray, seconds: np.ndarray, durations: np.ndarray
) -> dict[str, Any]:
    """Return the numbers of one face, JSON-ready; what could not be measured is None.

    Parameters
    ----------
    movements
        Of the clip.
    track, rows
        The person, and its rows (n,).
    seconds, durations
        (n,) when each row is, and how long its frame stands for.
    """
    columns = {name: values[rows].astype(np.float64) for name, values in movements.columns.items()}
    count = (movements.counts or {}).get(track)
    return {
        "blinks": None if count is None else count.count,
        "blinks_per_minute": None if count is None else rounded(count.per_minute, 3),
        "blinks_measured_share": None if count is None else rounded(count.share),
        "gaze": gaze_shares(columns, durations),
        "smile": _smile(columns, seconds, durations),
        "mean_movement_quality": mean(columns["movement_quality"], durations),
    }


def gaze_shares(columns: Mapping[str, np.ndarray], durations: np.ndarray) -> dict[str, Any]:
    """Return the shares of the time in which the gaze is known: at the camera, else the way it leaves it most.

    Parameters
    ----------
    columns
        ``gaze_yaw`` and ``gaze_pitch``, (n,) degrees each, NaN where not known.
    durations
        (n,) how long each row stands for.
    """
    yaw, pitch = columns["gaze_yaw"], columns["gaze_pitch"]
    known = np.isfinite(yaw)
    at_camera = np.hypot(yaw, pitch) <= AT_CAMERA
    aside = ~at_camera & (np.abs(yaw) > np.abs(pitch))
    down, up = ~at_camera & ~aside & (pitch < 0), ~at_camera & ~aside & (pitch >= 0)
    shares = {"at_camera": at_camera, "down": down, "up": up, "aside": aside}
    measured = mean(known.astype(float), durations)
    return {
        **{f"{name}_share": mean(np.where(known, is_so, np.nan), durations) for name, is_so in shares.items()},
        "measured_share": measured,
    }


def _smile(columns: Mapping[str, np.ndarray], seconds: np.ndarray, durations: np.ndarray) -> dict[str, Any]:
    left, right, narrowed = columns["smile_left"], columns["smile_right"], columns["eye_squint"]
    height = (left + right) / 2
    known, smiling = np.isfinite(height), height >= SMILE
    if smiling.any():
        neutral = narrowed[known & ~smiling & np.isfinite(narrowed)]
        usual = float(np.median(neutral)) if len(neutral) else np.nan
        with_eyes = np.where(smiling & np.isfinite(narrowed), narrowed >= usual + _NARROWED, np.nan)
        with_eyes = with_eyes if np.isfinite(usual) else np.full(len(height), np.nan)
        larger = np.maximum(left, right)
        symmetry = np.where(smiling, np.minimum(left, right) / np.maximum(larger, 1e-6), np.nan)
    else:
        with_eyes = symmetry = np.full(len(height), np.nan)
    onset, offset = _speeds(height, smiling, seconds)
    return {
        "share_of_time": mean(np.where(known, smiling, np.nan), durations),
        "with_eyes_narrowed_share": mean(with_eyes, durations),
        "symmetry": mean(symmetry, durations),
        "onset_per_second": onset,
        "offset_per_second": offset,
    }


def _speeds(height: np.ndarray, smiling: np.ndarray, seconds: np.ndarray) -> tuple[float | None, float | None]:
    """Return how fast smiles rise and fall, in units of the value a second, the mean over smiles seen to do so."""
    flips = np.flatnonzero(np.diff(np.concatenate([[False], smiling, [False]]).astype(np.int8)))
    rises: list[float] = []
    falls: list[float] = []
    for first, last in flips.reshape(-1, 2).tolist():
        peak = first + int(np.argmax(height[first:last]))
        low, high = (edge * height[peak] for edge in _EDGES)
        for speeds, way in ((rises, slice(peak, None, -1)), (falls, slice(peak, None))):
            values, times = height[way], seconds[way]
            ended = np.flatnonzero(~(values > low))  # also where the face is not seen
            if len(ended) and np.isfinite(values[ended[0]]):
                top = int(np.flatnonzero(values[: ended[0] + 1] >= high)[-1])
                took = abs(float(times[ended[0]] - times[top]))
                if took > 0:
                    speeds.append(float(values[top] - values[ended[0]]) / took)
    return rounded(np.mean(rises) if rises else None), rounded(np.mean(falls) if falls else None)


def mean(values: np.ndarray, weights: np.ndarray) -> float | None:
    """Return the weighted mean of the values that are numbers, None if there are none."""
    known = np.isfinite(values)
    return rounded(np.average(values[known], weights=weights[known])) if known.any() else None


def rounded(value: float | np.floating[Any] | None, digits: int = 6) -> float | None:
    """Return a number rounded for JSON, None for one that is not finite."""
    return None if value is None or not np.isfinite(value) else round(float(value), digits)
