"""Whether a probability of 0.8 is right eight times in ten: calibration error and temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidfer.errors import DataError
from vidfer.temporal.probabilities import log_softmax


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Confidence against accuracy in equal bins of confidence (Guo et al. 2017).

    Attributes
    ----------
    ece
        Expected calibration error: mean |confidence - accuracy| over bins, weighted by their counts, 0..1.
    edges
        Limits of the bins, 0..1.
    confidence, accuracy
        Means of each bin, 0..1; 0 where it is empty.
    count
        Samples in each bin.
    """

    ece: float
    edges: tuple[float, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    count: tuple[int, ...]


def softmax(logits: np.ndarray, *, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities (N, K) float64 of logits (N, K) divided by the temperature."""
    return np.exp(log_softmax(np.asarray(logits, np.float64) / temperature))


def calibration(probabilities: np.ndarray, truth: np.ndarray, *, bins: int = 15) -> Calibration:
    """Measure the calibration of probabilities (N, K) against labels (N,).

    Raises
    ------
    DataError
        If there are no samples or the shapes do not fit.
    """
    probabilities, truth = np.asarray(probabilities, np.float64), np.asarray(truth)
    if probabilities.ndim != 2 or truth.shape != (len(probabilities),) or not len(truth):
        raise DataError(f"expected probabilities (N, K) and labels (N,), got {probabilities.shape} and {truth.shape}")
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    edges, index = confidence_bins(confidence, bins)
    count = np.bincount(index, minlength=bins)
    filled = np.maximum(count, 1)
    mean_confidence = np.bincount(index, confidence, bins) / filled
    mean_accuracy = np.bincount(index, right.astype(float), bins) / filled
    return Calibration(
        ece=float((np.abs(mean_confidence - mean_accuracy) * count).sum() / len(truth)),
        edges=tuple(float(v) for v in edges),
        confidence=tuple(float(v) for v in mean_confidence),
        accuracy=tuple(float(v) for v in mean_accuracy),
        count=tuple(int(v) for v in count),
    )


def confidence_bins(confidence: np.ndarray, bins: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits (bins + 1,) of equal bins of 0..1, and which of them each confidence (N,) is in."""
    edges = np.linspace(0, 1, bins + 1)
    return edges, np.digitize(confidence, edges[1:-1], right=True)  # (lower, upper]


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature (0.05..20) that minimises the cross-entropy of logits (N, K) against ``truth``.

    That are labels (N,), or the shares (N, K) of the classes, as of annotators' votes.
    """
    from scipy.optimize import minimize_scalar

    shares = np.eye(logits.shape[1])[truth] if truth.ndim == 1 else truth

    def cross_entropy(log_temperature: float) -> float:
        probabilities = softmax(logits, temperature=float(np.exp(log_temperature)))
        return float(-(shares * np.log(np.maximum(probabilities, 1e-12))).sum(1).mean())

    found = minimize_scalar(cross_entropy, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def plot_reliability(figures: Calibration, path: Path) -> None:
    """Draw the reliability diagram as PNG."""
    from matplotlib.figure import Figure

    edges, count = np.array(figures.edges), np.array(figures.count)
    figure = Figure(figsize=(5.5, 6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = count > 0
    widths = np.diff(edges)
    top.bar(edges[:-1][filled], np.array(figures.accuracy)[filled], widths[filled], align="edge", edgecolor="white")
    top.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="perfect")
    top.plot(
        np.array(figures.confidence)[filled], np.array(figures.accuracy)[filled], "o", color="#d55e00", markersize=4
    )
    top.set_ylabel("accuracy")
    top.set_title(f"expected calibration error {figures.ece:.1%}, {len(count)} bins")
    top.legend(loc="upper left")
    bottom.bar(edges[:-1], count, widths, align="edge", edgecolor="white", color="#8c8c8c")
    bottom.set_xlabel("confidence")
    bottom.set_ylabel("faces")
    bottom.set_xlim(0, 1)
    figure.savefig(path, dpi=120)
