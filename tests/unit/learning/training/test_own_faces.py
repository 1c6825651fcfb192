"""``vidfer train emotion-cnn --manifest``: one's own pictures and videos."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.fer_files import write_fer_files
from PIL import Image

from vidfer.backbones import InputSpec
from vidfer.backbones.load import load_backbone
from vidfer.cli import main
from vidfer.config import parse_section, pipelines_folder, read_toml
from vidfer.errors import DataError
from vidfer.learning.training.emotion_cnn import EmotionRecipe, EmotionTask
from vidfer.learning.training.own_faces import read_own_faces
from vidfer.weights import load_tensors, locate

RECIPE = """
[model]
name = "plain"
mirror = false
options = { size = 48, channels = [8, 8], dense = 16 }
[data]
border = 4
frames_per_clip = 2
[loop]
epochs = 12
batch_size = 4
learning_rate = 0.003
average_decay = 0.0
warmup_epochs = 0.5
"""
SPEC = InputSpec(size=48)


def write_csv(path: Path, rows: list[tuple[str, ...]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("clip_id", "path", "subject_id", "split", "label"), *rows])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One portrait, bright pictures of it and dark ones."""
    from skimage import data

    folder = tmp_path_factory.mktemp("pictures")
    portrait = data.astronaut()[:300, 80:380].astype(float)
    for i in range(10):
        level = (0.35, 0.9)[i % 2] + 0.01 * i
        Image.fromarray((portrait * level).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def test_one_learns_from_own_pictures_and_videos(folder: Path, sample_video: Path, tmp_path: Path) -> None:
    names = ("sadness", "happiness")
    rows = [
        (f"picture {i}", f"{i}.png", f"person {i}", "train" if i < 6 else "validation", names[i % 2]) for i in range(10)
    ]
    manifest = write_csv(folder / "own.csv", [*rows, ("video", str(sample_video), "hopper", "train", "happiness")])
    (tmp_path / "recipe.toml").write_text(RECIPE)
    out = tmp_path / "run"
    command = ["train", "emotion-cnn", "--recipe", str(tmp_path / "recipe.toml"), "--manifest", str(manifest)]
    assert main([*command, "--out", str(out), "--device", "cpu", "--quiet"]) == 0
    network = load_backbone("plain", weights=out / "best.safetensors")
    assert network.metadata["training"]["best"]["accuracy"] == 1.0
    faces, label = read_own_faces(manifest, "validation", spec=SPEC, border=0, frames_per_clip=2)
    assert faces.shape == (4, 1, 48, 48)
    assert np.array_equal(network.embed(faces.float() / 255)[1].argmax(1), label)


def test_pictures_come_with_their_border_and_videos_by_frames(folder: Path, sample_video: Path) -> None:
    manifest = write_csv(
        folder / "two.csv",
        [("a", "1.png", "x", "train", "fear"), ("b", str(sample_video), "y", "train", "anger")],
    )
    faces, label = read_own_faces(manifest, "train", spec=SPEC, border=4, frames_per_clip=5)
    assert faces.shape[1:] == (1, 56, 56)
    assert faces.dtype == torch.uint8
    assert label[0] == 6
    assert 3 <= (label == 4).sum() <= 5  # a rocket fills an eighth of the video


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a", "none.png", "x", "train", "fear"), "row 1 .* does not exist"),
        (("a", "1.png", "x", "train", "rage"), "row 1 .* unknown label 'rage'"),
        (("a", "broken.png", "x", "train", "fear"), r"bad\.csv: row 1 \(a\): .*broken\.png.*cannot be decoded"),
        (("a", "1.png", "x", "test", "fear"), "no row of the split train"),
        (("a", "black.png", "x", "train", "fear"), "no face was found in any of the 1 rows"),
    ],
)
def test_bad_data_is_named(folder: Path, row: tuple[str, ...], message: str) -> None:
    (folder / "broken.png").write_bytes(b"no picture")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(folder / "black.png")
    manifest = write_csv(folder / "bad.csv", [row])
    with pytest.raises(DataError, match=message):
        read_own_faces(manifest, "train", spec=SPEC, border=4, frames_per_clip=2)


def test_a_subject_in_two_splits_is_named(folder: Path) -> None:
    manifest = write_csv(
        folder / "twice.csv", [("a", "0.png", "x", "train", "fear"), ("b", "1.png", "x", "validation", "fear")]
    )
    with pytest.raises(DataError, match=r"row 2 .*subject x is in validation, but in train in row 1"):
        read_own_faces(manifest, "train", spec=SPEC, border=4, frames_per_clip=2)


def test_training_goes_on_from_the_embedded_weights(tmp_path: Path) -> None:
    file = pipelines_folder() / "train" / "emotion_cnn_fer2013_labels.toml"
    recipe = read_toml(file)
    data = write_fer_files(tmp_path, per_class=2)
    tensors, metadata = load_tensors(locate("backbone", "compact")[0])
    for options in (recipe["model"]["options"], {}):  # none: those of the weights
        recipe["model"]["options"] = options
        task = EmotionTask(parse_section(EmotionRecipe, recipe, source=str(file)), data)
        ours = task.build_model().state_dict()
        assert all(torch.equal(ours[name].float(), tensor.float()) for name, tensor in tensors.items())
        assert task.metadata()["options"] == metadata["options"]
        assert task.validation.label.max() < 7  # FER2013 has no contempt


def test_each_fold_has_a_network_of_its_own(folder: Path, tmp_path: Path) -> None:
    names = ("sadness", "happiness")
    rows = [(f"picture {i}", f"{i}.png", f"person {i // 2}", "train", names[i % 2]) for i in range(8)]
    manifest = write_csv(folder / "folds.csv", rows)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    out = tmp_path / "runs"
    command = ["train", "emotion-cnn", "--recipe", str(tmp_path / "recipe.toml"), "--manifest", str(manifest)]
    assert main([*command, "--folds", "4", "--out", str(out), "--device", "cpu", "--quiet"]) == 0
    figures = json.loads((out / "metrics.json").read_text())
    folds = figures["folds"]["trained"]["folds"]
    assert [fold["samples"] for fold in folds] == [2, 2, 2, 2]
    assert sorted(name for fold in folds for name in fold["subjects"]) == [f"person {i}" for i in range(4)]
    assert figures["folds"]["trained"]["mean"]["accuracy"] > 0.7  # by brightness, on people it never saw
    assert len(list(out.glob("fold?/best.safetensors"))) == 4
    for number in range(1, 5):
        table = csv.DictReader((out / f"fold{number}.csv").read_text().splitlines())
        split = {row["subject_id"]: row["split"] for row in table}
        assert sorted(split.values()) == ["test", "train", "train", "validation"]
