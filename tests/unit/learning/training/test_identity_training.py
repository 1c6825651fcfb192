"""Training of the identity network on made-up people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vidfer.config import parse_section, pipelines_folder, read_toml
from vidfer.errors import ConfigError, WeightsError
from vidfer.identity.embedded import EmbeddedIdentity
from vidfer.learning.datasets.named_faces import NOBODY, NamedFaces
from vidfer.learning.evaluation.pairs import all_pairs
from vidfer.learning.training.identity import IdentityRecipe, IdentityTask, people_of
from vidfer.learning.training.loop import train
from vidfer.weights import load_tensors

CPU = torch.device("cpu")


def recipe(**loop: object) -> IdentityRecipe:
    settings = {"epochs": 16, "batch_size": 24, "learning_rate": 1e-2, "precision": "float32", "average_decay": 0.9}
    network = {"size": 32, "widths": [8, 8, 16, 16], "blocks": [0, 0, 0], "vector_size": 16}
    data = {"border": 2, "side": 32}
    teaching = {"people_scale": 8.0}
    values = {"loop": settings | loop, "network": network, "data": data, "teaching": teaching}
    return parse_section(IdentityRecipe, values, source="test")


def made_up(pictures_each: int, seed: int, *, border: int = 0) -> NamedFaces:
    """Return pictures of twelve people, each of whom has a pattern of blocks, in another light each time."""
    people = np.random.default_rng(7)
    patterns = people.uniform(40, 210, (12, 4, 4, 3))
    vectors = people.normal(size=(12, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(12), pictures_each)
    large = patterns[person].repeat(9, 1).repeat(9, 2) + rng.normal(0, 12, (len(person), 36, 36, 3))
    light = rng.uniform(0.8, 1.2, (len(person), 1, 1, 1))
    inner = slice(2 - border, 34 + border)
    return NamedFaces(
        pictures=(large * light)[:, inner, inner].clip(0, 255).astype(np.uint8),
        vectors=vectors[person],
        person=person.astype(np.int64),
        width=np.full(len(person), 100, np.float32),
        yaw_share=np.zeros(len(person), np.float32),
    )


def test_it_learns_people_that_it_never_saw_in_that_light_and_is_used_as_it_was_trained(tmp_path: Path) -> None:
    task = IdentityTask(recipe(), made_up(20, 0, border=2), made_up(4, 1))
    best = train(task, task.recipe.loop, tmp_path, device=CPU)
    assert best["pairs"] > 0.95
    assert best["same_at_1"] > 0.8
    in_use = EmbeddedIdentity(weights=str(tmp_path / "last.safetensors"))
    vectors = in_use.embed(task.held_back.float() / 255)
    assert vectors.shape == (48, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert all_pairs(vectors, task.held_back_person).accuracy()[0] == pytest.approx(best["pairs"], abs=1e-3)


def test_further_faces_are_learnt_from_and_are_nobody_to_compare_with() -> None:
    known = made_up(6, 0, border=2)
    task = IdentityTask(recipe(), known, made_up(2, 1), further=made_up(3, 2, border=2))
    assert len(task.pictures) == len(task.teacher) == len(known) + 36
    assert len(task.people) == 12
    shown = task.batch(0, torch.Generator().manual_seed(0), CPU)
    assert int(shown[1].max()) >= len(known)  # further faces are in the batch
    loss, _ = task.loss(task.build_model(), shown)
    assert torch.isfinite(loss)


def test_a_stopped_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    def ended(folder: Path, stop_after: int) -> dict[str, torch.Tensor]:
        task = IdentityTask(recipe(epochs=3, checkpoint_seconds=1e-9), made_up(6, 0, border=2), made_up(2, 1))

        def stop(done: int, total: int, figures: dict[str, float]) -> None:
            if done == stop_after:
                raise KeyboardInterrupt

        if stop_after:
            with pytest.raises(KeyboardInterrupt):
                train(task, task.recipe.loop, folder, device=CPU, progress=stop)
        train(task, task.recipe.loop, folder, device=CPU)
        return load_tensors(folder / "last.safetensors")[0]

    whole, stopped = ended(tmp_path / "a", 0), ended(tmp_path / "b", 5)
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_a_person_is_the_mean_of_their_pictures_and_a_face_without_name_is_one() -> None:
    vectors = np.eye(4, dtype=np.float32)
    faces = NamedFaces(
        pictures=np.zeros((4, 36, 36, 3), np.uint8),
        vectors=vectors,
        person=np.array([0, NOBODY, 0, NOBODY]),
        width=np.ones(4, np.float32),
        yaw_share=np.zeros(4, np.float32),
    )
    place, people = people_of(faces)
    assert place.tolist() == [0, 1, 0, 2]
    np.testing.assert_allclose(people[0], [0.5**0.5, 0, 0.5**0.5, 0], atol=1e-6)
    np.testing.assert_allclose(people[1:], vectors[[1, 3]])


def test_pairs_are_decided_by_one_threshold() -> None:
    vectors = np.array([[1, 0], [1, 0], [0.8, 0.6], [0, 1]], np.float32)
    pairs = all_pairs(vectors, np.array([0, 0, 1, 1]))
    assert pairs.same.tolist() == [True, False, False, False, False, True]
    # At 1.0 one of two same pairs is found and no other passes; at 0.6 both are, and two of four others pass.
    assert pairs.accuracy() == (0.75, 1.0)
    assert pairs.found_at(0.01)[0] == 0.5


def test_the_recipe_that_comes_with_vidfer_is_valid_and_a_misspelt_key_is_named() -> None:
    path = pipelines_folder() / "train" / "identity.toml"
    assert parse_section(IdentityRecipe, read_toml(path), source=str(path)).network.size == 48
    with pytest.raises(ConfigError, match=r"teaching.*name_shrae.*name_share"):
        parse_section(IdentityRecipe, {"loop": {}, "teaching": {"name_shrae": 1}}, source="r.toml")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    from vidfer.weights import save_tensors

    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.zeros(1)}, {"model": "quality"})
    with pytest.raises(WeightsError, match="vidfer train identity, got quality"):
        EmbeddedIdentity(weights=str(path))
