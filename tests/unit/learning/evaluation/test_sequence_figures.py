"""Figures over sequences, on timelines whose figures can be counted by hand."""

import numpy as np
import pytest

from vidfer.commands.training_output import figure_text
from vidfer.errors import DataError
from vidfer.learning.evaluation.sequences import count_changes, onset_errors, sequence_figures


def sharp(labels, confidence=1.0):
    values = np.full((len(labels), 8), (1 - confidence) / 7, np.float32)
    values[np.arange(len(labels)), labels] = confidence
    return values


def times(labels, fps=10.0):
    return np.arange(len(labels)) / fps


def test_perfect_timeline():
    truth = np.repeat([0, 1, 0], [20, 21, 20])
    figures = sequence_figures([sharp(truth)], [truth], [times(truth)])
    assert (figures.war, figures.uar, figures.macro_f1) == (1.0, 1.0, 1.0)
    assert figures.ece == pytest.approx(0.0, abs=1e-6)
    assert figures.changes_per_minute == pytest.approx(20.0)  # 2 in 6 s
    assert figures.change_ratio == pytest.approx(1.0)
    assert (figures.onsets, figures.onset_found, figures.onset_error_seconds) == (2, 1.0, 0.0)


def test_late_and_flickering_timeline():
    truth = np.repeat([0, 1], [30, 30])
    found = np.repeat([0, 1], [33, 27])
    found[10] = 4
    figures = sequence_figures([sharp(found)], [truth], [times(truth)])
    assert figures.war == pytest.approx(56 / 60)
    assert figures.uar == pytest.approx((29 / 30 + 27 / 30) / 2)
    assert figures.change_ratio == pytest.approx(3.0)
    assert figures.onset_error_seconds == pytest.approx(0.3)


def test_missed_change_is_not_found():
    truth = np.repeat([0, 1], [30, 30])
    found = np.zeros(60, int)
    figures = sequence_figures([sharp(found)], [truth], [times(truth)])
    assert figures.onset_found == 0.0
    assert np.isnan(figures.onset_error_seconds)
    assert np.isinf(onset_errors(np.repeat([0, 1], [45, 15]), truth, times(truth))).all()  # 1.5 s late is another


def test_changes_are_counted_within_sequences_only():
    first, second = np.zeros(11, int), np.ones(11, int)
    figures = sequence_figures([sharp(first), sharp(second)], [first, second], [times(first), times(second)])
    assert figures.changes_per_minute == 0.0
    assert count_changes(np.array([1, 1, 2, 2, 1])) == 2


def test_overconfidence_is_seen():
    truth = np.tile([0, 1], 50)
    figures = sequence_figures([sharp(np.zeros(100, int), 0.9)], [truth], [times(truth)])
    assert figures.ece == pytest.approx(0.4, abs=1e-6)


def test_rows_that_do_not_fit_are_named():
    truth = np.zeros(5, int)
    with pytest.raises(DataError, match="sequence 0"):
        sequence_figures([sharp(truth)], [truth[:3]], [times(truth)])
    with pytest.raises(DataError, match="nothing to evaluate"):
        sequence_figures([], [], [])


def test_what_cannot_be_measured_is_none() -> None:
    probabilities = np.eye(8)[[0, 1, 0]]
    figures = sequence_figures([probabilities], [np.zeros(3, int)], [np.arange(3.0)])
    assert np.isnan(figures.change_ratio)
    assert figures.to_json()["change_ratio"] is None
    assert figures.to_json()["onset_error_seconds"] is None
    assert figure_text(figures.change_ratio) == "none"
