"""Training of sequence models: learns, resumes, and its file can be used."""

import json

import numpy as np
import pytest
import torch
from fixtures.face_people import random_bank
from fixtures.tracks import noisy_track

from vidfer.config import pipelines_folder, temporal_weights_name
from vidfer.errors import ConfigError
from vidfer.learning.datasets.corpus_sequences import CorpusSequences
from vidfer.learning.datasets.face_sequences import FaceSequences, LabelledSequence
from vidfer.learning.evaluation.sequences import sequence_figures
from vidfer.learning.training.loop import train
from vidfer.learning.training.temporal import TemporalRecipe, TemporalTask, read_recipe
from vidfer.temporal import TEMPORAL_MODELS
from vidfer.weights import load_tensors

CPU = torch.device("cpu")


def recipe_of(name="gru", epochs=2, **model):
    return TemporalRecipe.model_validate(
        {
            "model": {"name": name, "hidden": 16, **model},
            "script": {"max_seconds": 8.0},
            "learning": {"steps_per_epoch": 15},
            "loop": {
                "epochs": epochs,
                "batch_size": 6,
                "learning_rate": 1e-2,
                "average_decay": 0.9,
                "precision": "float32",
            },
        }
    )


def task_of(recipe):
    sequences = FaceSequences([random_bank(12)], recipe.script)
    validation = FaceSequences([random_bank(6, seed=1)], recipe.script).evaluation_set(6, seed=1)
    return TemporalTask(recipe, sequences, validation, {"backbone": {"name": "made up", "sha256": "00"}})


@pytest.mark.parametrize("name", ["gru", "lstm", "tcn", "transformer"])
def test_training_beats_the_frames_and_its_file_can_be_used(tmp_path, name):
    torch.set_num_threads(1)
    recipe = recipe_of(name)
    task = task_of(recipe)
    best = train(task, recipe.loop, tmp_path, device=CPU, recipe=recipe.model_dump(mode="json"))
    model = TEMPORAL_MODELS.get(name)(weights=str(tmp_path / "best.safetensors"))
    tracks = [s.track for s in task.validation]
    labels = [s.labels for s in task.validation]
    times = [t.pts_seconds for t in tracks]
    found = sequence_figures(model.predict(tracks), labels, times)
    frames = sequence_figures(TEMPORAL_MODELS.get("none")().predict(tracks), labels, times)
    assert found.uar > frames.uar + 0.02
    assert found.change_ratio < frames.change_ratio / 2
    assert found.uar == pytest.approx(best["uar"], abs=0.02)  # the file holds float16
    metadata = load_tensors(tmp_path / "best.safetensors")[1]
    assert metadata["backbone"] == {"name": "made up", "sha256": "00"}
    assert metadata["model"]["name"] == name


def test_a_continued_run_ends_like_one_that_was_never_stopped(tmp_path):
    torch.set_num_threads(1)
    recipe = recipe_of(epochs=2)
    train(task_of(recipe), recipe.loop, tmp_path / "a", device=CPU, recipe={})

    class Stop(Exception):
        pass

    def stop(done, total, figures):
        if done == 19:
            raise Stop

    quick = recipe.loop.model_copy(update={"checkpoint_seconds": 1e-9})
    with pytest.raises(Stop):
        train(task_of(recipe), quick, tmp_path / "b", device=CPU, progress=stop, recipe={})
    train(task_of(recipe), quick, tmp_path / "b", device=CPU, recipe={})
    first, second = (load_tensors(tmp_path / run / "best.safetensors")[0] for run in "ab")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_severe_sequences_make_the_temperature_higher_and_are_not_measured_on():
    recipe = recipe_of()
    usual = task_of(recipe)
    wrong = [LabelledSequence(track=s.track, target=np.roll(s.target, 1, axis=1)) for s in usual.validation]
    severe = TemporalTask(recipe, usual.sequences, usual.validation, severe=wrong)
    model = usual.build_model().eval()
    first, second = usual.validate(model, CPU), severe.validate(model, CPU)
    assert second["temperature"] > 1.2 * first["temperature"]
    assert second["uar"] == pytest.approx(first["uar"])
    assert float(model.log_temperature) == pytest.approx(np.log(second["temperature"]))


def test_rows_without_a_label_teach_nothing():
    recipe = recipe_of()
    made = task_of(recipe)
    half = [
        LabelledSequence(track=s.track, target=s.target * (np.arange(len(s.target)) % 2)[:, None])
        for s in made.validation
    ]
    task = TemporalTask(recipe, CorpusSequences(half), half)
    found = task.validate(task.build_model().eval(), CPU)
    assert 0 < found["war"] < 1
    none = [LabelledSequence(track=s.track, target=s.target * 0) for s in made.validation[:2]]
    batch = TemporalTask(recipe, CorpusSequences([*none, *half]), half).batch(0, torch.Generator().manual_seed(0), CPU)
    model = task.build_model()
    loss, _ = task.loss(model, (batch[0], batch[1], torch.zeros_like(batch[2])))
    assert loss.item() == 0


def test_batches_are_determined_by_step_and_cover_durations():
    task = task_of(recipe_of())
    batches = [task.batch(3, torch.Generator().manual_seed(5), CPU) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))
    lengths = [task.batch(i, torch.Generator().manual_seed(i), CPU)[1].max().item() for i in range(12)]
    assert min(lengths) < 40 < max(lengths)


def test_causal_recipe_gives_a_causal_model(tmp_path):
    torch.set_num_threads(1)
    recipe = recipe_of(epochs=1, causal=True)
    train(task_of(recipe), recipe.loop, tmp_path, device=CPU, recipe={})
    model = TEMPORAL_MODELS.get("gru")(weights=str(tmp_path / "best.safetensors"))
    track = noisy_track(8, 25)
    cut = type(track)(
        pts_seconds=track.pts_seconds[:120],
        vectors=track.vectors[:120],
        logits=track.logits[:120],
        quality=track.quality[:120],
    )
    assert np.allclose(model.predict([track])[0][:120], model.predict([cut])[0], atol=1e-5)


@pytest.mark.parametrize("name", ["gru", "lstm", "tcn", "transformer", "gru_causal"])
def test_shipped_recipes_are_valid(name):
    recipe = read_recipe(pipelines_folder() / "train" / f"temporal_{name}.toml")
    assert temporal_weights_name(recipe.model.name, causal=recipe.model.causal) == name
    json.dumps(recipe.model_dump(mode="json"))


def test_unknown_recipe_key_names_the_nearest(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("[model]\nhiden = 3\n[loop]\nepochs=1\nbatch_size=1\nlearning_rate=0.1\n")
    with pytest.raises(ConfigError, match="did you mean 'hidden'"):
        read_recipe(path)
