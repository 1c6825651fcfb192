"""Boxes given by their corners: overlap."""

from __future__ import annotations

import numpy as np


def pairwise_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4), each left, top, right, bottom."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])  # (N, M, 2)
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)  # (N, M)
    area_first = (first[:, 2:] - first[:, :2]).prod(-1)
    area_second = (second[:, 2:] - second[:, :2]).prod(-1)
    overlap: np.ndarray = shared / np.maximum(area_first[:, None] + area_second[None] - shared, 1e-9)
    return overlap
