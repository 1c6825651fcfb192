"""Sequence models over a person's track, one a file, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np

from vidfer.registry import Registry
from vidfer.types.validation import Columns, check_array


@dataclass(frozen=True, kw_only=True)
class TrackSequence(Columns):
    """One person's rows in order of time: what a sequence model reads.

    Attributes
    ----------
    pts_seconds
        (T,) float64, strictly increasing; gaps are simply larger steps.
    vectors
        (T, D) embeddings, float32, or float16 as they are stored.
    logits
        (T, K) float32 of the per-frame network.
    quality
        (T,) float32, 0..1.
    """

    pts_seconds: Annotated[np.ndarray, "T", np.float64]
    vectors: np.ndarray
    logits: Annotated[np.ndarray, "T", "K", np.float32]
    quality: Annotated[np.ndarray, "T", np.float32]

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = np.float16 if getattr(self.vectors, "dtype", None) == np.float16 else np.float32
        check_array(self, "vectors", ("T", "D"), kind, {"T": len(self)})


class TemporalModel(Protocol):
    """Turns tracks into probabilities at every row."""

    def predict(self, tracks: list[TrackSequence]) -> list[np.ndarray]:
        """Return per track (T, K) float32 probabilities, rows summing to 1; independent of the other tracks."""
        ...


# A factory takes keyword arguments device (str), weights (str: the user's own file, or empty), causal (bool: no row's
# result depends on a later row), window_seconds and overlap_seconds.
TemporalFactory = Callable[..., TemporalModel]
TEMPORAL_MODELS: Registry[TemporalFactory] = Registry("temporal model", __name__)
