"""Training of the landmark network on a few drawn faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vidfer.config import parse_section as parse
from vidfer.config import pipelines_folder, read_toml
from vidfer.errors import ConfigError
from vidfer.faces.align import MIRRORED_LANDMARKS, box_transforms, warp_faces
from vidfer.faces.landmarks.point_network import build_network
from vidfer.learning.datasets.face_landmarks import LandmarkFaces
from vidfer.learning.training.augment import AugmentConfig
from vidfer.learning.training.face_views import random_crops, sample_crops
from vidfer.learning.training.landmarks import LandmarkData, LandmarkRecipe, LandmarkTask, export_weights, wing
from vidfer.learning.training.loop import train
from vidfer.weights import load_tensors

CPU = torch.device("cpu")


def drawn_faces(count: int, size: int, *, seed: int) -> LandmarkFaces:
    """Return dark pictures with a bright spot at each of 68 landmarks that lie on an oval."""
    rng = np.random.default_rng(seed)
    angle = np.arange(68) * 2 * np.pi / 68
    oval = np.stack([np.cos(angle), np.sin(angle)], 1) * [0.18, 0.22]
    landmarks = (oval + rng.uniform(0.45, 0.55, (count, 1, 2))).astype(np.float32)
    patches = np.full((count, size, size), 30, np.uint8)
    for patch, points in zip(patches, landmarks, strict=True):
        x, y = (points * size).astype(int).T
        patch[y, x] = 220
    xyxy = np.concatenate([landmarks.min(1), landmarks.max(1)], 1)
    return LandmarkFaces(
        patches=patches,
        landmarks=landmarks,
        xyxy=xyxy,
        disagreement=rng.uniform(0.02, 0.04, count).astype(np.float32),
        width=np.full(count, 50.0, np.float32),
        alone=np.ones(count, bool),
    )


@pytest.fixture(scope="module")
def data() -> LandmarkData:
    noise = np.random.default_rng(0).integers(0, 255, (12, 40, 40)).astype(np.uint8)
    return LandmarkData(
        scenes=drawn_faces(24, 64, seed=1),
        fer=drawn_faces(16, 48, seed=2),
        backgrounds=noise,
        val_scenes=drawn_faces(8, 64, seed=3),
        val_backgrounds=noise[:4],
    )


def recipe(**loop: object) -> LandmarkRecipe:
    settings = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, "precision": "float32", **loop}
    network = {"size": 32, "widths": [4, 8, 8, 8], "blocks": [1, 1, 1], "neck": 16}
    return parse(LandmarkRecipe, {"loop": settings, "network": network, "augment": {"flip": True}}, source="test")


def test_the_recipe_that_comes_with_vidfer_is_valid() -> None:
    path = pipelines_folder() / "train" / "landmarks.toml"
    assert parse(LandmarkRecipe, read_toml(path), source=str(path)).network.size == 80


def test_a_misspelt_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"wing_widht.*wing_width"):
        parse(LandmarkRecipe, {"loop": {"epochs": 1}, "loss": {"wing_widht": 3}}, source="r.toml")


def test_mirroring_twice_is_the_identity_and_keeps_parts_together() -> None:
    np.testing.assert_array_equal(MIRRORED_LANDMARKS[MIRRORED_LANDMARKS], np.arange(68))
    assert MIRRORED_LANDMARKS[36] == 45  # outer eye corners
    assert MIRRORED_LANDMARKS[48] == 54  # mouth corners
    for start, stop in ((0, 17), (17, 27), (27, 31), (31, 36), (36, 48), (48, 60), (60, 68)):
        assert set(MIRRORED_LANDMARKS[start:stop]) == set(range(start, stop))


def test_crops_of_training_are_those_of_inference() -> None:
    """Without augmentation a training crop equals the crop that is cut from a video's frame."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:64, 0:64] / 64
    patch = (127 + 60 * np.sin(9 * x + 3) + 60 * np.cos(7 * y)).astype(np.uint8)
    boxes = np.stack([rng.uniform(0.2, 0.3, 2), rng.uniform(0.2, 0.3, 2), [0.7, 0.8], [0.8, 0.7]], 1)
    transforms, mirrored = random_crops(
        torch.from_numpy(boxes).float(), AugmentConfig(), torch.Generator().manual_seed(0), margin=0.2
    )
    trained = sample_crops(torch.from_numpy(np.stack([patch, patch])), transforms, size=32)
    used = warp_faces(
        torch.from_numpy(patch)[None, :, :, None],
        np.zeros(2, np.int64),
        box_transforms(boxes.astype(np.float32) * 64, margin=0.2),
        size=32,
    )
    assert not mirrored.any()
    assert float((trained - used).abs().max()) < 0.03


def test_points_stay_on_their_spots_through_every_move(data: LandmarkData) -> None:
    moves = {"flip": True, "rotation_degrees": 45.0, "scale": 0.25, "shift": 0.1, "stretch": 0.1}
    bright = LandmarkTask(recipe().model_copy(update={"augment": AugmentConfig(**moves)}), data)
    batch = bright.batch(0, torch.Generator().manual_seed(0), CPU)
    faces = len(batch.points)
    grid = (batch.points * 2 - 1)[:, :, None]  # (F, 68, 1, 2)
    at_points = torch.nn.functional.grid_sample(batch.crops[:faces], grid, align_corners=False)[:, 0, :, 0]
    inside = ((batch.points > 0.05) & (batch.points < 0.95)).all(2)
    assert float(at_points[inside].mean()) > float(batch.crops[:faces].mean()) + 0.05


def test_two_views_of_one_face_agree_when_the_points_are_right(data: LandmarkData) -> None:
    task = LandmarkTask(recipe(), data)
    batch = task.batch(3, torch.Generator().manual_seed(3), CPU)
    assert float(task._views_apart(batch.points, batch)) < 1e-3
    assert float(task._views_apart(batch.points + torch.rand(batch.points.shape) * 0.1, batch)) > 0.1


def test_a_batch_depends_on_its_generator_only(data: LandmarkData) -> None:
    task = LandmarkTask(recipe(), data)
    first, second, other = (task.batch(0, torch.Generator().manual_seed(seed), CPU) for seed in (5, 5, 6))
    assert torch.equal(first.crops, second.crops)
    assert not torch.equal(first.crops, other.crops)
    assert len(first.crops) == 16
    assert set(first.is_face.tolist()) == {0.0, 1.0}


def test_wing_loss_is_continuous_and_steep_near_zero() -> None:
    error = torch.tensor([0.0, 2.999, 3.001, 10.0])
    loss = wing(error, width=3.0, curvature=1.0)
    assert float(loss[0]) == 0
    assert float(loss[2] - loss[1]) < 0.01
    assert float(loss[3] - loss[2]) == pytest.approx(6.999, abs=1e-3)


def test_training_learns_resumes_and_saves_what_can_be_loaded(data: LandmarkData, tmp_path: Path) -> None:
    plan = recipe(epochs=12, validate_every=3)
    whole = train(LandmarkTask(plan, data), plan.loop, tmp_path / "whole", device=CPU)

    class Stop(Exception):
        pass

    def stop(step: int, total: int, figures: dict[str, float]) -> None:
        if step > total // 2:
            raise Stop

    with pytest.raises(Stop):
        train(LandmarkTask(plan, data), plan.loop, tmp_path / "killed", device=CPU, progress=stop)
    resumed = train(LandmarkTask(plan, data), plan.loop, tmp_path / "killed", device=CPU)
    assert resumed == whole
    export_weights(
        LandmarkTask(plan, data), tmp_path / "whole" / "best.safetensors", tmp_path / "landmarks.safetensors"
    )
    tensors, metadata = load_tensors(tmp_path / "landmarks.safetensors")
    network = build_network(tensors, metadata, source=tmp_path)
    assert metadata["margin"] == 0.2
    untrained = LandmarkTask(plan, data)
    before = untrained.validate(untrained.build_model().eval(), CPU)
    after = untrained.validate(network, CPU)
    assert after["nme"] < before["nme"]
