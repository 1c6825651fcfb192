"""Agreement of two continuous time series, as valence and arousal are measured in the field."""

from __future__ import annotations

import numpy as np

from vidfer.errors import DataError


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
