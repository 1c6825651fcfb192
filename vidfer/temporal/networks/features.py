"""What a network reads at each node of the grid."""

from __future__ import annotations

import numpy as np

from vidfer.temporal import TrackSequence
from vidfer.temporal.grid import STEP_SECONDS, TimeGrid
from vidfer.temporal.probabilities import log_softmax

MIN_LOG_PROBABILITY = -8.0  # of one frame; below, a network's certainty means nothing
NUM_EXTRA = 3  # coverage, quality, log of the time since the face was seen


def num_features(dim: int, num_labels: int) -> int:
    """Return F: embedding, log-probabilities, probabilities, and the extra columns."""
    return dim + 2 * num_labels + NUM_EXTRA


def node_features(track: TrackSequence, grid: TimeGrid) -> np.ndarray:
    """Return what a network reads at each node of the grid: (G, F) float32."""
    log_p = np.maximum(log_softmax(track.logits), MIN_LOG_PROBABILITY)
    dim = track.vectors.shape[1]
    features = np.empty((len(grid), num_features(dim, log_p.shape[1])), np.float32)
    features[:, :dim] = grid.average(track.vectors)
    features[:, dim:-NUM_EXTRA] = grid.average(np.concatenate([log_p, np.exp(log_p)], 1))
    features[:, -3] = grid.coverage
    features[:, -2] = grid.average(track.quality[:, None])[:, 0]
    features[:, -1] = np.log1p(grid.seconds_since_seen / STEP_SECONDS)
    return features
