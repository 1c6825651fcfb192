"""How well a probability of yes or no ranks, and whether it can be taken at its word."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize


def ranking(probability: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the area under the ROC curve: how often a yes is given more than a no; NaN without both.

    Parameters
    ----------
    probability, truth, weight
        (N,) of yes, whether it is, and how much each counts (None: all alike).
    """
    weight = np.ones(len(truth)) if weight is None else weight
    values, place = np.unique(probability, return_inverse=True)
    yes, no = (np.bincount(place, weight * (np.asarray(truth, bool) == side), len(values)) for side in (True, False))
    if not yes.any() or not no.any():
        return float("nan")
    below = np.cumsum(no) - no / 2  # of a tie half counts
    return float((yes * below).sum() / (yes.sum() * no.sum()))


def expected_error(
    probability: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None, *, bins: int = 15
) -> float:
    """Return the expected calibration error of the probability of yes (N,), in equal bins of it (Guo et al. 2017)."""
    probability, yes = np.asarray(probability, np.float64), np.asarray(truth, np.float64)
    index = np.minimum((probability * bins).astype(np.int64), bins - 1)
    weight = np.ones(len(yes)) if weight is None else weight
    gap = np.bincount(index, (probability - yes) * weight, bins)
    return float(np.abs(gap).sum() / max(1.0, float(weight.sum())))


def calibrating_line(logits: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return scale and offset of logits (N,) whose sigmoid is best calibrated to yes and no (Platt 1999)."""
    side = np.where(truth, -1.0, 1.0)

    def loss(line: np.ndarray) -> float:
        return float(np.average(np.logaddexp(0, side * (line[0] * logits + line[1])), weights=weight))

    scale, offset = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x.tolist()
    return scale, offset
