"""Concordance correlation: what lowers it, and what does not."""

import numpy as np
import pytest

from vidfer.errors import DataError
from vidfer.learning.evaluation.valence_arousal import concordance


def test_by_hand():
    # means 2 and 3, variances 2/3 and 8/3, covariance 4/3: 2 (4/3) / (2/3 + 8/3 + 1) = 8/13
    assert concordance(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 5.0])) == pytest.approx(8 / 13)


def test_equal_is_one_opposite_is_minus_one_and_constant_is_nothing():
    series = np.sin(np.linspace(0, 9, 200))
    centred = series - series.mean()
    assert concordance(series, series) == pytest.approx(1.0)
    assert concordance(-centred, centred) == pytest.approx(-1.0)
    assert concordance(np.full(200, series.mean()), series) == pytest.approx(0.0)
    assert concordance(np.full(4, 0.3), np.full(4, 0.3)) == 1.0


def test_a_wrong_mean_or_spread_costs_though_correlation_is_one():
    series = np.random.default_rng(0).normal(0, 0.3, 500)
    assert concordance(series + 0.3, series) < 0.75
    assert concordance(0.4 * series, series) < 0.75
    assert concordance(series, 0.4 * series) == pytest.approx(concordance(0.4 * series, series))


@pytest.mark.parametrize(("found", "truth"), [([], []), ([1.0], [1.0, 2.0]), ([np.nan], [0.0])])
def test_what_cannot_be_compared_is_refused(found, truth):
    with pytest.raises(DataError, match="expected"):
        concordance(np.array(found), np.array(truth))
