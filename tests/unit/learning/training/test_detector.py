"""Training of the face detector: pictures, targets, loss, figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.scene_files import write_scene_files

from vidfer.config import parse_section, pipelines_folder, read_toml
from vidfer.errors import ConfigError, DataError, WeightsError
from vidfer.faces.detector_network import cells
from vidfer.learning.datasets.face_scenes import Scene, is_held_back, read_scenes
from vidfer.learning.training.detector import DetectorRecipe, TargetConfig, build_task, score_bias, to_batch
from vidfer.learning.training.loop import LoopConfig, train
from vidfer.learning.training.mosaics import Canvas, MosaicConfig, MosaicMaker
from vidfer.weights import assets_folder, load_tensors

CPU = torch.device("cpu")
SMALL = {
    "network": {"stem": [8, 8], "widths": [16, 16, 16], "blocks": [1, 1, 1], "neck": 16},
    "mosaic": {"sizes": [96], "size_chances": [1.0]},
    "loop": {"epochs": 1, "batch_size": 4, "learning_rate": 0.003},
    "steps_per_epoch": 3,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_scene_files(tmp_path_factory.mktemp("scenes"))


def canvas_with(xyxy, valid, size=128):
    boxes = np.array(xyxy, np.float32).reshape(-1, 4)
    points = np.repeat(((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None], 5, axis=1)
    pixels = np.zeros((size, size, 3), np.uint8)
    return Canvas(pixels=pixels, xyxy=boxes, points5=points, valid=np.array(valid, bool))


def test_splits_do_not_share_pictures(folder):
    train_names = {scene.name for scene in read_scenes(folder, "train")}
    val_names = {scene.name for scene in read_scenes(folder, "val")}
    assert not train_names & val_names
    assert len(train_names | val_names) == 42
    assert {name for name in val_names if name.startswith("empty")} == {
        f"empty{i}" for i in range(30) if is_held_back(f"empty{i}")
    }


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"faces_in_scenes\.h5"):
        read_scenes(tmp_path, "train")


def test_misspelt_key_of_a_recipe_is_named(folder):
    with pytest.raises(ConfigError, match="learning_rate"):
        build_task({"loop": {"epochs": 1, "batch_size": 4, "learning_rat": 0.1}}, folder)


@pytest.mark.parametrize("file", sorted((pipelines_folder() / "train").glob("detector*.toml")), ids=lambda p: p.stem)
def test_own_recipes_are_valid(file):
    assert parse_section(DetectorRecipe, read_toml(file), source=str(file)).loop.batch_size > 0


def test_boxes_follow_the_picture_through_every_change(folder):
    scenes = [scene for scene in read_scenes(folder, "train") if scene.source != "no_faces"]
    plain = MosaicConfig(
        sizes=(128,), size_chances=(1.0,), empty=0.0, light=0.0, dark=0.0, gray=0.0, occlude=0.0, blur=0.0, rotate=0.5,
        noise=0.0, compress=0.0, tiles=(1, 2), tile_chances=(0.5, 0.5), flat=1.0, aim=1.0,
    )  # fmt: skip
    scenes += [Scene(**{**vars(scenes[0]), "source": source, "score": np.zeros(0)}) for source in ("no_faces",)]
    maker = MosaicMaker(scenes, plain)
    canvases = maker.canvases(40, np.random.default_rng(5))
    faces = 0
    for canvas in canvases:
        for box, points in zip(canvas.xyxy[canvas.valid], canvas.points5[canvas.valid], strict=True):
            middle = ((box[:2] + box[2:]) / 2).astype(int)
            if (middle < 3).any() or (middle > 124).any():
                continue
            assert canvas.pixels[middle[1], middle[0]].min() > 215  # the white square is where the box says
            assert np.abs(points[2] - (box[:2] + box[2:]) / 2).max() < 1.0  # the nose is its middle
            assert points[0, 0] < points[1, 0]  # the person's right eye stays on the left, mirrored or not
            faces += 1
    assert faces > 20


def test_small_faces_are_drawn_at_all_sizes_up_to_the_limit_of_enlargement(folder):
    maker = MosaicMaker(read_scenes(folder, "train"), MosaicConfig(max_enlarged_small=2.0, least_filled=0.1))
    face = np.array([100, 100, 120, 120], np.float32)
    rng = np.random.default_rng(0)
    scales = np.array([maker._scale(np.zeros((224, 224, 3), np.uint8), face, 320, rng) for _ in range(300)])
    assert scales.max() <= 2.0 + 1e-6
    assert (scales > 1.95).mean() < 0.1  # not piled up at the limit
    assert (scales < 1.0).mean() > 0.3


def test_batches_are_determined_by_the_generator(folder):
    task = build_task(SMALL, folder)
    first, again, other = (task.batch(0, torch.Generator().manual_seed(seed), CPU) for seed in (3, 3, 4))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.score, again.score)
    assert not torch.equal(first.images, other.images)


@pytest.mark.parametrize("size", [10, 20, 36, 60, 100, 300])
def test_a_face_of_any_size_has_a_cell_that_learns_it(size):
    for shift in np.linspace(0, 31, 7):
        low = 160 + shift - size / 2
        batch = to_batch([canvas_with([[low, low, low + size, low + size]], [True], 320)], TargetConfig(), CPU)
        assert len(batch.cell) > 0
        assert torch.equal((batch.score[0] == 1).nonzero()[:, 0], batch.cell.sort().values)


def test_doubtful_faces_are_neither_face_nor_background():
    batch = to_batch([canvas_with([[30, 30, 90, 90]], [False])], TargetConfig(), CPU)
    centres, _ = cells(128, 128)
    inside = ((centres > 30) & (centres < 90)).all(dim=1)
    assert (batch.score[0, inside] == -1).all()
    assert len(batch.row) == 0
    assert (batch.score[0, 0] == 0).all()


def test_a_few_steps_lower_the_loss(folder):
    torch.manual_seed(0)
    task = build_task(SMALL, folder)
    model = task.build_model().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    batch = task.batch(0, torch.Generator().manual_seed(1), CPU)
    losses = []
    for _ in range(12):
        loss, _figures = task.loss(model, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_the_weights_that_training_writes_can_be_used(folder, tmp_path):
    from vidfer.faces.detectors import DETECTORS

    task = build_task(SMALL, folder)
    figures = train(task, LoopConfig(**SMALL["loop"]), tmp_path, device=CPU, recipe=SMALL)
    assert set(figures) >= {"average_precision", "recall", "precision", "empty_fired"}
    detector = DETECTORS.get("embedded")(weights=str(tmp_path / "best.safetensors"), min_score=0.0)
    assert len(detector.detect(torch.zeros((1, 64, 64, 3), dtype=torch.uint8))) > 0


def test_several_runs_are_averaged_and_measured_without_a_step(folder, tmp_path):
    for seed in (1, 2):
        recipe = {**SMALL, "loop": {**SMALL["loop"], "seed": seed}}
        train(build_task(recipe, folder), LoopConfig(**recipe["loop"]), tmp_path / f"run{seed}", device=CPU)
    runs = [tmp_path / f"run{seed}" / "last.safetensors" for seed in (1, 2)]
    recipe = {**SMALL, "start_from": list(map(str, runs)), "loop": {**SMALL["loop"], "epochs": 0}}
    figures = train(build_task(recipe, folder), LoopConfig(**recipe["loop"]), tmp_path / "mean", device=CPU)
    assert set(figures) >= {"average_precision", "working_point"}
    (first, _), (second, _), (mean, _) = map(load_tensors, [*runs, tmp_path / "mean" / "best.safetensors"])
    assert not torch.equal(first["heads.0.predict.weight"], second["heads.0.predict.weight"])
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, (first[name] + second[name]) / 2, rtol=1e-3, atol=1e-4), name  # float16
    other = {**recipe, "start_from": [str(runs[0]), str(assets_folder() / "detector.safetensors")]}
    with pytest.raises(WeightsError, match="expected weights of the same network"):
        build_task(other, folder).build_model()


def test_the_working_point_becomes_one_half():
    for point in (0.2, 0.5, 0.61):
        logit = np.log(point / (1 - point)) + score_bias(point)
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(0.5)
