import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from vidfer.errors import DataError
from vidfer.learning.evaluation.calibration import calibration, fit_temperature, plot_reliability, softmax


def test_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    figures = calibration(probabilities, np.array([0, 1, 0, 0]))
    assert figures.ece == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)
    assert sum(figures.count) == 4


def test_well_calibrated_predictions_have_almost_no_error() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 40_000)
    truth = (rng.random(len(confidence)) > confidence).astype(int)
    assert calibration(np.stack([confidence, 1 - confidence], 1), truth).ece < 0.01


def test_temperature_repairs_overconfident_logits() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1.5, (20_000, 8))
    probabilities = softmax(logits)
    truth = (probabilities.cumsum(1) > rng.random((len(logits), 1))).argmax(1)
    temperature = fit_temperature(logits * 3, truth)
    assert temperature == pytest.approx(3, rel=0.03)
    assert calibration(softmax(logits * 3, temperature=temperature), truth).ece < 0.01
    assert calibration(softmax(logits * 3), truth).ece > 0.1


def test_goes_through_json_and_is_drawn(tmp_path: Path) -> None:
    figures = calibration(np.array([[0.7, 0.3], [0.2, 0.8]]), np.array([0, 0]))
    assert json.loads(json.dumps(asdict(figures)))["ece"] == pytest.approx(0.55)
    plot_reliability(figures, tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").read_bytes()[:4] == b"\x89PNG"


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(DataError, match="expected probabilities"):
        calibration(np.zeros((2, 8)), np.zeros(3, int))
