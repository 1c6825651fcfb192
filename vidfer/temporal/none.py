"""No sequence model: the per-frame network's probabilities as they are."""

from __future__ import annotations

import numpy as np

from vidfer.temporal import TEMPORAL_MODELS, TemporalModel, TrackSequence
from vidfer.temporal.probabilities import refuse_weights, softmax


class PerFrame:
    """Softmax of each row's logits."""

    causal = True

    def predict(self, tracks: list[TrackSequence]) -> list[np.ndarray]:
        """Return per track (T, K) float32 probabilities."""
        return [softmax(track.logits) for track in tracks]

    def stream(self) -> PerFrame:
        """Return a stream for a new track: this one, for nothing is remembered."""
        return self

    def push(self, seconds: float, vector: np.ndarray, logits: np.ndarray, quality: float) -> np.ndarray:
        """Return probabilities (K,) float32 of the next row."""
        return softmax(logits)


@TEMPORAL_MODELS.register("none")
def make_none(*, weights: str = "", **_: object) -> TemporalModel:
    """Return the model; other settings of ``[temporal]`` do not concern it."""
    refuse_weights("none", weights)
    return PerFrame()
