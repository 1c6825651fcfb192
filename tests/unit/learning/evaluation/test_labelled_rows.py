"""Figures of what was seen in the rows of a manifest."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidfer.cli import main
from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX
from vidfer.learning.datasets.manifest import Manifest
from vidfer.learning.evaluation.labelled import Seen, evaluate_rows
from vidfer.temporal.baseline import SHARE, centred, neutral_row_shifts
from vidfer.temporal.prior import shifted
from vidfer.temporal.probabilities import softmax


def manifest_of(*labels: str) -> Manifest:
    n = len(labels)
    return Manifest(
        clip_id=tuple(f"clip {i}" for i in range(n)),
        path=tuple(Path(f"{i}.mp4") for i in range(n)),
        sha256=("",) * n,
        subject_id=tuple(f"person {i}" for i in range(n)),
        split=("test",) * n,
        label=labels,
        start_seconds=np.full(n, np.nan),
        end_seconds=np.full(n, np.nan),
    )


def seen(*frames: str, timeline: tuple[str, ...] = ()) -> Seen:
    def sure(names: tuple[str, ...]) -> np.ndarray:
        return np.eye(8)[[EMOTION_INDEX[name] for name in names]]

    return Seen(
        vectors=np.zeros((len(frames), 4), np.float16),
        network=sure(frames),
        timeline=sure(timeline) if timeline else None,
    )


def test_clips_and_frames_are_both_counted() -> None:
    manifest = manifest_of("anger", "neutral")
    found = evaluate_rows(
        manifest,
        np.arange(2),
        [
            seen("anger", "anger", "fear", timeline=("anger", "anger", "anger")),
            seen("anger", timeline=("neutral",)),
        ],
    )
    assert found.figures["network"].classification.accuracy == 0.5  # a clip is the mean of its frames
    assert found.figures["network_frames"].classification.accuracy == 0.5  # two frames of four
    assert found.figures["timeline"].classification.accuracy == 1.0
    assert found.figures["timeline_frames"].classification.samples == 4


def test_rows_read_together_with_known_shares_beside_each_alone() -> None:
    """The fearful face looks less surprised than the surprised one, and one of the two must be fear."""
    surprised, fearful = np.full((2, 8), 0.01)
    surprised[[EMOTION_INDEX["surprise"], EMOTION_INDEX["fear"]]] = 0.93, 0.01
    fearful[[EMOTION_INDEX["surprise"], EMOTION_INDEX["fear"]]] = 0.6, 0.34
    rows = [Seen(vectors=np.zeros((1, 4), np.float16), network=one[None] / one.sum()) for one in (surprised, fearful)]
    manifest = manifest_of("surprise", "fear")
    assert evaluate_rows(manifest, np.arange(2), rows).figures.keys() == {"network"}
    figures = evaluate_rows(manifest, np.arange(2), rows, match_shares=True).figures
    assert figures["network"].classification.accuracy == 0.5
    assert figures["network_matched"].classification.accuracy == 1.0


def test_rows_are_read_against_their_persons_neutral_ones() -> None:
    """This person looks sad at rest: as sad, and cross besides, is cross. A stranger is read as before."""

    def row(**shares: float) -> Seen:
        p = np.full(8, 0.01)
        p[[EMOTION_INDEX[name] for name in shares]] = list(shares.values())
        return Seen(vectors=np.zeros((1, 4), np.float16), network=p[None] / p.sum())

    manifest = manifest_of("neutral", "neutral", "anger", "sadness")
    manifest = replace(manifest, subject_id=("a", "a", "a", "b"))
    rows = [
        *(row(neutral=0.5, sadness=0.4), row(neutral=0.4, sadness=0.5)),
        *(row(sadness=0.5, anger=0.4), row(sadness=0.5, anger=0.4)),
    ]
    average = centred(np.log(np.array([0.93, *[0.01] * 7])))
    figures = evaluate_rows(manifest, np.arange(4), rows, neutral_average=average).figures
    assert figures["network"].classification.accuracy == 0.5
    assert figures["network_baseline"].classification.accuracy == 1.0
    assert "network_baseline_unlabelled" not in figures  # three rows are too few to tell
    alone = replace(manifest, subject_id=("a", "b", "c", ""))
    assert evaluate_rows(alone, np.arange(4), rows, neutral_average=average).figures.keys() == {"network"}


def test_a_persons_neutral_is_found_without_labels() -> None:
    """Six of nine pictures are of a resting face that looks a little sad; the labels say nothing of neutral."""
    average = centred(np.array([4.0, *[0.0] * 7]))
    ratio = np.linspace(0, 1, 8)  # a prior's: it is no part of what is the person's own
    sadness, anger = EMOTION_INDEX["sadness"], EMOTION_INDEX["anger"]
    resting, cross = np.array([[4.0, *[0.0] * 7]] * 2)
    resting[sadness] = cross[sadness] = 3.0
    cross[[0, anger]] = 0.0, 2.0
    rows = [
        Seen(vectors=np.zeros((1, 4), np.float16), network=shifted(softmax(one[None]), ratio))
        for one in (resting, cross)
    ]
    manifest = replace(manifest_of(*["sadness"] * 6, *["anger"] * 3), subject_id=("a",) * 9)
    seen_rows = [rows[0]] * 6 + [rows[1]] * 3
    figures = evaluate_rows(manifest, np.arange(9), seen_rows, neutral_average=average, prior_ratio=ratio).figures
    assert figures["network"].classification.classes["anger"].recall == 0.0
    assert figures["network_baseline_unlabelled"].classification.classes["anger"].recall == 1.0
    assert "network_baseline" not in figures  # no row is labelled neutral


def test_a_neutral_row_does_not_tell_its_own_label() -> None:
    odds = centred(np.log(np.random.default_rng(0).dirichlet(np.ones(8), 3)))
    average = np.zeros(8)
    neutral = np.array([True, False, False])
    shifts = neutral_row_shifts(odds, ["a", "a", "b"], neutral, average)
    assert not shifts[[0, 2]].any()
    assert shifts[1] == pytest.approx(-SHARE * odds[0])


def test_a_row_without_a_face_counts_as_wrong_and_is_named(tmp_path: Path) -> None:
    found = evaluate_rows(manifest_of("anger", "fear"), np.arange(2), [seen("anger"), None])
    assert found.figures.keys() == {"network"}  # pictures have no timeline
    assert found.figures["network"].classification.accuracy == 1.0
    assert found.found_and_right == 0.5
    found.write(tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["without_face"] == ["clip 1"]
    assert set(written["figures"]["network"]["classification"]["classes"]["anger"]) == {
        "precision",
        "recall",
        "f1",
        "support",
    }
    assert {path.name for path in (tmp_path / "network").iterdir()} == {
        "metrics.json",
        "confusion.png",
        "reliability.png",
    }
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["predicted"] for row in rows] == ["anger", ""]


def test_no_face_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="no face was found in any row"):
        evaluate_rows(manifest_of("anger"), np.arange(1), [None])


def test_pictures_without_a_face_are_no_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "faces.csv").write_text(
        "clip_id,path,subject_id,split,label\na,a.png,x,test,fear\nb,b.png,y,test,anger\n"
    )
    command = ["evaluate", "--manifest", str(tmp_path / "faces.csv"), "--out", str(tmp_path / "out"), "--folds", "2"]
    assert main(command) == 2
    assert "no face was found in any row" in capsys.readouterr().err
