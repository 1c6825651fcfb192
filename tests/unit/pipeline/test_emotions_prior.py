"""``[emotions]`` in the stage that gives probabilities over time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures.clip_results import make_clip, tables_of

from vidfer.config import load_pipeline
from vidfer.errors import ConfigError
from vidfer.labels import EMOTIONS
from vidfer.pipeline.emotions import EmotionsStage, chosen_baseline, prior_log_ratio
from vidfer.pipeline.tables import EmbeddingsTable
from vidfer.temporal.baseline import baseline_shift
from vidfer.temporal.probabilities import softmax
from vidfer.weights import load_tensors, locate, save_tensors


def probabilities(*settings: str, seconds: float = 2.0, certainty: float = 1.0) -> np.ndarray:
    clip = make_clip(seconds=seconds)
    clip = replace(clip, embeddings=replace(clip.embeddings, logits=clip.embeddings.logits * certainty))
    config = load_pipeline("default", ["temporal.name=none", "emotions.prior=natural", *settings])
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


def test_a_number_goes_part_of_the_way_and_the_line_and_its_band_go_together() -> None:
    config = load_pipeline("default", ["temporal.name=none"])
    assert config.emotions.prior == 0.25
    balanced = load_pipeline("default", ["emotions.prior=balanced"])
    ratio = prior_log_ratio(balanced.emotions, balanced.backbone)
    assert prior_log_ratio(config.emotions, config.backbone) == pytest.approx(ratio / 4)
    tables = tables_of(make_clip(seconds=2.0))
    stage = EmotionsStage(config.temporal, emotions=config.emotions, backbone=config.backbone, device="cpu")
    found = stage.process(tables)
    seen = np.isfinite(found.probabilities).all(1)
    embeddings = tables["embeddings"]
    assert isinstance(embeddings, EmbeddingsTable)
    alone = softmax(embeddings.logits + found.shift)  # what the chart draws beside the line; without a model the same
    assert alone[seen] == pytest.approx(found.probabilities[seen], abs=1e-3)
    with pytest.raises(ConfigError, match=r"emotions.prior"):
        load_pipeline("default", ["emotions.prior=1.5"])


def test_a_table_says_what_is_expected() -> None:
    table = "{neutral=1, happiness=1, surprise=1, sadness=1, anger=1, disgust=1, fear=1, contempt=1}"
    assert probabilities(f"emotions.prior={table}") == pytest.approx(
        probabilities("emotions.prior=balanced"), nan_ok=True, abs=1e-6
    )


def test_a_persons_own_neutral_is_taken_off(tmp_path: Path) -> None:
    average = np.array([1.0, 0, 0, 0, -1, 0, 0, 0])
    tensors, metadata = load_tensors(locate("backbone", "compact")[0])
    weights = tmp_path / "mine.safetensors"
    save_tensors(weights, tensors, {**metadata, "neutral_log_odds": dict(zip(EMOTIONS, average.tolist(), strict=True))})
    plain = probabilities()
    moved = probabilities(f'backbone.weights="{weights}"', "emotions.baseline=[0.0, 1.0]")
    clip = make_clip(seconds=2.0)
    for track in np.unique(clip.tracks.track_id[clip.tracks.track_id >= 0]):
        rows = np.flatnonzero(clip.tracks.track_id == track)
        seconds = clip.frames.pts_seconds[clip.faces.frame_row[rows]]
        shift = baseline_shift(clip.embeddings.logits[rows], seconds, (0.0, 1.0), average)
        assert shift.any()
        expected = softmax(np.log(np.maximum(plain[rows].astype(np.float64), 1e-9)) + shift)
        assert moved[rows] == pytest.approx(expected, abs=1e-5)


def test_by_default_the_clip_is_the_baseline_where_it_can_be(tmp_path: Path) -> None:
    tensors, metadata = load_tensors(locate("backbone", "compact")[0])
    silent = tmp_path / "silent.safetensors"
    save_tensors(silent, tensors, {key: value for key, value in metadata.items() if key != "neutral_log_odds"})
    for settings, expected in (
        ([], "clip"),
        (["temporal.causal=true"], "none"),
        ([f'backbone.weights="{silent}"'], "none"),
        (["emotions.baseline=none"], "none"),
        (["emotions.baseline=[0.5, 1.0]"], (0.5, 1.0)),
    ):
        config = load_pipeline("default", settings)
        assert chosen_baseline(config.emotions, config.backbone, causal=config.temporal.causal) == expected
    plain, moved = (
        probabilities(f"emotions.baseline={name}", seconds=20.0, certainty=1.5) for name in ("none", "clip")
    )
    assert np.nanmax(np.abs(plain - moved)) > 0.05
    assert probabilities(seconds=20.0, certainty=1.5) == pytest.approx(moved, nan_ok=True)
    assert probabilities(f'backbone.weights="{silent}"', seconds=20.0, certainty=1.5) == pytest.approx(
        plain, nan_ok=True
    )


@pytest.mark.parametrize("wrong", ["[2.0, 1.0]", "[-1.0, 1.0]", '"start"', "[1.0]"])
def test_a_wrong_baseline_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="baseline"):
        load_pipeline("default", [f"emotions.baseline={wrong}"])
