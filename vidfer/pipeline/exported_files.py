"""Which files of ``vidfer export onnx`` stand in for a pipeline's networks. Imports no runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.config import PipelineConfig
from vidfer.errors import ConfigError, WeightsError
from vidfer.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".onnx"


def exported_settings(config: PipelineConfig) -> PipelineConfig:
    """Return the settings with the files of ``networks.folder`` as weights, if networks are to run from there.

    Raises
    ------
    ConfigError
        The settings ask for what cannot run there.
    WeightsError
        A file that the pipeline needs is not in the folder.
    """
    own = {key: file for key, file in _own_weights(config).items() if file}
    if config.networks.runtime == "torch":
        for key, file in own.items():
            if file.endswith(SUFFIX):
                raise ConfigError(f"{key}: expected a file of vidfer train, got {file}: see networks.folder")
        return config
    _check(config, own)
    folder = Path(config.networks.folder).expanduser()
    temporal = "temporal_step" if config.temporal.causal else "temporal"
    wanted: dict[str, dict[str, str]] = {
        "faces": {"detector_weights": "detector", "landmark_weights": "landmarks", "quality_weights": "quality"},
        "backbone": {"weights": "expressions"},
        "people": {"weights": "identity"} if config.people.link else {},
        "movements": {"weights": "movements"} if config.movements.enabled else {},
        "temporal": {"weights": temporal} if config.temporal.is_network else {},
    }
    changed = {}
    for section, files in wanted.items():
        for file in files.values():
            if not (folder / f"{file}{SUFFIX}").is_file():
                raise WeightsError(
                    f"networks.folder: {folder} lacks {file}{SUFFIX}: write it with 'vidfer export onnx --out' "
                    f"and the other settings of this command"
                )
        paths = {key: str(folder / f"{file}{SUFFIX}") for key, file in files.items()}
        changed[section] = getattr(config, section).model_copy(update=paths)
    return config.model_copy(update=changed)


def _own_weights(config: PipelineConfig) -> dict[str, str]:
    return {
        "faces.detector_weights": config.faces.detector_weights,
        "faces.landmark_weights": config.faces.landmark_weights,
        "faces.quality_weights": config.faces.quality_weights,
        "backbone.weights": config.backbone.weights,
        "people.weights": config.people.weights,
        "movements.weights": config.movements.weights,
        "temporal.weights": config.temporal.weights if config.temporal.is_network else "",
    }


def _check(config: PipelineConfig, own: dict[str, str]) -> None:
    """Raise ConfigError for what ONNX Runtime does not run."""
    onnx = "networks.runtime = 'onnx'"
    if not config.networks.folder:
        raise ConfigError(f"{onnx} needs networks.folder: the folder that 'vidfer export onnx --out' wrote")
    if config.run.device.startswith("cuda"):
        raise ConfigError(f"{onnx} runs on the CPU: expected run.device auto or cpu, got {config.run.device}")
    if config.temporal.name in ("tcn", "transformer"):
        raise ConfigError(
            f"{onnx}: expected temporal.name gru or lstm, or a model that is no network, got {config.temporal.name!r}"
        )
    for key, name in (
        ("faces.detector", config.faces.detector),
        ("faces.landmarks", config.faces.landmarks),
        ("people.network", config.people.network),
        ("movements.network", config.movements.network),
    ):
        if name != "embedded":
            raise ConfigError(f"{onnx} runs vidfer's own networks: expected {key} 'embedded', got {name!r}")
    for key, file in own.items():
        raise ConfigError(f"{onnx} reads networks.folder: export with {key} = {file!r}, then leave it out here")


def factory_of(registry: Registry[Any], name: str, weights: str) -> Any:
    """Return what makes a component: an exported network's if the weights are one, else the registry's."""
    if not weights.endswith(SUFFIX):
        return registry.get(name)
    from vidfer.pipeline.exported import FACTORIES

    return FACTORIES[registry.kind]


def as_read(pictures: np.ndarray, weights: str) -> Tensor:
    """Return pictures as the networks with these weights read them: arrays if they are exported, else tensors."""
    if weights.endswith(SUFFIX):
        return pictures  # type: ignore[return-value]  # stands in for it, see FrameChunk.images
    import torch

    return torch.from_numpy(pictures)
