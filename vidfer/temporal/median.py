"""Running median of the per-frame probabilities."""

from __future__ import annotations

import numpy as np

from vidfer.temporal import TEMPORAL_MODELS, TemporalModel
from vidfer.temporal.grid import STEP_SECONDS, TimeGrid
from vidfer.temporal.probabilities import ProbabilitySmoother, refuse_weights

WINDOW_SECONDS = 1.1  # chosen on validation sequences (benchmarks/temporal.py --sweep) by UAR


class RunningMedian(ProbabilitySmoother):
    """Median of each probability over a window of time, rescaled to sum to 1.

    Parameters
    ----------
    window_seconds
        The whole window.
    causal
        False: the window is centred. True: it ends at the node.
    """

    def __init__(self, *, window_seconds: float = WINDOW_SECONDS, causal: bool = False) -> None:
        self.causal = causal
        self._radius = max(1, round(window_seconds / STEP_SECONDS / 2))

    def smooth(self, probabilities: np.ndarray, grid: TimeGrid) -> np.ndarray:
        """Return the median around each node (G, K); nodes without a face do not count, unless there is no other."""
        seen = np.where(grid.coverage[:, None] > 0, probabilities, np.nan)
        before = self._radius * (2 if self.causal else 1)
        after = 0 if self.causal else self._radius
        padded = np.pad(seen, ((before, after), (0, 0)), constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, before + after + 1, axis=0)  # (G, K, W)
        empty = np.isnan(windows[:, 0]).all(-1)
        result = np.array(probabilities, np.float64)
        result[~empty] = np.nanmedian(windows[~empty], axis=-1)
        return result


@TEMPORAL_MODELS.register("median")
def make_median(*, weights: str = "", causal: bool = False, **_: object) -> TemporalModel:
    """Return the model with its default window."""
    refuse_weights("median", weights)
    return RunningMedian(causal=causal)
