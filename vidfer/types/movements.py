"""Movements of the faces of one clip, and the blinks among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

BlinkSide = Literal["both", "left", "right"]


@dataclass(frozen=True, kw_only=True)
class Blink:
    """One blink or wink of one person.

    Attributes
    ----------
    track_id
        The person.
    start_seconds, closed_seconds, end_seconds
        When the lid begins to fall, is lowest, and is up again, from the video's first frame.
    depth
        0..1, the part of the person's usual opening that was lost at the lowest.
    side
        The person's.
    """

    track_id: int
    start_seconds: float
    closed_seconds: float
    end_seconds: float
    depth: float
    side: BlinkSide


@dataclass(frozen=True, kw_only=True)
class BlinkCount:
    """How far blinks of one person could be counted.

    Attributes
    ----------
    count
        Blinks; None where they cannot be counted.
    measured_seconds
        Time in which an eye was seen at a rate at which no blink can be missed.
    share
        Of the time in which the face was seen, 0..1.
    """

    count: int | None
    measured_seconds: float
    share: float

    @property
    def per_minute(self) -> float | None:
        """Blinks a minute of measured time; None where they cannot be counted."""
        return None if self.count is None or not self.measured_seconds else 60 * self.count / self.measured_seconds


@dataclass(frozen=True, kw_only=True)
class ClipMovements:
    """Movements of all faces of a clip; row i belongs to row i of FaceDetections.

    Attributes
    ----------
    columns
        Each (N,) float32 by its name in the timeline, in order: movements 0..1, gaze in degrees, quality 0..1, and
        where a baseline is set the movements less the person's own. NaN where a face is too small.
    iris
        (N, 2, 2) float32 px, right eye and left; NaN where not known.
    blinks
        Ordered by track, then time.
    counts
        By track.
    warnings
        What people are told of it, one line each.
    """

    columns: Mapping[str, np.ndarray]
    iris: np.ndarray
    blinks: tuple[Blink, ...] = ()
    counts: Mapping[int, BlinkCount] | None = None
    warnings: tuple[str, ...] = ()
