from pathlib import Path

import pytest
import torch
from fixtures.fer_files import write_fer_files, write_lfw_file

from vidfer.backbones.load import load_backbone
from vidfer.cli import main
from vidfer.config import parse_section, pipelines_folder, read_toml
from vidfer.errors import ConfigError, DataError
from vidfer.learning.training.emotion_cnn import SOURCES, EmotionRecipe, EmotionTask
from vidfer.learning.training.frame_network import train_emotion_cnn
from vidfer.weights import load_tensors, save_tensors

RECIPE = """
[model]
name = "compact"
options = { widths = [8, 16], depths = [1, 1], stem = 8, embedding_size = 16, dropout = 0.1 }
[data]
balance = 0.25
mixup = 0.2
mixup_share = 0.25
early_epochs = 2
early_size = 48
[augment]
shift = 0.02
noise_share = 0.3
[loop]
epochs = 6
batch_size = 16
learning_rate = 0.01
warmup_epochs = 0.5
average_decay = 0.6
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fer_files(tmp_path_factory.mktemp("data"), per_class=8)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


def test_learns_and_the_weights_can_be_used(data: Path, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["train", "emotion-cnn", "--recipe", str(recipe), "--data", str(data), "--out", str(out), "--quiet"]
    assert main([*command, "--device", "cpu"]) == 0
    network = load_backbone("compact", weights=out / "best.safetensors")
    assert network.mirror
    assert network.metadata["training"]["best"]["accuracy"] > 0.5  # chance is 0.125
    assert network.temperature == network.metadata["training"]["best"]["temperature"]
    assert network.embed(torch.rand(2, 1, 64, 64))[0].shape == (2, 16)
    assert len((out / "log.csv").read_text().splitlines()) == 7
    assert (out / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_a_training_may_begin_with_the_mean_of_several_weights(data: Path, recipe: Path, tmp_path: Path) -> None:
    settings = read_toml(recipe)
    files = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = EmotionTask(parse_section(EmotionRecipe, settings, source="recipe"), data).build_model()
        files.append(tmp_path / f"{seed}.safetensors")
        save_tensors(files[-1], network.state_dict(), {"backbone": "compact"})
    settings["model"]["start"] = [str(path) for path in files]
    began = EmotionTask(parse_section(EmotionRecipe, settings, source="recipe"), data).build_model().state_dict()
    first, second = (load_tensors(path)[0] for path in files)
    name = next(key for key, tensor in first.items() if tensor.ndim == 4)
    assert not torch.equal(first[name], second[name])
    torch.testing.assert_close(began[name], ((first[name] + second[name]) / 2).to(began[name]), atol=1e-3, rtol=0)


def test_stopped_run_ends_as_one_that_was_not(data: Path, recipe: Path, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(done: int, total: int, figures: dict[str, float]) -> None:
        if done == 14:
            raise Killed

    recipe.write_text(RECIPE.replace("[loop]", "[loop]\ncheckpoint_seconds = 0.001"))
    train_emotion_cnn(recipe, data, tmp_path / "whole", device="cpu")
    with pytest.raises(Killed):
        train_emotion_cnn(recipe, data, tmp_path / "stopped", device="cpu", progress=kill)
    train_emotion_cnn(recipe, data, tmp_path / "stopped", device="cpu")
    whole, stopped = ((tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "stopped"))
    assert whole == stopped
    assert (tmp_path / "whole" / "log.csv").read_text() == (tmp_path / "stopped" / "log.csv").read_text()


def test_rare_classes_are_seen_more_often(data: Path, recipe: Path) -> None:
    task = EmotionTask(parse_section(EmotionRecipe, read_toml(recipe), source="recipe"), data)
    task.training.label[:] = 0
    task.training.label[:8] = 5
    task.__dict__.pop("_row_weights", None)
    seen = torch.cat([task._epoch_order(epoch) for epoch in range(20)])
    share = float((seen < 8).double().mean())
    expected = 8**0.75 / (8**0.75 + 56**0.75)
    assert share == pytest.approx(expected, rel=0.15)


def test_more_faces_are_shown_as_often_as_the_recipe_says(tmp_path: Path, recipe: Path) -> None:
    data = write_lfw_file(write_fer_files(tmp_path, per_class=8))
    shares = {"photographs": 0.2, "talking": 0.1, "posed": 0.15, "reshaped": 0.05}
    lines = "\n".join(f"{name}_share = {share}" for name, share in shares.items())
    recipe.write_text(RECIPE.replace("[data]", f"[data]\n{lines}"))
    task = EmotionTask(parse_section(EmotionRecipe, read_toml(recipe), source="recipe"), data)
    seen = torch.cat([task._epoch_order(epoch) for epoch in range(60)])
    shown = torch.bincount(task.training.source[seen], minlength=len(SOURCES)).double() / len(seen)
    assert dict(zip(SOURCES, shown.tolist(), strict=True)) == pytest.approx(
        {"fer": 0.5, "scenes": 0.0, **shares}, abs=0.04
    )
    assert task.steps_per_epoch() == 4  # they change what is shown, not how much
    labels = {name: task.training.label[task.training.source == SOURCES.index(name)] for name in shares}
    assert len(labels["talking"]) > 8
    assert set(labels["talking"].tolist()) == {0}
    assert len(labels["posed"]) == 3 * len(labels["talking"])
    assert 0 not in labels["reshaped"]
    val_rows = 5
    assert len(labels["photographs"]) == 24 - val_rows


def test_missing_photographs_are_named(data: Path, recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("[data]", "[data]\nphotographs_share = 0.2"))
    with pytest.raises(DataError, match=r"faces_in_scenes\.h5: expected photographs"):
        EmotionTask(parse_section(EmotionRecipe, read_toml(recipe), source="recipe"), data)


def test_nan_is_refused(data: Path, recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(RECIPE.replace("learning_rate = 0.01", "learning_rate = 1e30"))
    with pytest.raises(DataError, match=r"the loss is .* at step"):
        train_emotion_cnn(recipe, data, tmp_path / "run", device="cpu")


def test_misspelt_recipe_is_named(data: Path, recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(RECIPE.replace("noise_share", "noise_shar"))
    with pytest.raises(ConfigError, match=r"\[augment\] noise_shar: unknown key; did you mean 'noise_share'"):
        train_emotion_cnn(recipe, data, tmp_path / "run", device="cpu")


def test_labels_of_fer2013_can_be_learnt_too(data: Path, recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("[data]", '[data]\nlabels = "fer2013"'))
    task = EmotionTask(parse_section(EmotionRecipe, read_toml(recipe), source="recipe"), data)
    assert set(task.training.label.tolist()) == set(range(7))
    faces, target = task.batch(0, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert faces.shape == (16, 1, 48, 48)  # the size of the early epochs
    torch.testing.assert_close(target.sum(1), torch.ones(16))


@pytest.mark.parametrize("file", sorted((pipelines_folder() / "train").glob("emotion_*.toml")), ids=lambda p: p.stem)
def test_recipe_that_comes_with_vidfer_builds_its_network(file: Path) -> None:
    from vidfer.backbones import BACKBONES

    recipe = parse_section(EmotionRecipe, read_toml(file), source=str(file))
    assert BACKBONES.get(recipe.model.name)(**recipe.model.options).embedding_size > 0
