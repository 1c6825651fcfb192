"""The training loop that every network of vidfer shares: seeded, resumable at any step, averaged weights.

Everything random at a step (which rows, how they are augmented, dropout) is drawn from (seed, step), so a run that
was killed and continued ends with the same weights as one that was not.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vidfer.config import Section
from vidfer.device import bfloat16_is_fast
from vidfer.errors import DataError
from vidfer.weights import load_tensors, save_tensors


class LoopConfig(Section):
    """``[loop]`` of a training recipe."""

    epochs: int = Field(ge=0, description="0 = only measure what it starts from")
    batch_size: int = Field(ge=1)
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(gt=0.0)
    weight_decay: float = Field(0.05, ge=0.0)
    momentum: float = Field(0.9, ge=0.0, lt=1.0, description="sgd only; Nesterov's")
    warmup_epochs: float = Field(1.0, ge=0.0)
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="of the learning rate after warm-up: down to a hundredth, or as it is"
    )
    average_decay: float = Field(0.998, ge=0.0, lt=1.0, description="of the exponential moving average of weights")
    clip_norm: float = Field(5.0, gt=0.0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    patience: int = Field(0, ge=0, description="validations without a better one before stopping; 0 = never stop")
    validate_every: int = Field(1, ge=1, description="epochs")
    checkpoint_seconds: float = Field(120.0, gt=0.0)
    seed: int = 0


class TrainingTask(Protocol):
    """What is trained: data, model, loss and the figure that decides."""

    monitor: str  # key of ``validate``'s result that is to be as large as possible

    def build_model(self) -> nn.Module: ...

    def steps_per_epoch(self) -> int: ...

    def batch(self, step: int, generator: torch.Generator, device: torch.device) -> Any:
        """Return the batch of a global step, wholly determined by step and generator."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
        """Return the scalar loss and figures to log (detached numbers)."""
        ...

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]: ...

    def metadata(self) -> dict[str, Any]:
        """Return what must be known to build and use the model again (goes into the weight file's header)."""
        ...


ProgressCallback = Callable[[int, int, dict[str, float]], None]  # steps done, steps in all, latest figures


def train(
    task: TrainingTask,
    config: LoopConfig,
    folder: Path,
    *,
    device: torch.device,
    progress: ProgressCallback | None = None,
    recipe: dict[str, Any] | None = None,
) -> dict[str, float]:
    """Train until the last epoch or patience runs out; continue from ``folder/checkpoint.pt`` if it is there.

    Writes ``log.csv`` (a row per validation), ``checkpoint.pt``, ``best.safetensors`` and ``last.safetensors``
    (averaged weights of the best and of the last validation) into ``folder``. Returns the best validation's figures.

    Raises
    ------
    DataError
        If the loss becomes NaN or infinite (names the step), or the checkpoint belongs to another recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(task, config, folder, device, recipe or {})
    run.restore()
    steps_per_epoch = task.steps_per_epoch()
    total = config.epochs * steps_per_epoch
    if total == 0:
        run.validate(0.0, {})
    saved_at = time.monotonic()
    while run.step < total and not run.out_of_patience():
        figures = run.advance(total, steps_per_epoch)
        if progress is not None:
            progress(run.step, total, figures)
        if run.step % (steps_per_epoch * config.validate_every) == 0 or run.step == total:
            run.validate(run.step / steps_per_epoch, figures)
            saved_at = -math.inf
        if time.monotonic() - saved_at > config.checkpoint_seconds:
            run.save()
            saved_at = time.monotonic()
    return run.best


def take_last(folder: Path, name: str) -> dict[str, float]:
    """Write a training's last weights as ``folder/NAME.safetensors``, and return the figures of its last validation."""
    tensors, metadata = load_tensors(folder / "last.safetensors")
    save_tensors(folder / f"{name}.safetensors", tensors, metadata)
    figures: dict[str, float] = metadata["training"]["last"]
    return figures


class _Run:
    """State of one training: everything that a checkpoint holds."""

    def __init__(
        self, task: TrainingTask, config: LoopConfig, folder: Path, device: torch.device, recipe: dict[str, Any]
    ) -> None:
        torch.manual_seed(config.seed)
        self.task, self.config, self.folder, self.device, self.recipe = task, config, folder, device, recipe
        self.model = task.build_model().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(self.model, multi_avg_fn=_average(config.average_decay), use_buffers=True)
        self.optimiser = _optimiser(self.model, config)
        self.step = 0
        self.best: dict[str, float] = {}
        self.worse_validations = 0
        self.half = config.precision == "bfloat16" or (config.precision == "auto" and bfloat16_is_fast(device))

    def advance(self, total: int, steps_per_epoch: int) -> dict[str, float]:
        """Do one step and return its figures."""
        config = self.config
        torch.manual_seed(config.seed * 1_000_003 + self.step)  # dropout
        generator = torch.Generator().manual_seed(config.seed * 7_000_003 + self.step)
        warmup = config.warmup_epochs * steps_per_epoch
        rate = config.learning_rate * _schedule(self.step, total, warmup, constant=config.schedule == "constant")
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        batch = self.task.batch(self.step, generator, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss, figures = self.task.loss(self.model, batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DataError(f"the loss is {value} at step {self.step}: lower [loop] learning_rate, or check the data")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        self.optimiser.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return {"loss": value, "learning_rate": rate, **figures}

    def validate(self, epoch: float, figures: dict[str, float]) -> None:
        """Measure the averaged weights, log, and keep them if they are the best so far."""
        self.average.eval()
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            measured = self.task.validate(self.average.module, self.device)
        self._log({"epoch": epoch, "step": self.step, **figures, **measured})
        self._write("last", {"epoch": epoch, **measured})
        key = self.task.monitor
        if not self.best or measured[key] > self.best[key]:
            self.best, self.worse_validations = {"epoch": epoch, **measured}, 0
            self._write("best", self.best)
        else:
            self.worse_validations += 1

    def _write(self, which: str, figures: dict[str, float]) -> None:
        metadata = {**self.task.metadata(), "training": {"recipe": self.recipe, which: figures}}
        kept = getattr(self.average.module, "deployed", self.average.module)  # without heads that only teach
        save_tensors(self.folder / f"{which}.safetensors", kept.state_dict(), metadata)

    def out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.worse_validations

    def save(self) -> None:
        state = {
            "recipe": json.dumps(self.recipe, sort_keys=True, default=str),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
            "worse_validations": self.worse_validations,
        }
        temporary = self.folder / "checkpoint.pt.part"
        torch.save(state, temporary)
        temporary.replace(self.folder / "checkpoint.pt")

    def restore(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["recipe"] != json.dumps(self.recipe, sort_keys=True, default=str):
            raise DataError(f"{path} was made by another recipe: choose another --out folder, or delete it")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.best, self.worse_validations = state["step"], state["best"], state["worse_validations"]
        self._drop_log_after(self.step)

    def _log(self, row: dict[str, float]) -> None:
        path = self.folder / "log.csv"
        new = not path.is_file()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(row)
            writer.writerow(f"{value:.6g}" for value in row.values())

    def _drop_log_after(self, step: int) -> None:
        path = self.folder / "log.csv"
        if not path.is_file():
            return
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        column = rows[0].index("step")
        kept = [rows[0], *(row for row in rows[1:] if float(row[column]) <= step)]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(kept)


def _schedule(step: int, total: int, warmup: float, *, constant: bool = False) -> float:
    if step < warmup:
        return (step + 1) / warmup
    if constant:
        return 1.0
    done = (step - warmup) / max(1.0, total - warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _average(decay: float) -> Callable[..., None]:
    def mix(averages: list[Tensor], current: list[Tensor], count: Any) -> None:
        if averages[0].is_floating_point():
            now = min(decay, (1 + int(count)) / (10 + int(count)))  # follow closely while the network is young
            torch._foreach_lerp_(averages, current, 1 - now)
        else:
            torch._foreach_copy_(averages, current)

    return mix


def _optimiser(model: nn.Module, config: LoopConfig) -> torch.optim.Optimizer:
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]  # biases and norms are not decayed
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0)
    return torch.optim.AdamW(groups, lr=config.learning_rate)
