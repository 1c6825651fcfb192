"""Training of the quality network on made-up faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from vidfer.backbones import InputSpec
from vidfer.config import parse_section, pipelines_folder, read_toml
from vidfer.errors import ConfigError, DataError
from vidfer.faces.pose import MEAN_FACE
from vidfer.faces.quality import FaceQuality
from vidfer.learning.datasets.clean_faces import PATCH_PX, CleanFaces
from vidfer.learning.training.loop import train
from vidfer.learning.training.quality import Judge, JudgedFaces, QualityRecipe, QualityTask, spoil_faces
from vidfer.weights import digests

CPU = torch.device("cpu")


class Landmarker:
    """Puts the mean face into every box."""

    score = 0.9

    def locate(self, images: torch.Tensor, image_row: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        del images, image_row
        side = (xyxy[:, 2] - xyxy[:, 0])[:, None, None]
        points = MEAN_FACE[:, :2] / 160 * side + (xyxy[:, None, :2] + xyxy[:, None, 2:]) / 2
        return points.astype(np.float32), np.full(len(xyxy), self.score, np.float32)


class Backbone:
    """Reads class 1 from bright pictures, class 0 from dark ones."""

    input_spec: ClassVar = InputSpec(size=48)

    def embed(self, faces: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        bright = faces.mean((1, 2, 3)).numpy() > 0.5
        return np.zeros((len(faces), 2), np.float16), np.eye(8, dtype=np.float32)[bright.astype(int)]


def clean_faces(count: int) -> CleanFaces:
    shade = np.linspace(60, 220, count).astype(np.uint8)
    landmarks = np.tile((MEAN_FACE[:, :2] * 0.5 + PATCH_PX / 2).astype(np.float32), (count, 1, 1))
    return CleanFaces(np.tile(shade[:, None, None], (1, PATCH_PX, PATCH_PX)), landmarks)


def judge(landmarker: Any) -> Judge:
    return Judge(landmarker, Backbone())  # type: ignore[arg-type]


def spoil(count: int, landmarker: Any) -> JudgedFaces:
    return spoil_faces(clean_faces(count), judge(landmarker), views=3, seed=0, progress=lambda done: None)


def test_what_is_learnt_is_whether_the_label_is_that_of_the_clean_picture() -> None:
    found = spoil(60, Landmarker())
    assert len(found) == 180
    clean = np.repeat((np.linspace(60, 220, 60) > 127).astype(int)[None], 3, 0).ravel()
    assert (found.label == clean).mean() > 0.95  # shades next to the limit are rounded
    read = (found.aligned.mean((1, 2)) > 127).astype(int)
    upright = found.kind != "inverted"
    assert (found.kept[upright] == (read == found.label)[upright]).mean() > 0.98
    assert set(found.kept[upright].tolist()) == {True, False}
    assert not found.kept[~upright].any()
    assert (~upright).any()


def test_faces_that_are_not_found_again_teach_nothing() -> None:
    class Blind(Landmarker):
        score = 0.1

    with pytest.raises(DataError, match="no face was found"):
        spoil(4, Blind())


def recipe(**loop: object) -> QualityRecipe:
    settings = {"epochs": 30, "batch_size": 32, "learning_rate": 1e-2, "precision": "float32", "average_decay": 0.9}
    network = {"widths": [4, 8, 8], "hidden": 8}
    return parse_section(QualityRecipe, {"loop": settings | loop, "network": network}, source="test")


def made_up(count: int, seed: int) -> JudgedFaces:
    """Return pictures of noise, kept where they are large."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(10, 80, count)
    return JudgedFaces(
        aligned=rng.integers(0, 255, (count, 48, 48)).astype(np.uint8),
        size_px=size,
        pose=np.zeros((count, 3)),
        landmark_score=np.full(count, 0.9),
        margin=np.where(size > 30, 2.0, -2.0).astype(np.float32),
        label=np.zeros(count, np.int64),
        kind=np.full(count, "size", "U16"),
    )


def test_it_learns_and_is_used_as_it_was_trained(tmp_path: Path) -> None:
    task = QualityTask(recipe(), made_up(320, 0), made_up(100, 1))
    best = train(task, task.recipe.loop, tmp_path, device=CPU, recipe={"a": 1})
    assert best["auc"] > 0.9
    held = task.validation
    pictures = torch.from_numpy(held.aligned)[:, None].float() / 255
    quality = FaceQuality(weights=str(tmp_path / "last.safetensors")).judge(
        pictures, size_px=held.size_px, pose=held.pose, landmark_score=held.landmark_score
    )
    assert quality[held.kept].mean() > quality[~held.kept].mean() + 0.2
    assert task.metadata()["fitted_to"] == {"backbone": "compact", "sha256": list(digests("backbone", "compact"))}


def test_the_recipe_that_comes_with_vidfer_is_valid_and_a_misspelt_key_is_named() -> None:
    path = pipelines_folder() / "train" / "quality.toml"
    assert parse_section(QualityRecipe, read_toml(path), source=str(path)).backbone.name == "compact"
    with pytest.raises(ConfigError, match=r"backbone.*wieghts.*weights"):
        parse_section(QualityRecipe, {"loop": {}, "backbone": {"wieghts": "x"}}, source="r.toml")
