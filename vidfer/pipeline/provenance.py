"""What a result came from: versions, settings and weights of its stages. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any

import vidfer
from vidfer import weights
from vidfer.config import PipelineConfig, unused_options
from vidfer.pipeline import StageDeclaration, stages_of
from vidfer.pipeline.exported_files import exported_settings
from vidfer.plugins import version_of

READER_PACKAGES = {"pyav": "av", "decord": "decord"}  # what is installed, by name of the reader
_GROUPS: dict[weights.ComponentKind, str] = {  # of entry points
    "detector": "vidfer.detectors",
    "landmarks": "vidfer.landmarks",
    "backbone": "vidfer.backbones",
    "temporal": "vidfer.temporal",
    "movements": "vidfer.movements",
    "identity": "vidfer.identity",
}


def component_digests(kind: weights.ComponentKind, name: str, own_file: str) -> tuple[str, ...]:
    """Return what identifies a component's weights here; of one from another package its name and version first."""
    made_by = version_of(_GROUPS[kind], name) if kind in _GROUPS else ""
    digests = weights.digests(kind, name, own_file)
    return (made_by, *digests) if made_by else digests


def component_weights(
    stage: StageDeclaration, config: PipelineConfig
) -> list[tuple[weights.ComponentKind, str, tuple[str, ...]]]:
    """Return kind, name and ``component_digests`` of each component that a stage uses."""
    section = getattr(exported_settings(config), stage.section)
    found = []
    for kind, name_key, file_key in stage.components:
        name = getattr(section, name_key) if name_key else "embedded"
        found.append((kind, name, component_digests(kind, name, getattr(section, file_key))))
    return found


def stage_settings(stage: StageDeclaration, config: PipelineConfig) -> dict[str, Any]:
    """Return the settings that a stage reads, JSON-ready.

    Left out are where weight files lie, whose digests count, what it does not read, and the options of components that
    it does not use.
    """
    section = getattr(config, stage.section)
    files = {file_key for _, _, file_key in stage.components}
    left_out = {*stage.settings_unread, *files, *unused_options(section)}
    settings: dict[str, Any] = section.model_dump(mode="json", exclude=left_out)
    return settings | {name: getattr(config, name).model_dump(mode="json") for name in stage.more_sections}


@cache
def package_version(package: str) -> str | None:
    """Return the version of an installed package, without importing it; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def runtime_package(config: PipelineConfig) -> str:
    """Return the package that runs a pipeline's networks."""
    return {"torch": "torch", "onnx": "onnxruntime"}[config.networks.runtime]


def frames_made_by(reader: str, config: PipelineConfig) -> str:
    """Return what decides the frames and what networks make of them, for cache keys: reader and runtime, and versions.

    Of the runtime's major and minor count: what comes behind mends faults, and on one machine gives the same numbers.
    """
    runtime = runtime_package(config)
    version = ".".join((package_version(runtime) or "").split(".")[:2])
    return f"{reader} {package_version(READER_PACKAGES.get(reader, reader))}, {runtime} {version}"


def provenance(config: PipelineConfig, *, reader: str, keys: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what a result came from, JSON-ready: versions, settings, weights. The same for the same result.

    Parameters
    ----------
    config
        The pipeline.
    reader
        What read the frames; empty for frames that were given as arrays.
    keys
        The stages' cache keys, for results that are kept.
    """
    return {
        "vidfer": vidfer.__version__,
        "reader": reader,
        "runtime": runtime_package(config),
        "fps": config.video.fps,
        "stream": config.video.stream,
        "rotation": config.video.rotation,
        "stages": {
            stage.name: {
                "version": stage.version,
                **({"key": keys[stage.name]} if keys else {}),
                "settings": stage_settings(stage, config),
                "weights": {
                    f"{kind} {name}": list(digests) for kind, name, digests in component_weights(stage, config)
                },
            }
            for stage in stages_of(config)
        },
        "timeline": config.timeline.model_dump(mode="json"),
        **({"baseline": config.movements.model_dump(mode="json")["baseline"]} if config.movements.enabled else {}),
    }
