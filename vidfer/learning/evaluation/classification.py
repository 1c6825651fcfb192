"""How good per-face predictions are: accuracy, mean recall, figures per class, confusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidfer.errors import DataError
from vidfer.labels import EMOTIONS


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """Figures of one class, 0..1; ``support`` is the number of its samples."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Figures of one evaluation.

    Attributes
    ----------
    samples
        Number of samples N.
    accuracy
        Share of right predictions, 0..1.
    uar
        Unweighted average recall: the mean over the classes that occur, 0..1.
    macro_f1
        Mean F1 over the classes that occur, 0..1.
    classes
        By label.
    confusion
        Rows are true classes, columns predicted ones, in the order of ``labels``; counts.
    """

    samples: int
    accuracy: float
    uar: float
    macro_f1: float
    labels: tuple[str, ...]
    classes: dict[str, ClassFigures]
    confusion: tuple[tuple[int, ...], ...]


def classification(truth: np.ndarray, predicted: np.ndarray, labels: Sequence[str] = EMOTIONS) -> Classification:
    """Compare predictions (N,) with labels (N,), both indices into ``labels``.

    Raises
    ------
    DataError
        If there are no samples, the lengths differ or an index is no label.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    truth, predicted = np.asarray(truth), np.asarray(predicted)
    _check(truth, predicted, len(labels))
    indices = np.arange(len(labels))
    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted, labels=indices, zero_division=0)
    present = support > 0
    return Classification(
        samples=len(truth),
        accuracy=float((truth == predicted).mean()),
        uar=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        labels=tuple(labels),
        classes={
            name: ClassFigures(
                precision=float(precision[i]), recall=float(recall[i]), f1=float(f1[i]), support=int(support[i])
            )
            for i, name in enumerate(labels)
        },
        confusion=tuple(map(tuple, confusion_matrix(truth, predicted, labels=indices).tolist())),
    )


def plot_confusion(figures: Classification, path: Path) -> None:
    """Draw the confusion matrix as PNG: counts, coloured by the share of the true class."""
    from matplotlib.figure import Figure

    counts = np.array(figures.confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(7, 6.2), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        axes.text(j, i, str(count), ha="center", va="center", color="white" if shares[i, j] > 0.55 else "black")
    ticks = range(len(figures.labels))
    axes.set_xticks(ticks, figures.labels, rotation=40, ha="right")
    axes.set_yticks(ticks, figures.labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"accuracy {figures.accuracy:.1%}, mean recall {figures.uar:.1%}, n = {figures.samples}")
    figure.colorbar(image, label="share of the true class")
    figure.savefig(path, dpi=120)


def _check(truth: np.ndarray, predicted: np.ndarray, num_labels: int) -> None:
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise DataError(f"expected as many predictions as labels, got {predicted.shape} and {truth.shape}")
    if not len(truth):
        raise DataError("nothing to evaluate: no sample has a label")
    for what, values in (("label", truth), ("prediction", predicted)):
        bad = np.flatnonzero((values < 0) | (values >= num_labels))
        if len(bad):
            raise DataError(f"row {bad[0]}: the {what} {values[bad[0]]} is none of the {num_labels} classes")
