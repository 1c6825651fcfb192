"""Emotions over time: per row, and as episodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from vidfer.types.validation import Columns, check_arrays


@dataclass(frozen=True, kw_only=True)
class EmotionTimeline(Columns):
    """Probabilities of each expression label at every row; row i belongs to row i of FaceDetections.

    Attributes
    ----------
    track_id
        (N,) int32; -1 where the face was dropped (its probabilities are NaN).
    frame_row
        (N,) int64 into SampledFrames.
    probabilities
        (N, K) float32, each row sums to 1.
    labels
        The K column names, ``labels.EMOTIONS``.
    """

    track_id: Annotated[np.ndarray, "N", np.int32]
    frame_row: Annotated[np.ndarray, "N", np.int64]
    probabilities: Annotated[np.ndarray, "N", "K", np.float32]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        check_arrays(self, K=len(self.labels))


@dataclass(frozen=True, kw_only=True)
class EmotionSegment:
    """One episode: a stretch of one person's track with one label.

    Attributes
    ----------
    track_id
        The person.
    emotion
        One of ``labels.EMOTIONS``.
    start_seconds, end_seconds
        Half-open interval [start, end).
    peak_seconds
        When the label's probability is highest.
    mean_probability, peak_probability
        Of the label over the episode, 0..1.
    """

    track_id: int
    emotion: str
    start_seconds: float
    end_seconds: float
    peak_seconds: float
    mean_probability: float
    peak_probability: float

    def __post_init__(self) -> None:
        if not self.start_seconds < self.end_seconds:
            raise ValueError(f"EmotionSegment: expected start < end, got [{self.start_seconds}, {self.end_seconds})")
