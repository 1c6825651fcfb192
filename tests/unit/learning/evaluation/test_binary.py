"""Ranking and calibration of a probability of yes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vidfer.learning.evaluation.binary import expected_error, ranking


def test_ranking_is_the_share_of_pairs_in_the_right_order() -> None:
    assert ranking(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == pytest.approx(0.75)
    assert ranking(np.array([0.5, 0.5]), np.array([0, 1])) == 0.5
    assert math.isnan(ranking(np.array([0.5]), np.array([1])))


def test_a_weight_counts_as_so_many_copies() -> None:
    probability, truth, weight = np.array([0.9, 0.2, 0.6, 0.7]), np.array([1, 0, 1, 0]), np.array([1, 3, 2, 1])
    copies = np.repeat(np.arange(4), weight)
    for figure in (ranking, expected_error):
        assert figure(probability, truth, weight) == pytest.approx(figure(probability[copies], truth[copies]))


def test_a_probability_that_comes_true_as_often_as_it_says_has_no_error() -> None:
    probability = np.repeat([0.25, 0.75], 1000)
    truth = np.tile([0, 0, 0, 1], 250).tolist() + np.tile([1, 1, 1, 0], 250).tolist()
    assert expected_error(probability, np.array(truth)) == pytest.approx(0)
    assert expected_error(np.ones(4), np.array([1, 0, 0, 0])) == pytest.approx(0.75)
