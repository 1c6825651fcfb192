"""Cross-validation by subject."""

from __future__ import annotations

import numpy as np
import pytest

from vidfer.errors import DataError
from vidfer.learning.evaluation.folds import figures_by_fold, refitted, subject_folds

SUBJECTS = np.array([f"person {i % 7}" for i in range(70)])


def test_nobody_is_in_two_folds() -> None:
    fold = subject_folds(SUBJECTS, 3)
    assert sorted(np.unique(fold)) == [0, 1, 2]
    for person in np.unique(SUBJECTS):
        assert len(np.unique(fold[person == SUBJECTS])) == 1
    assert np.array_equal(fold, subject_folds(SUBJECTS, 3))  # not by chance


@pytest.mark.parametrize("count", [1, 8])
def test_more_folds_than_people_are_refused(count: int) -> None:
    with pytest.raises(DataError, match="expected 2 to 7"):
        subject_folds(SUBJECTS, count)


def test_unknown_people_are_refused() -> None:
    subjects = SUBJECTS.copy()
    subjects[[3, 9]] = ""
    with pytest.raises(DataError, match="2 rows have no subject_id"):
        subject_folds(subjects, 3)


def test_mean_and_spread_are_over_folds() -> None:
    labels = np.array([0, 0, 1, 1, 0, 1])
    subjects = np.array(["a", "a", "b", "b", "c", "c"])
    predicted = np.array([0, 0, 1, 0, 1, 0])  # accuracy 1, 1/2, 0
    found = figures_by_fold(np.eye(8)[predicted], labels, subjects, np.array([0, 0, 1, 1, 2, 2]))
    assert [fold.accuracy for fold in found.folds] == [1.0, 0.5, 0.0]
    assert [fold.subjects for fold in found.folds] == [("a",), ("b",), ("c",)]
    assert found.mean["accuracy"] == pytest.approx(0.5)
    assert found.sd["accuracy"] == pytest.approx(0.5)
    assert found.pooled.classification.accuracy == pytest.approx(0.5)
    assert found.to_json()["folds"][1]["accuracy"] == 0.5


def test_a_classifier_learns_from_other_people_alone() -> None:
    """The embeddings of one person mean the opposite of everybody else's: only who learnt from him could tell."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, len(SUBJECTS)) * 3  # neutral, sadness
    sign = np.where(labels == 3, 1.0, -1.0) * np.where(SUBJECTS == "person 0", -1.0, 1.0)
    vectors = sign[:, None] * np.ones((1, 4)) + rng.normal(0, 0.2, (len(SUBJECTS), 4))
    probabilities = refitted(vectors, labels, SUBJECTS, subject_folds(SUBJECTS, 7))
    right = probabilities.argmax(1) == labels
    assert right[SUBJECTS != "person 0"].all()
    assert not right[SUBJECTS == "person 0"].any()
    assert np.allclose(probabilities.sum(1), 1)
    assert not probabilities[:, [1, 2, 4, 5, 6, 7]].any()  # classes that nobody has


def test_a_single_label_cannot_be_learnt() -> None:
    labels = np.zeros(len(SUBJECTS), np.int64)
    with pytest.raises(DataError, match="a single label"):
        refitted(np.zeros((len(SUBJECTS), 4)), labels, SUBJECTS, subject_folds(SUBJECTS, 2))


def test_one_fold_with_faces_has_no_spread() -> None:
    with pytest.raises(DataError, match="fewer than two folds"):
        figures_by_fold(np.eye(8)[:2], np.arange(2), np.array(["a", "a"]), np.zeros(2, np.int64))
