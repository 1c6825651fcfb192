"""Cross-validation by subject: nobody whose pictures were learnt from is measured on.

A per-frame network that is already trained is measured in the two ways that are usual for one. *As trained*: each fold
is a group of people that the network is measured on, so mean and spread tell how much the figures depend on who is
seen.
*Refitted*: its embeddings stay as they are, and for each fold a linear classifier is fitted to those of the other
folds' people; that is how well the network serves on this corpus, with this corpus's idea of each label.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vidfer.errors import DataError
from vidfer.labels import NUM_EMOTIONS
from vidfer.learning.evaluation.calibration import calibration
from vidfer.learning.evaluation.classification import classification
from vidfer.learning.evaluation.faces import FaceEvaluation, evaluate_probabilities

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # inverse regularisation of the linear classifier, chosen within the training folds
INNER_FOLDS = 3


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Figures of one fold, 0..1; ``subjects`` and ``samples`` are those that were measured on."""

    subjects: tuple[str, ...]
    samples: int
    accuracy: float
    uar: float
    macro_f1: float
    ece: float


@dataclass(frozen=True, kw_only=True)
class FoldFigures:
    """Figures over folds.

    Attributes
    ----------
    folds
        In order.
    mean, sd
        Of accuracy, uar, macro_f1 and ece over the folds; sd with n - 1.
    pooled
        Over the predictions of all folds together.
    """

    folds: tuple[Fold, ...]
    mean: dict[str, float]
    sd: dict[str, float]
    pooled: FaceEvaluation

    def to_json(self) -> dict[str, Any]:
        """Return plain types for ``json.dump``."""
        return asdict(self)


def subject_folds(subjects: np.ndarray, count: int) -> np.ndarray:
    """Return the fold (N,) int64, 0 to ``count`` - 1, of each sample; all of a subject's are in one.

    Folds have about the same number of samples (``GroupKFold`` of scikit-learn); nothing is drawn by chance.

    Raises
    ------
    DataError
        If a sample has no subject, or there are fewer subjects than folds.
    """
    from sklearn.model_selection import GroupKFold

    unknown = np.flatnonzero(subjects == "")
    if len(unknown):
        raise DataError(f"--folds needs to know who is seen: {len(unknown)} rows have no subject_id")
    people = len(np.unique(subjects))
    if people < 2:
        raise DataError(f"--folds {count}: expected several people in subject_id, found {people}")
    if not 2 <= count <= people:
        raise DataError(f"--folds {count}: expected 2 to {people}, the number of subjects")
    fold = np.zeros(len(subjects), np.int64)
    for number, (_, held_out) in enumerate(GroupKFold(count).split(subjects, groups=subjects)):
        fold[held_out] = number
    return fold


def figures_by_fold(
    probabilities: np.ndarray, labels: np.ndarray, subjects: np.ndarray, fold: np.ndarray
) -> FoldFigures:
    """Measure probabilities (N, 8) against labels (N,), fold by fold; raises DataError for fewer than two folds."""
    if len(np.unique(fold)) < 2:
        raise DataError("--folds: faces were found in the rows of fewer than two folds: there is no spread to tell")
    found = []
    for number in np.unique(fold):
        mine = fold == number
        classes = classification(labels[mine], probabilities[mine].argmax(1))
        found.append(
            Fold(
                subjects=tuple(np.unique(subjects[mine]).tolist()),
                samples=int(mine.sum()),
                accuracy=classes.accuracy,
                uar=classes.uar,
                macro_f1=classes.macro_f1,
                ece=calibration(probabilities[mine], labels[mine]).ece,
            )
        )
    values = {name: np.array([getattr(one, name) for one in found]) for name in ("accuracy", "uar", "macro_f1", "ece")}
    return FoldFigures(
        folds=tuple(found),
        mean={name: float(value.mean()) for name, value in values.items()},
        sd={name: float(value.std(ddof=1)) for name, value in values.items()},
        pooled=evaluate_probabilities(probabilities, labels),
    )


def refitted(vectors: np.ndarray, labels: np.ndarray, subjects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return probabilities (N, 8) of each sample by a linear classifier fitted to the other folds' embeddings (N, D).

    Standardised embeddings, logistic regression with classes weighted equally; its regularisation is chosen by mean
    recall within the training folds, by subject too. A class that the training folds lack gets probability 0.

    Raises
    ------
    DataError
        If the training folds of some fold hold a single class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    vectors = np.asarray(vectors, np.float64)
    probabilities = np.zeros((len(vectors), NUM_EMOTIONS))
    for number in np.unique(fold):
        mine, others = fold == number, fold != number
        if len(np.unique(labels[others])) < 2:
            raise DataError(f"--folds: without fold {number + 1} a single label is left to learn: use other folds")
        classifier = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
        people = len(np.unique(subjects[others]))
        if people >= INNER_FOLDS:
            classifier = GridSearchCV(
                classifier,
                {"logisticregression__C": STRENGTHS},
                scoring="balanced_accuracy",
                cv=GroupKFold(INNER_FOLDS),
                error_score=0.0,
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # inner folds may lack rare classes, which is no fault
            if people >= INNER_FOLDS:
                classifier.fit(vectors[others], labels[others], groups=subjects[others])
            else:
                classifier.fit(vectors[others], labels[others])
        probabilities[np.ix_(mine, classifier.classes_)] = classifier.predict_proba(vectors[mine])
    return probabilities
