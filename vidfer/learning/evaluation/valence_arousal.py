"""Valence and arousal read from what the networks see: a linear readout, fitted on a corpus's training part.

vidfer's networks know expressions only. Where a corpus has valence and arousal, a ridge regression (Hoerl and Kennard
1970) from the embeddings, smoothed over a second, and the timeline's probabilities tells how much of both is in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.ndimage import convolve1d

from vidfer.errors import DataError
from vidfer.learning.datasets.corpus_sequences import CorpusSequence
from vidfer.temporal import TrackSequence
from vidfer.temporal.grid import make_grid

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)  # of the penalty, for standardised columns; chosen by video
SMOOTHING_STEPS = 11  # of the grid: about a second
MAX_ROWS = 200_000  # for fitting: neighbouring rows say the same


def concordance(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the concordance correlation coefficient of values (N,) with the truth (N,), -1..1.

    1 only where both are equal; a wrong mean or spread lowers it, unlike Pearson's correlation. Lin LI (1989), A
    concordance correlation coefficient to evaluate reproducibility, Biometrics 45(1):255-268, with variances over N.
    Two constants that are equal agree wholly (1); a constant against anything else not at all (0).

    Raises
    ------
    DataError
        If there are no values, the lengths differ or a value is not finite.
    """
    found, truth = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    if found.ndim != 1 or found.shape != truth.shape or not len(truth):
        raise DataError(f"expected as many values as true ones, and some, got {found.shape} and {truth.shape}")
    if not (np.isfinite(found).all() and np.isfinite(truth).all()):
        raise DataError("expected finite values only: leave out those that are not known")
    covariance = float(((found - found.mean()) * (truth - truth.mean())).mean())
    spread = float(found.var() + truth.var() + (found.mean() - truth.mean()) ** 2)
    return 2 * covariance / spread if spread > 0 else 1.0


@dataclass(frozen=True, kw_only=True)
class AffectFigures:
    """Concordance of valence and arousal with the truth (``concordance``), -1..1, over ``frames`` rows."""

    frames: int
    valence_ccc: float
    arousal_ccc: float

    def to_json(self) -> dict[str, Any]:
        """Return plain types for ``json.dump``."""
        return {**asdict(self), "mean_ccc": (self.valence_ccc + self.arousal_ccc) / 2}


class AffectReadout:
    """Ridge regression from tracks and their timelines to valence and arousal.

    Parameters
    ----------
    sequences
        Of the training part; those without valence and arousal are passed over.
    timelines
        (T, K) probabilities of each.

    Raises
    ------
    DataError
        If no row has values.
    """

    def __init__(self, sequences: Sequence[CorpusSequence], timelines: Sequence[np.ndarray]) -> None:
        columns, values, videos = [], [], []
        for sequence, timeline in zip(sequences, timelines, strict=True):
            known = _known(sequence)
            if known.any() and sequence.valence_arousal is not None:
                columns.append(affect_features(sequence.track, timeline)[known])
                values.append(sequence.valence_arousal[known])
                videos.append(np.full(int(known.sum()), str(sequence.video)))
        if not columns:
            raise DataError("no training row has valence and arousal: nothing can be fitted")
        self._model = _fitted(np.concatenate(columns), np.concatenate(values), np.concatenate(videos))

    def predict(self, track: TrackSequence, timeline: np.ndarray) -> np.ndarray:
        """Return valence and arousal at each row, (T, 2) float32, -1..1."""
        found = self._model.predict(affect_features(track, timeline))
        return np.clip(found, -1.0, 1.0).astype(np.float32)

    def evaluate(self, sequences: Sequence[CorpusSequence], timelines: Sequence[np.ndarray]) -> AffectFigures | None:
        """Return the agreement over all rows that have values; None if no row has."""
        found, truth = [], []
        for sequence, timeline in zip(sequences, timelines, strict=True):
            known = _known(sequence)
            if known.any() and sequence.valence_arousal is not None:
                found.append(self.predict(sequence.track, timeline)[known])
                truth.append(sequence.valence_arousal[known])
        if not found:
            return None
        predicted, true = np.concatenate(found), np.concatenate(truth)
        return AffectFigures(
            frames=len(true),
            valence_ccc=concordance(predicted[:, 0], true[:, 0]),
            arousal_ccc=concordance(predicted[:, 1], true[:, 1]),
        )


def affect_features(track: TrackSequence, timeline: np.ndarray) -> np.ndarray:
    """Return what valence and arousal are read from at each row: (T, D + K) float64."""
    grid = make_grid(track.pts_seconds, track.quality)
    nodes = grid.average(track.vectors).astype(np.float64)  # (G, D)
    # A column of ones beside them counts the steps that lie within the track.
    sums = convolve1d(np.c_[nodes, np.ones(len(nodes))], np.ones(SMOOTHING_STEPS), axis=0, mode="constant")
    smooth = sums[:, :-1] / sums[:, -1:]
    return np.concatenate([grid.at_rows(smooth).astype(np.float64), timeline], 1)


def _known(sequence: CorpusSequence) -> np.ndarray:
    if sequence.valence_arousal is None:
        return np.zeros(len(sequence.track), bool)
    return np.asarray(np.isfinite(sequence.valence_arousal).all(1))


def _fitted(columns: np.ndarray, values: np.ndarray, videos: np.ndarray) -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    every = -(-len(columns) // MAX_ROWS)
    columns, values, videos = columns[::every], values[::every], videos[::every]
    ridge = make_pipeline(StandardScaler(), Ridge())
    num_videos = len(np.unique(videos))
    if num_videos < 2:  # nothing to choose the penalty on
        return ridge.set_params(ridge__alpha=100.0).fit(columns, values)
    search = GridSearchCV(ridge, {"ridge__alpha": STRENGTHS}, cv=GroupKFold(min(5, num_videos)))
    return search.fit(columns, values, groups=videos)
