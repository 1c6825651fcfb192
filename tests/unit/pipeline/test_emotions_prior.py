"""``[emotions] prior`` in the stage that gives probabilities over time."""

import numpy as np
import pytest
from fixtures.clip_results import make_clip, tables_of

from vidfer.config import load_pipeline
from vidfer.labels import EMOTIONS
from vidfer.pipeline.emotions import EmotionsStage, prior_log_ratio
from vidfer.temporal.probabilities import softmax


def probabilities(*settings: str) -> np.ndarray:
    clip = make_clip(seconds=2.0)
    config = load_pipeline("default", ["temporal.name=none", *settings])
    stage = EmotionsStage(config.temporal, emotions=config.emotions, backbone=config.backbone, device="cpu")
    return stage.process(tables_of(clip)).probabilities


def test_the_prior_moves_every_row_by_the_same_ratio() -> None:
    balanced = load_pipeline("default", ["emotions.prior=balanced"])
    ratio = prior_log_ratio(balanced.emotions, balanced.backbone)
    plain, moved = probabilities(), probabilities("emotions.prior=balanced")
    seen = np.isfinite(plain).all(1)
    assert seen.any()
    expected = softmax(np.log(np.maximum(plain[seen].astype(np.float64), 1e-9)) + ratio)
    assert moved[seen] == pytest.approx(expected, abs=1e-5)
    contempt, neutral = EMOTIONS.index("contempt"), EMOTIONS.index("neutral")
    assert ratio[contempt] > 0 > ratio[neutral]
    assert np.isnan(moved[~seen]).all()


def test_a_table_says_what_is_expected() -> None:
    table = "{neutral=1, happiness=1, surprise=1, sadness=1, anger=1, disgust=1, fear=1, contempt=1}"
    assert probabilities(f"emotions.prior={table}") == pytest.approx(
        probabilities("emotions.prior=balanced"), nan_ok=True, abs=1e-6
    )
