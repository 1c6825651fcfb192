"""Labelled videos from the command line: train a sequence model on them, and measure it."""

from __future__ import annotations

import json

import pytest
from fixtures.forked import vidfer
from fixtures.small_corpus import write_clip_corpus, write_frame_corpus, write_small_recipe

from vidfer.cli import main
from vidfer.config import load_pipeline
from vidfer.engine.events import ClipDone, FramesDone
from vidfer.errors import DataError
from vidfer.learning.corpus import read_corpus
from vidfer.learning.datasets.manifest import read_manifest
from vidfer.learning.training.corpus import markov_model


def run(*arguments):
    """Run a command in this process: what it costs is its work, not its start."""
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return write_clip_corpus(folder)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return write_frame_corpus(tmp_path_factory.mktemp("frames"))


@pytest.fixture(scope="module")
def kept(clips):
    """What was computed of the clips: of the first six alone at first, as if the run had been killed, then of all."""
    manifest, results = read_manifest(clips), clips.parent / "kept"
    config = load_pipeline("default", ["run.jobs=1"])
    read_corpus(manifest.select(range(6)), results, config)
    events = []
    read_corpus(manifest, results, config, on_event=events.append)
    return results, events


def test_nothing_is_computed_twice(clips, kept):
    _, events = kept
    again = {event.clip_id for event in events if isinstance(event, ClipDone) and event.status == "cached"}
    assert len(again) == 6
    assert {event.clip_id for event in events if isinstance(event, FramesDone)}.isdisjoint(again)
    assert sum(isinstance(event, ClipDone) for event in events) == 9


def test_train_and_evaluate_on_clips(clips, kept, tmp_path, capsys):
    recipe, folder = write_small_recipe(tmp_path / "small.toml"), tmp_path / "run"
    command = ["train", "temporal", "--manifest", clips, "--recipe", recipe, "--out", folder, "--clips", kept[0]]
    done = vidfer(*command)
    assert done.returncode == 0, done.stderr
    assert "clip_uar 1" in done.stdout
    assert "tracks to learn from" in done.stderr  # what is done before the first step is said
    weights = (folder / "best.safetensors").read_bytes()
    again = vidfer(*command, "-q")  # goes on, and there is nothing left to do
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (folder / "best.safetensors").read_bytes() == weights

    out = tmp_path / "figures"
    measure = ["evaluate", "temporal", "--manifest", clips, "--clips", kept[0], "--out", out]
    assert run(*measure, "--weights", folder / "best.safetensors") == 0
    printed = capsys.readouterr().out
    found = json.loads((out / "metrics.json").read_text())
    assert found["clips"]["accuracy"] == found["clips"]["uar"] == 1.0
    assert found["clips"]["samples"] == 2
    assert found["clips_without_face"] == ["dora-nobody"]
    assert found["clip_accuracy_of_all"] == pytest.approx(2 / 3)
    assert found["frames"]["samples"] >= 24
    assert found["clips"]["classes"]["happiness"]["f1"] == 1.0
    assert {path.name for path in out.iterdir()} >= {"confusion_clips.png", "confusion_frames.png", "reliability.png"}
    assert "WAR 100.00%, UAR 100.00%" in printed
    assert "no face in 1 more clips" in printed

    assert run(*measure, "--weights", folder / "best.safetensors", "--model", "lstm") == 2
    assert "expected weights of a temporal model lstm" in capsys.readouterr().err


def test_folds_by_subject_test_everybody_on_a_model_that_never_saw_them(clips, kept, tmp_path):
    recipe = write_small_recipe(tmp_path / "small.toml", name="tcn")
    command = ["train", "temporal", "--manifest", clips, "--recipe", recipe, "--out", tmp_path / "run"]
    assert run(*command, "--clips", kept[0], "--folds", "4") == 0
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["clips"]["samples"] == 8
    assert found["clips_without_face"] == ["dora-nobody"]
    assert found["clips"]["uar"] >= 0.75
    assert all((tmp_path / "run" / f"fold{i}" / "best.safetensors").is_file() for i in (1, 2, 3, 4))


def test_labels_by_frame_with_valence_and_arousal(frames, tmp_path):
    recipe, folder = write_small_recipe(tmp_path / "small.toml"), tmp_path / "run"
    made = ["--manifest", frames, "--set", "run.jobs=1"]
    assert vidfer("train", "temporal", *made, "--recipe", recipe, "--out", folder).returncode == 0
    measure = ["evaluate", "temporal", *made, "--clips", folder / "clips", "--out", tmp_path / "figures"]
    assert run(*measure, "--weights", folder / "best.safetensors") == 0
    found = json.loads((tmp_path / "figures" / "metrics.json").read_text())
    assert found["clips"] is None
    assert found["frames"]["samples"] == pytest.approx(37, abs=2)  # of 40: those of the first tenth have no label
    assert found["frames"]["accuracy"] > 0.8
    assert found["timing"]["true_changes_per_minute"] > 0
    assert found["affect"]["frames"] == pytest.approx(40, abs=2)
    assert found["affect"]["valence_ccc"] > 0.8
    assert found["affect"]["arousal_ccc"] > 0.8

    corpus = read_corpus(read_manifest(frames), folder / "clips", load_pipeline("default", ["run.jobs=1"])).corpus
    matrix = markov_model(corpus.part("train"))._transitions.matrix
    assert 0 < matrix[1, 3] < 0.3 < matrix[1, 1]  # happiness to sadness, once a video
    assert matrix[1, 3] > 3 * matrix[3, 1]


def test_another_video_than_the_manifest_says_is_refused(clips, kept):
    manifest = read_manifest(clips)
    wrong = manifest.select([0])
    object.__setattr__(wrong, "sha256", ("0" * 64,))
    with pytest.raises(DataError, match="expected the video with sha256 000000000000"):
        read_corpus(wrong, kept[0], load_pipeline("default", ["run.jobs=1"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "landmarks", "--manifest", "m.csv", "--out", "o"], "landmarks takes --data"),
        (["train", "temporal", "--data", "d", "--out", "o"], "--recipe is missing: give a file, or one of"),
        (["evaluate", "temporal", "--data", "d"], "needs --manifest"),
        (
            ["evaluate", "temporal", "--manifest", "m", "--set", "emotions.prior=natural"],
            "by itself, before [emotions]",
        ),
    ],
)
def test_wrong_usage_is_named(arguments, message, capsys):
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_folds_need_subjects(clips, tmp_path, capsys):
    nameless = tmp_path / "m.csv"
    lines = clips.read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    nameless.write_text("\n".join([lines[0], *(f"{r[0]},{clips.parent / r[1]},,{r[3]},{r[4]}" for r in rows)]))
    assert run("train", "temporal", "--manifest", nameless, "--out", tmp_path / "run", "--folds", "3") == 2
    assert "no subject_id" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()  # nothing was computed before it was said
