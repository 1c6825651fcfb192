"""Per-frame probabilities, and what is common to the models that smooth nothing but them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from vidfer.errors import ConfigError
from vidfer.temporal import TrackSequence
from vidfer.temporal.grid import TimeGrid, make_grid

MIN_PROBABILITY = 1e-4  # of one frame where logarithms are averaged: below, a network's certainty says nothing


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log-probabilities over the last axis of logits (..., K), in their shape and dtype."""
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities over the last axis of logits (..., K), in their shape, float32, summing to 1."""
    return np.exp(log_softmax(np.asarray(logits, np.float64))).astype(np.float32)


def normalise(probabilities: np.ndarray) -> np.ndarray:
    """Return non-negative rows (..., K) scaled to sum to 1, float32."""
    kept = np.maximum(np.asarray(probabilities, np.float64), 1e-9)
    return np.asarray(kept / kept.sum(-1, keepdims=True), np.float32)


class ProbabilitySmoother(ABC):
    """A model without weights that smooths the per-frame probabilities on the grid of time; fits any backbone."""

    causal: bool = False
    in_logs: bool = False  # whether rows are averaged at the nodes as log-probabilities

    def predict(self, tracks: list[TrackSequence]) -> list[np.ndarray]:
        """Return per track (T, K) float32 probabilities, rows summing to 1."""
        return [self._predict(track) for track in tracks]

    @abstractmethod
    def smooth(self, probabilities: np.ndarray, grid: TimeGrid) -> np.ndarray:
        """Return smoothed probabilities (G, K) from those at the nodes (G, K)."""

    def _predict(self, track: TrackSequence) -> np.ndarray:
        frames = softmax(track.logits)
        if not len(track):
            return frames
        grid = make_grid(track.pts_seconds, track.quality, causal=self.causal)
        if self.in_logs:
            nodes = softmax(grid.average(np.log(np.maximum(frames, MIN_PROBABILITY))))
        else:
            nodes = np.clip(grid.average(frames), 0.0, 1.0)
        return normalise(grid.at_rows(self.smooth(nodes, grid)))


def refuse_weights(name: str, weights: str) -> None:
    """Raise ConfigError if a weight file is set for a model that has none."""
    if weights:
        raise ConfigError(f"[temporal] weights: the temporal model {name!r} has none; leave it empty, got {weights!r}")
