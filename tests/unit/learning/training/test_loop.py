"""The shared training loop: the same weights whether or not it was stopped on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidfer.errors import DataError
from vidfer.learning.training.loop import LoopConfig, train
from vidfer.weights import load_tensors

CPU = torch.device("cpu")
LOOP = LoopConfig(epochs=3, batch_size=8, learning_rate=0.01, precision="float32", checkpoint_seconds=1e-9)


class Stopped(Exception):
    """Stands for a kill right after a checkpoint."""


class Line:
    """Learns y = 3x - 1 from noisy points, with dropout so that all random state counts."""

    monitor = "closeness"

    def __init__(self, *, poison_at: int | None = None) -> None:
        self.poison_at = poison_at

    def build_model(self) -> nn.Module:
        return nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Dropout(0.2), nn.BatchNorm1d(16), nn.Linear(16, 1))

    def steps_per_epoch(self) -> int:
        return 10

    def batch(self, step: int, generator: torch.Generator, device: torch.device) -> Any:
        x = torch.rand(LOOP.batch_size, 1, generator=generator)
        y = 3 * x - 1 + 0.05 * torch.randn(x.shape, generator=generator)
        return (x, y * torch.nan) if step == self.poison_at else (x, y)

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
        loss = (model(batch[0]) - batch[1]).square().mean()
        return loss, {"error": float(loss.detach())}

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        x = torch.linspace(0, 1, 20)[:, None]
        return {"closeness": -float((model(x) - (3 * x - 1)).square().mean())}

    def metadata(self) -> dict[str, Any]:
        return {"network": {"name": "line"}}


def test_a_stopped_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    straight = train(Line(), LOOP, tmp_path / "straight", device=CPU)

    def stop(done: int, total: int, figures: dict[str, float]) -> None:
        if done in stops:
            stops.discard(done)
            raise Stopped

    stops = {4, 13, 27}
    for _ in range(3):
        with pytest.raises(Stopped):
            train(Line(), LOOP, tmp_path / "stopped", device=CPU, progress=stop)
    assert train(Line(), LOOP, tmp_path / "stopped", device=CPU, progress=stop) == straight
    first, _ = load_tensors(tmp_path / "straight" / "best.safetensors")
    second, metadata = load_tensors(tmp_path / "stopped" / "best.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert metadata["network"] == {"name": "line"}
    assert metadata["training"]["best"] == straight
    assert (tmp_path / "straight" / "log.csv").read_text() == (tmp_path / "stopped" / "log.csv").read_text()


def test_nan_loss_names_the_step(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the loss is nan at step 5"):
        train(Line(poison_at=5), LOOP, tmp_path, device=CPU)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    train(Line(), LOOP, tmp_path, device=CPU, recipe={"epochs": 3})
    with pytest.raises(DataError, match="made by another recipe"):
        train(Line(), LOOP, tmp_path, device=CPU, recipe={"epochs": 4})


def test_patience_ends_a_run_that_no_longer_improves(tmp_path: Path) -> None:
    hopeless = LOOP.model_copy(update={"epochs": 50, "learning_rate": 1e-9, "patience": 2})
    train(Line(), hopeless, tmp_path, device=CPU)
    assert len((tmp_path / "log.csv").read_text().splitlines()) - 1 < 50


@pytest.mark.parametrize(("schedule", "last_to_first"), [("constant", 1.0), ("cosine", 0.01)])
def test_the_learning_rate_falls_or_stays(tmp_path: Path, schedule: str, last_to_first: float) -> None:
    rates: list[float] = []
    config = LOOP.model_copy(update={"schedule": schedule, "warmup_epochs": 0.0})
    train(Line(), config, tmp_path, device=CPU, progress=lambda *step: rates.append(step[2]["learning_rate"]))
    assert len(rates) == 30
    assert rates[-1] / rates[0] == pytest.approx(last_to_first, abs=0.02)
