"""Boxes given by their corners: overlap."""

from __future__ import annotations

import numpy as np


def pairwise_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4), each left, top, right, bottom."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])  # (N, M, 2)
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)  # (N, M)
    area = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1) for boxes in (first, second)]
    overlap: np.ndarray = shared / np.maximum(area[0][:, None] + area[1][None] - shared, 1e-9)
    return overlap


def pair_up(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and the columns of the pairs that cost least in sum; (N, M) -> (min(N, M),) each."""
    if cost.size == 1:  # most videos show one person, and SciPy's optimisers take half a second to import
        return np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.intp)
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost)
    return rows, columns
