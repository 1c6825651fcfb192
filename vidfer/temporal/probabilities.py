"""Per-frame probabilities, and what is common to the models that smooth nothing but them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from vidfer.errors import ConfigError
from vidfer.temporal import TrackSequence
from vidfer.temporal.grid import TimeGrid, make_grid
from vidfer.temporal.online import OnlineGrid, TrackStream

MIN_PROBABILITY = 1e-4  # of one frame where logarithms are averaged: below, a network's certainty means nothing
REMEMBERED_NODES = 200  # of a stream: 20 s; beyond, none of the smoothers differs by a thousandth


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

    def stream(self) -> TrackStream:
        """Return a stream for a new track."""
        return _SmoothedStream(self)

    @abstractmethod
    def smooth(self, probabilities: np.ndarray, grid: TimeGrid) -> np.ndarray:
        """Return smoothed probabilities (G, K) from those at the nodes (G, K)."""

    def _predict(self, track: TrackSequence) -> np.ndarray:
        if not len(track):
            return softmax(track.logits)
        return self._on_grid(track, make_grid(track.pts_seconds, track.quality, causal=self.causal))

    def _on_grid(self, track: TrackSequence, grid: TimeGrid) -> np.ndarray:
        frames = softmax(track.logits)
        if self.in_logs:
            nodes = softmax(grid.average(np.log(np.maximum(frames, MIN_PROBABILITY))))
        else:
            nodes = np.clip(grid.average(frames), 0.0, 1.0)
        return normalise(grid.at_rows(self.smooth(nodes, grid)))


class _SmoothedStream:
    """Smooths the last seconds anew for every row: what is longer ago has no weight left."""

    def __init__(self, smoother: ProbabilitySmoother) -> None:
        self._smoother = smoother
        self._grid = OnlineGrid(REMEMBERED_NODES)

    def push(self, seconds: float, vector: np.ndarray, logits: np.ndarray, quality: float) -> np.ndarray:
        self._grid.add(seconds, vector, logits, quality)
        self._grid.forget()
        found: np.ndarray = self._smoother._on_grid(*self._grid.window())[-1]
        return found


def refuse_weights(name: str, weights: str) -> None:
    """Raise ConfigError if a weight file is set for a model that has none."""
    if weights:
        raise ConfigError(f"[temporal] weights: the temporal model {name!r} has none; leave it empty, got {weights!r}")
