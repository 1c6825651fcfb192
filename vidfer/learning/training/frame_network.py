"""Trains the per-frame network: ``vidfer train emotion-cnn --recipe emotion_cnn --data DIR --out runs/emotion_cnn``.

On the user's own pictures and videos: ``--manifest FILE.csv`` instead of ``--data``.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from vidfer.config import parse_section, read_toml
from vidfer.device import pick_device
from vidfer.learning.training.emotion_cnn import EmotionRecipe, EmotionTask
from vidfer.learning.training.loop import ProgressCallback, train
from vidfer.learning.training.mixed_labels import MixedTask

logger = logging.getLogger(__name__)


def train_emotion_cnn(
    recipe_file: Path,
    data: Path,
    out: Path,
    *,
    device: str = "auto",
    progress: ProgressCallback | None = None,
) -> dict[str, float]:
    """Train by a recipe file, writing into ``out``, and return the best validation's figures.

    A run that was interrupted is continued. Raises ConfigError for a wrong recipe, DataError for wrong data.
    """
    raw = read_toml(recipe_file)
    recipe = parse_section(EmotionRecipe, raw, source=str(recipe_file))
    task = (MixedTask if recipe.data.labels == "mixed" else EmotionTask)(recipe, data)
    logger.info("%d faces to learn from, %d to validate on", len(task.training), len(task.validation))
    best = train(task, recipe.loop, out, device=pick_device(device), progress=progress, recipe=recipe.model_dump())
    plot_log(out / "log.csv", out / "curves.png")
    return best


def plot_log(log: Path, path: Path) -> None:
    """Draw loss and accuracy over the epochs of ``log.csv`` as PNG, if there were any."""
    from matplotlib.figure import Figure

    table = np.genfromtxt(log, delimiter=",", names=True, ndmin=1)
    if "loss" not in (table.dtype.names or ()):
        return  # no step was made
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(table["epoch"], table["loss"], label="training loss (last step)")
    right.plot(table["epoch"], table["training_accuracy"], label="training, augmented (last step)", alpha=0.5)
    right.plot(table["epoch"], table["accuracy"], label="validation accuracy")
    right.plot(table["epoch"], table["uar"], label="validation mean recall")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
