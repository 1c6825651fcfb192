"""How good timelines are: frames, steadiness, timing and calibration over labelled sequences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vidfer.errors import DataError
from vidfer.learning.evaluation.calibration import calibration
from vidfer.learning.evaluation.classification import classification

ONSET_REACH_SECONDS = 1.0  # a change found further away from a true one is another change


@dataclass(frozen=True, kw_only=True)
class SequenceFigures:
    """Figures over labelled sequences.

    Attributes
    ----------
    frames
        Number of rows.
    war, uar, macro_f1, ece
        Over rows, 0..1: accuracy, mean recall, mean F1, expected calibration error.
    changes_per_minute, true_changes_per_minute
        Changes of the label from one row to the next.
    onsets
        True changes to an emotion or back to neutral.
    onset_found
        Share of them for which a change to the same label lies within ``ONSET_REACH_SECONDS``, 0..1.
    onset_error_seconds
        Median distance of those found; NaN if none is.
    """

    frames: int
    war: float
    uar: float
    macro_f1: float
    ece: float
    changes_per_minute: float
    true_changes_per_minute: float
    onsets: int
    onset_found: float
    onset_error_seconds: float

    @property
    def change_ratio(self) -> float:
        """Return changes relative to the truth's; 1 is right; NaN where the truth has none."""
        if not self.true_changes_per_minute:
            return float("nan")
        return self.changes_per_minute / self.true_changes_per_minute

    def to_json(self) -> dict[str, Any]:
        """Return plain types for ``json.dump``; None for what cannot be measured."""
        figures = {**asdict(self), "change_ratio": self.change_ratio}
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value for name, value in figures.items()
        }


def sequence_figures(
    probabilities: Sequence[np.ndarray], labels: Sequence[np.ndarray], pts_seconds: Sequence[np.ndarray]
) -> SequenceFigures:
    """Compare timelines (T, K) with true labels (T,) at times (T,), by sequence; rows labelled -1 are left out.

    Raises
    ------
    DataError
        If there are no rows, or lengths differ.
    """
    for i, (p, y, t) in enumerate(zip(probabilities, labels, pts_seconds, strict=True)):
        if not len(p) == len(y) == len(t):
            raise DataError(
                f"sequence {i}: expected as many labels and times as rows ({len(p)}), got {len(y)}, {len(t)}"
            )
    known = [np.asarray(y) >= 0 for y in labels]
    probabilities, labels, pts_seconds = (
        [rows[mask] for rows, mask in zip(table, known, strict=True)] for table in (probabilities, labels, pts_seconds)
    )
    if not sum(map(len, labels)):
        raise DataError("nothing to evaluate: no sequence has a row with a label")
    stacked, truth = np.concatenate(list(probabilities)), np.concatenate(list(labels))
    frames = classification(truth, stacked.argmax(1))
    found = [p.argmax(1) for p in probabilities]
    minutes = sum(float(t[-1] - t[0]) for t in pts_seconds if len(t)) / 60
    errors = [onset_errors(p, y, t) for p, y, t in zip(found, labels, pts_seconds, strict=True)]
    distances = np.concatenate(errors)
    hit = distances[np.isfinite(distances)]
    return SequenceFigures(
        frames=len(truth),
        war=frames.accuracy,
        uar=frames.uar,
        macro_f1=frames.macro_f1,
        ece=calibration(stacked, truth).ece,
        changes_per_minute=sum(map(count_changes, found)) / max(minutes, 1e-9),
        true_changes_per_minute=sum(map(count_changes, labels)) / max(minutes, 1e-9),
        onsets=len(distances),
        onset_found=len(hit) / max(len(distances), 1),
        onset_error_seconds=float(np.median(hit)) if len(hit) else float("nan"),
    )


def count_changes(labels: np.ndarray) -> int:
    """Return how often labels (T,) change from one row to the next."""
    return int((np.diff(labels) != 0).sum())


def onset_errors(found: np.ndarray, truth: np.ndarray, pts_seconds: np.ndarray) -> np.ndarray:
    """Return for each true change the distance in seconds to the nearest found change to the same label.

    Infinite without one within ``ONSET_REACH_SECONDS``. ``found`` and ``truth`` are labels (T,).
    """
    true_at = np.flatnonzero(np.diff(truth)) + 1
    found_at = np.flatnonzero(np.diff(found)) + 1
    errors = np.full(len(true_at), np.inf)
    for i, at in enumerate(true_at):
        same = found_at[found[found_at] == truth[at]]
        if len(same):
            distance = float(np.abs(pts_seconds[same] - pts_seconds[at]).min())
            if distance <= ONSET_REACH_SECONDS:
                errors[i] = distance
    return errors
