"""Exponential moving average of the per-frame probabilities."""

from __future__ import annotations

import math

import numpy as np

from vidfer.config import EmaOptions
from vidfer.temporal import TEMPORAL_MODELS, TemporalModel
from vidfer.temporal.grid import STEP_SECONDS, TimeGrid
from vidfer.temporal.probabilities import ProbabilitySmoother, refuse_weights

TIME_CONSTANT_SECONDS: float = EmaOptions().time_constant_seconds  # chosen by UAR: benchmarks/temporal.py --sweep


class ExponentialAverage(ProbabilitySmoother):
    """Average whose weights fall by e every ``time_constant_seconds``.

    Parameters
    ----------
    time_constant_seconds
        Longer is smoother, and slower.
    causal
        False: weights fall towards past and future alike, so that nothing lags. True: the past only.
    """

    def __init__(self, *, time_constant_seconds: float = TIME_CONSTANT_SECONDS, causal: bool = False) -> None:
        self.causal = causal
        self._decay = math.exp(-STEP_SECONDS / time_constant_seconds)

    def smooth(self, probabilities: np.ndarray, grid: TimeGrid) -> np.ndarray:
        """Return the average at each node (G, K); nodes without a face count for nothing."""
        weight = grid.coverage.astype(np.float64)[:, None] + 1e-9
        stacked = np.concatenate([probabilities * weight, weight], 1)  # (G, K + 1)
        total = self._accumulate(stacked)
        if not self.causal:
            total += self._accumulate(stacked[::-1])[::-1] - stacked
        return np.asarray(total[:, :-1] / total[:, -1:])

    def _accumulate(self, values: np.ndarray) -> np.ndarray:
        sums = np.empty_like(values)
        running = np.zeros(values.shape[1])
        for i, value in enumerate(values):
            running = running * self._decay + value
            sums[i] = running
        return sums


@TEMPORAL_MODELS.register("ema")
def make_ema(
    *, weights: str = "", causal: bool = False, time_constant_seconds: float = TIME_CONSTANT_SECONDS, **_: object
) -> TemporalModel:
    """Return the model; its option is ``config.EmaOptions``."""
    refuse_weights("ema", weights)
    return ExponentialAverage(time_constant_seconds=time_constant_seconds, causal=causal)
