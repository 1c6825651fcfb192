import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from vidfer.errors import DataError
from vidfer.learning.evaluation.classification import classification, plot_confusion

TRUTH = np.array([0, 0, 0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 1, 0, 2])


def test_figures_by_hand() -> None:
    figures = classification(TRUTH, PREDICTED)
    assert figures.samples == 8
    assert figures.accuracy == pytest.approx(6 / 8)
    assert figures.uar == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)  # classes that do not occur do not count
    assert figures.classes["neutral"].precision == pytest.approx(3 / 4)
    assert figures.classes["happiness"].f1 == pytest.approx(0.8)
    assert figures.classes["contempt"].support == 0
    assert figures.confusion[0][:3] == (3, 1, 0)


def test_goes_through_json(tmp_path: Path) -> None:
    figures = classification(TRUTH, PREDICTED)
    back = json.loads(json.dumps(asdict(figures)))
    assert back["classes"]["surprise"]["recall"] == pytest.approx(0.5)
    plot_confusion(figures, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (np.array([], int), np.array([], int), "nothing to evaluate"),
        (np.array([0, 1]), np.array([0]), "as many predictions as labels"),
        (np.array([0, 8]), np.array([0, 1]), "row 1: the label 8"),
    ],
)
def test_wrong_input_is_named(truth: np.ndarray, predicted: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        classification(truth, predicted)
