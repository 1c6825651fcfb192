"""``vidfer explain`` and ``vidfer evaluate``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from fixtures.forked import vidfer
from PIL import Image

from vidfer.config import load_pipeline
from vidfer.labels import EMOTIONS
from vidfer.learning.evaluation.time_attribution import time_attribution
from vidfer.learning.single_frame import track_at
from vidfer.pipeline.emotions import temporal_model
from vidfer.pipeline.pipeline import Pipeline


def test_a_frame_with_a_face_becomes_a_picture(sample_video: Path, tmp_path: Path) -> None:
    done = vidfer("explain", sample_video, "--frame", "60", "--out", tmp_path / "frame.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "frame.png") as picture:
        assert picture.width > 800


def test_attention_layers_and_seconds_become_pictures(sample_video: Path, tmp_path: Path) -> None:
    out = tmp_path / "frame.png"
    more = ("--attention", "--feature-maps", "all", "--over-time", "--set", "video.fps=5")
    done = vidfer("explain", sample_video, "--frame", "60", "--out", out, *more)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(out), str(tmp_path / "frame-time.png")]
    with Image.open(out) as picture, Image.open(tmp_path / "frame-time.png") as over_time:
        assert picture.height > 1000  # a row for each layer
        assert over_time.width > 1500


def test_seconds_are_explained_with_the_probabilities_of_the_timeline(sample_video: Path) -> None:
    config = load_pipeline("default", ["video.fps=10", "emotions.prior=balanced"])
    followed = track_at(sample_video, 2.4, config)
    assert followed is not None
    assert np.abs(followed.shift).max() > 0.5
    model = temporal_model(config.temporal, device="cpu")
    found = time_attribution(model, followed.track, at_seconds=2.4, shift=followed.shift)
    rows = Pipeline(config).video(sample_video).face(followed.face_id)
    at = [np.interp(rows["timestamp"], found.seconds, column) for column in found.probabilities.T]
    np.testing.assert_allclose(np.stack(at, 1), rows[list(EMOTIONS)], atol=0.01)


def test_a_frame_without_a_face_says_so(sample_video: Path, tmp_path: Path) -> None:
    done = vidfer("explain", sample_video, "--frame", "150", "--out", tmp_path / "frame.png")
    assert done.returncode == 1
    assert "no face in frame 150" in done.stdout


def test_a_frame_that_does_not_exist_names_the_last(sample_video: Path) -> None:
    done = vidfer("explain", sample_video, "--frame", "5000")
    assert done.returncode == 2
    assert "expected a frame from 1 to 200, got 5000" in done.stderr


def test_evaluate_measures_the_embedded_network(shared_folder: Path, tmp_path: Path) -> None:
    done = vidfer("evaluate", "--data", shared_folder / "data", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "majority" / "metrics.json").read_text())
    assert figures["classification"]["accuracy"] > 0.84
    assert figures["calibration"]["ece"] < 0.05  # fitted for photographs, too: emotion_cnn.md
    assert (tmp_path / "majority" / "confusion.png").is_file()


def test_evaluate_without_data_says_what_is_missing(tmp_path: Path) -> None:
    done = vidfer("evaluate", "--data", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "fer2013" in done.stderr
