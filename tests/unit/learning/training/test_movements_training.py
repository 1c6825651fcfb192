"""Training of the movements network on made-up faces whose bright patches are their movements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vidfer.config import parse_section, pipelines_folder, read_toml
from vidfer.learning.datasets.movement_faces import (
    BORDER,
    CLOSED,
    OUTLINES,
    OUTLINES_MIRRORED,
    SIDE,
    TILE,
    MovementFaces,
    iris_offsets,
    movement_values,
    outlines,
)
from vidfer.learning.training.augment import AugmentConfig
from vidfer.learning.training.loop import train
from vidfer.learning.training.movements import MovementsRecipe, MovementsTask, correlation, predict, views
from vidfer.movements import MIRRORED, MOVEMENTS
from vidfer.movements.network import build_network
from vidfer.weights import load_tensors, locate

CPU = torch.device("cpu")
EYES = np.array([[0.311, 0.396], [0.689, 0.396]], np.float32)


def faces(count: int, *, seed: int) -> MovementFaces:
    """Return faces with bright eyes and mouths, as high as they are open, and dark irises."""
    random = np.random.default_rng(seed)
    values = np.full((count, len(MOVEMENTS)), 0.2, np.float32)
    values[:, :2] = random.uniform(0, 1, (count, 2))
    values[:, MOVEMENTS.index("mouth_open")] = random.uniform(0, 1, count)
    iris = random.uniform(-0.04, 0.04, (count, 2, 2)).astype(np.float32)
    tiles = random.integers(90, 110, (count, TILE, TILE)).astype(np.uint8)
    for row in range(count):
        for eye in range(2):  # the right one first; values have the left one first
            x, y = (EYES[eye] * SIDE + BORDER).astype(int)
            high = round(1 + 11 * float(values[row, 1 - eye]))
            tiles[row, y - high : y + high, x - 12 : x + 12] = 220
            x, y = ((EYES[eye] + iris[row, eye]) * SIDE + BORDER).round().astype(int)
            tiles[row, y - 3 : y + 3, x - 3 : x + 3] = 0
        high = round(1 + 12 * float(values[row, MOVEMENTS.index("mouth_open")]))
        tiles[row, 118 - high : 118 + high, 60:108] = 220
    return MovementFaces(
        tiles=tiles,
        eyes=np.tile(EYES, (count, 1, 1)),
        values=values,
        iris=iris,
        outlines=random.normal(0, 0.1, (count, len(OUTLINES), 2)).astype(np.float32),
        size_px=np.full(count, 120, np.float32),
        pose=np.full((count, 3), np.nan, np.float32),
        row=np.arange(count),
        source=np.full(count, "lfw"),
    )


def recipe(**loop: object) -> MovementsRecipe:
    raw = read_toml(pipelines_folder() / "train" / "movements.toml")
    raw["network"] |= {"face_widths": [4, 8, 8, 8], "eye_widths": [8, 8, 16], "hidden": 24}
    raw["data"]["shares"] = [1.0, 0.0, 0.0]
    raw["augment"] = {"flip": True, "shift": 0.01}
    raw["loop"] |= {
        "epochs": 16,
        "batch_size": 32,
        "validate_every": 16,
        "average_decay": 0.9,
        "learning_rate": 8e-3,
        **loop,
    }
    return parse_section(MovementsRecipe, raw)


def test_it_learns_what_is_to_be_seen_and_writes_weights_that_can_be_used(tmp_path: Path) -> None:
    settings = recipe()
    task = MovementsTask(settings, faces(256, seed=0), faces(64, seed=1))
    train(task, settings.loop, tmp_path, device=CPU)
    tensors, metadata = load_tensors(tmp_path / "last.safetensors")
    network = build_network(tensors, metadata, source=tmp_path)
    seen = faces(64, seed=1)
    with torch.inference_mode():
        values, iris, error = predict(network, seen, settings, CPU)
    for name in ("eye_open_left", "eye_open_right"):
        assert correlation(values[:, MOVEMENTS.index(name)], seen.values[:, MOVEMENTS.index(name)]) > 0.8
    assert correlation(iris[:, 0, 0], seen.iris[:, 0, 0]) > 0.8
    assert correlation(iris[:, 1, 0], seen.iris[:, 1, 0]) > 0.8
    assert (error > 0).all()


def test_a_training_that_was_stopped_ends_with_the_same_weights(tmp_path: Path) -> None:
    data = faces(64, seed=0), faces(16, seed=1)
    settings = recipe(epochs=2, checkpoint_seconds=1e-6)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(MovementsTask(settings, *data), settings.loop, whole, device=CPU)

    class Stop(Exception):
        pass

    def stop(done: int, total: int, figures: dict[str, float]) -> None:
        if done == 3:
            raise Stop

    with pytest.raises(Stop):
        train(MovementsTask(settings, *data), settings.loop, stopped, device=CPU, progress=stop)
    train(MovementsTask(settings, *data), settings.loop, stopped, device=CPU)
    assert (whole / "last.safetensors").read_bytes() == (stopped / "last.safetensors").read_bytes()


def test_views_show_the_same_face_whichever_way_it_is_turned() -> None:
    seen = faces(8, seed=2)
    settings = recipe().model_copy(update={"augment": AugmentConfig()})
    plain = views(seen, settings, torch.Generator())
    mirrored = MovementFaces(
        **{
            **vars(seen),
            "tiles": seen.tiles[:, :, ::-1].copy(),
            "eyes": (seen.eyes[:, ::-1] * [-1, 1] + [1, 0]).astype(np.float32),
        }
    )
    other = views(mirrored, settings, torch.Generator())
    torch.testing.assert_close(other.eyes, plain.eyes.flip(1), atol=0.02, rtol=0)
    torch.testing.assert_close(other.faces, plain.faces.flip(3), atol=0.02, rtol=0)
    flipped = recipe().model_copy(update={"augment": AugmentConfig(flip=True)})
    some = views(seen, flipped, torch.Generator().manual_seed(0))
    swapped = torch.from_numpy(seen.values)[:, list(MIRRORED)]
    turned = [row for row in range(8) if torch.equal(some.values[row], swapped[row])]
    assert 0 < len(turned) < 8
    mirror = torch.tensor([-1.0, 1.0])
    for row in turned:
        torch.testing.assert_close(some.outlines[row], plain.outlines[row][list(OUTLINES_MIRRORED)] * mirror)
        torch.testing.assert_close(some.eyes[row], plain.eyes[row].flip(0), atol=0.02, rtol=0)
        torch.testing.assert_close(some.iris[row], plain.iris[row].flip(0) * mirror)


def test_outlines_are_turned_as_the_face_is_and_trade_places_in_the_mirror() -> None:
    random = np.random.default_rng(0)
    points = random.uniform(0, 200, (1, 478, 2)).astype(np.float32)
    turn = np.array([[[0.0, 0.01, 0.3], [-0.01, 0.0, 0.7]]], np.float32)  # a quarter, 100 px a side
    found = outlines(points, {i: i for i in range(478)}, turn)[0]
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-5)
    corners = points[0, 291] - points[0, 61]  # of the mouth
    place = {point: i for i, point in enumerate(OUTLINES)}
    np.testing.assert_allclose(found[place[291]] - found[place[61]], [corners[1] / 100, -corners[0] / 100], atol=1e-5)
    opposite = {(33, 263), (133, 362), (61, 291), (0, 0), (17, 17), (70, 300), (40, 270), (88, 318)}
    for one, other in opposite:
        assert OUTLINES_MIRRORED[place[one]] == place[other]
    assert [OUTLINES_MIRRORED[i] for i in OUTLINES_MIRRORED] == list(range(len(OUTLINES)))


def test_a_training_goes_on_from_weights(tmp_path: Path) -> None:
    settings, data = recipe(epochs=1), (faces(64, seed=0), faces(16, seed=1))
    train(MovementsTask(settings, *data), settings.loop, tmp_path, device=CPU)
    start = tmp_path / "last.safetensors"
    further = settings.model_copy(update={"network": settings.network.model_copy(update={"start": str(start)})})
    begun = MovementsTask(further, *data).build_model().deployed.state_dict()  # type: ignore[union-attr]
    before, _ = load_tensors(start)
    for name, value in before.items():
        torch.testing.assert_close(begun[name].float(), value.float())


def test_a_poorer_picture_keeps_its_size_and_loses_detail() -> None:
    seen = faces(4, seed=3)
    settings = recipe().model_copy(update={"augment": AugmentConfig()})
    full, small = (views(seen, settings, torch.Generator(), side=side) for side in (SIDE, 16))
    assert small.eyes.shape == full.eyes.shape
    assert small.eyes.std() < 0.8 * full.eyes.std()


def test_the_teachers_scores_become_movements() -> None:
    names = ["eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight", "jawOpen", "mouthPucker"]
    names += [f"{name}{side}" for name in ("mouthPress", "mouthFrown", "mouthUpperUp") for side in ("Left", "Right")]
    names += ["browInnerUp", *(f"{name}{side}" for name in ("browOuterUp", "browDown") for side in ("Left", "Right"))]
    names += [f"{name}{side}" for name in ("eyeWide", "eyeSquint") for side in ("Left", "Right")]
    scores = np.zeros((1, len(names)))
    scores[0, names.index("eyeBlinkLeft")] = CLOSED
    scores[0, names.index("mouthSmileRight")] = 0.9
    scores[0, names.index("browDownLeft")] = 0.6
    found = dict(zip(MOVEMENTS, movement_values(scores, names)[0].tolist(), strict=True))
    assert found["eye_open_left"] == 0
    assert found["eye_open_right"] == 1
    assert found["smile_right"] == pytest.approx(0.9)
    assert found["smile_left"] == 0
    assert found["brow_lower"] == pytest.approx(0.3)


def test_irises_are_told_from_the_middle_of_the_eye_in_the_faces_own_measure() -> None:
    points = np.zeros((1, 478, 2), np.float32)
    points[0, [33, 133]], points[0, [362, 263]] = [[10, 50], [30, 50]], [[60, 50], [80, 50]]
    points[0, 468], points[0, 473] = [22, 49], [73, 50]
    transform = np.array([[[0.01, 0, 0], [0, 0.01, 0]]], np.float32)
    found = iris_offsets(points, {i: i for i in range(478)}, transform)
    np.testing.assert_allclose(found[0], [[0.02, -0.01], [0.03, 0]], atol=1e-6)


def test_both_recipes_are_of_the_network_inside_the_package() -> None:
    _, metadata = load_tensors(locate("movements", "embedded", "")[0])
    first, more = (
        parse_section(MovementsRecipe, read_toml(pipelines_folder() / "train" / name))
        for name in ("movements.toml", "movements_more.toml")
    )
    assert first.network.options() == more.network.options() == metadata["network"]
    assert (first.data.clips, first.data.held_back) == (more.data.clips, more.data.held_back)
    assert not set(first.data.clips) & set(first.data.held_back)
