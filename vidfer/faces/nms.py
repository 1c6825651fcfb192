"""Non-maximum suppression that lets the suppressed boxes vote."""

from __future__ import annotations

import numpy as np

from vidfer.errors import WeightsError
from vidfer.faces.boxes import pairwise_iou


def suppress(
    values: np.ndarray, score: np.ndarray, *, max_iou: float, most: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Keep the best of each group of overlapping boxes of one image, averaged over the group by score.

    The average makes boxes steadier from frame to frame than the winner alone (Bazarevsky et al. 2019, BlazeFace).

    Parameters
    ----------
    values
        (N, 4 + P) float32: xyxy, then whatever else is to be averaged (points).
    score
        (N,) float32.
    max_iou
        Boxes that overlap a better one by more are taken for the same face.
    most
        Of more boxes only so many, the best ones, are looked at.

    Returns
    -------
    values : (K, 4 + P) float32
    score : (K,) float32, descending

    Raises
    ------
    WeightsError
        A box or a score is no number, which the weights of no working detector give.
    """
    if not (np.isfinite(values[:, :4]).all() and np.isfinite(score).all()):
        raise WeightsError("the detector gives boxes that are no numbers: its weights are damaged")
    order = np.argsort(-score, kind="stable")[:most]
    values, score = values[order], score[order]
    overlap = pairwise_iou(values[:, :4], values[:, :4])
    free = np.ones(len(score), bool)
    kept, averages = [], []
    for i in range(len(score)):
        if not free[i]:
            continue
        group = free & (overlap[i] > max_iou)
        group[i] = True
        free &= ~group
        weight = score[group] ** 2
        kept.append(i)
        averages.append((values[group] * weight[:, None]).sum(axis=0) / weight.sum())
    if not kept:
        return values[:0], score[:0]
    return np.stack(averages).astype(np.float32), score[kept]
