"""Boxes given by their corners: overlap, pairs, the table of those of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidfer.types import FaceBoxes

NUM_VALUES = 14  # xyxy and five points


def face_boxes(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> FaceBoxes:
    """Return the table of what was found in each image: values (N, 14) and scores (N,), the best first."""
    values = np.concatenate([np.zeros((0, NUM_VALUES), np.float32), *(values for values, _ in found)])
    values = values.astype(np.float32)
    return FaceBoxes(
        image_row=np.repeat(np.arange(len(found)), [len(score) for _, score in found]).astype(np.int64),
        xyxy=np.ascontiguousarray(values[:, :4]),
        score=np.concatenate([np.zeros(0, np.float32), *(score for _, score in found)]).astype(np.float32),
        points5=values[:, 4:].reshape(-1, 5, 2),
    )


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
