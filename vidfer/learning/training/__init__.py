"""How the embedded networks are made: one module per network, one shared loop."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

# What ``vidfer train NAME`` calls: (recipe file, data folder, run folder, *, device, progress) -> best figures. A run
# that was stopped is continued. Modules are imported when they are asked for: they import torch.
Training = Callable[..., dict[str, float]]

TRAININGS: dict[str, str] = {
    "detector": "vidfer.learning.training.detector:train_detector",
    "landmarks": "vidfer.learning.training.landmarks:train_landmarks",
    "quality": "vidfer.learning.training.quality:train_quality",
    "identity": "vidfer.learning.training.identity:train_identity",
    "movements": "vidfer.learning.training.movements:train_movements",
    "emotion-cnn": "vidfer.learning.training.frame_network:train_emotion_cnn",
    "classical": "vidfer.learning.training.classical:train_classical",
    "temporal": "vidfer.learning.training.temporal:train_temporal",
}


def find_training(name: str) -> Training:
    """Return the training called ``name``, one of ``TRAININGS``."""
    module, _, function = TRAININGS[name].partition(":")
    return cast(Training, getattr(importlib.import_module(module), function))
