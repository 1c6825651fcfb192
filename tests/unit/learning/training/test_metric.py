"""Losses on the embedding against plain loops, and as a part of the training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.fer_files import write_fer_files
from pydantic import ValidationError

from vidfer.learning.training.emotion_cnn import EmotionRecipe, EmotionTask
from vidfer.learning.training.metric import LearningConfig, metric_loss, supervised_contrastive_loss, triplet_loss

MARGIN, TEMPERATURE = 0.2, 0.1


def loop_triplet(embedding: np.ndarray, label: np.ndarray) -> float:
    x = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    losses = []
    for a in range(len(x)):
        for p in range(len(x)):
            others = [n for n in range(len(x)) if label[n] != label[a]]
            if a == p or label[p] != label[a] or not others:
                continue
            near = ((x[a] - x[p]) ** 2).sum()
            distances = [((x[a] - x[n]) ** 2).sum() for n in others]
            farther = [d for d in distances if d > near]
            losses.append(max(0.0, near - (min(farther) if farther else max(distances)) + MARGIN))
    return float(np.mean(losses)) if losses else 0.0


def loop_contrastive(embedding: np.ndarray, label: np.ndarray) -> float:
    x = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    losses = []
    for i in range(len(x)):
        others = [k for k in range(len(x)) if k != i]
        positives = [k for k in others if label[k] == label[i]]
        if positives:
            whole = np.log(sum(np.exp(x[i] @ x[k] / TEMPERATURE) for k in others))
            losses.append(-np.mean([x[i] @ x[k] / TEMPERATURE - whole for k in positives]))
    return float(np.mean(losses)) if losses else 0.0


@pytest.mark.parametrize("labels", [[0, 1, 0, 2, 1, 0, 2, 1, 3], [0] * 9, list(range(9)), [0] * 8 + [1]])
def test_both_are_what_a_plain_loop_gives(labels: list[int]) -> None:
    for seed in range(4):
        embedding = np.random.default_rng(seed).normal(size=(9, 5))
        given, label = torch.from_numpy(embedding).requires_grad_(), torch.tensor(labels)
        for loss, expected in (
            (triplet_loss(given, label, margin=MARGIN), loop_triplet(embedding, np.array(labels))),
            (
                supervised_contrastive_loss(given, label, temperature=TEMPERATURE),
                loop_contrastive(embedding, np.array(labels)),
            ),
        ):
            assert float(loss.detach()) == pytest.approx(expected, abs=1e-5)
            loss.backward()  # type: ignore[no-untyped-call]
            assert given.grad is not None
            assert torch.isfinite(given.grad).all()


def test_where_every_negative_is_nearer_than_the_positive_the_farthest_is_taken() -> None:
    angles = torch.tensor([0.0, 3.0, 0.5, 1.0])  # the pair (0, 1) lies farthest apart
    points = torch.stack([angles.cos(), angles.sin()], 1)
    label = torch.tensor([0, 0, 1, 2])
    near, farthest = (float((points[0] - points[k]).square().sum()) for k in (1, 3))
    other = float((points[1] - points[2]).square().sum())  # the farthest from 1
    expected = (near - farthest + MARGIN + near - other + MARGIN) / 2
    assert float(triplet_loss(points, label, margin=MARGIN)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["triplet", "supcon"])
def test_learning_by_it_brings_faces_of_one_emotion_together(name: str) -> None:
    torch.manual_seed(0)
    embedding, label = torch.nn.Parameter(torch.randn(24, 6)), torch.arange(24) % 3
    config = LearningConfig(metric=name, weight=1.0)  # type: ignore[arg-type]
    optimiser = torch.optim.Adam([embedding], lr=0.05)

    def gap() -> float:
        direction = torch.nn.functional.normalize(embedding.detach(), dim=1)
        cosine, same = direction @ direction.T, label[:, None] == label
        return float(cosine[same].mean() - cosine[~same].mean())

    before = gap()
    for _ in range(60):
        optimiser.zero_grad()
        metric_loss(config, embedding, label).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert before < 0.2
    assert gap() > 0.9


def test_the_training_adds_it_to_the_cross_entropy(tmp_path: Path) -> None:
    data = write_fer_files(tmp_path, per_class=2)
    loss = {}
    for metric in ("none", "triplet", "supcon"):
        recipe = EmotionRecipe.model_validate(
            {
                "model": {"options": {"size": 48, "widths": [8, 8, 8, 16], "depths": [1, 1, 1, 1]}},
                "learning": {"metric": metric, "weight": 0.5},
                "loop": {"epochs": 1, "batch_size": 12, "learning_rate": 0.001},
            }
        )
        task = EmotionTask(recipe, data)
        torch.manual_seed(1)
        model = task.build_model().eval()
        batch = task.batch(0, torch.Generator().manual_seed(0), torch.device("cpu"))
        total, figures = task.loss(model, batch)
        assert ("metric_loss" in figures) == (metric != "none")
        loss[metric] = float(total.detach()) - figures.get("metric_loss", 0.0)
        if metric != "none":
            assert figures["metric_loss"] > 0
    assert loss["triplet"] == pytest.approx(loss["none"], abs=1e-5)
    assert loss["supcon"] == pytest.approx(loss["none"], abs=1e-5)


def test_it_goes_without_mixup() -> None:
    loop = {"epochs": 1, "batch_size": 8, "learning_rate": 0.001}
    with pytest.raises(ValidationError, match="set \\[data\\] mixup to 0"):
        EmotionRecipe.model_validate({"data": {"mixup": 0.2}, "learning": {"metric": "triplet"}, "loop": loop})
