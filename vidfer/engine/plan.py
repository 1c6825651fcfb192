"""Which cache key every stage of a clip has. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import vidfer
from vidfer import weights
from vidfer.config import PipelineConfig
from vidfer.engine.cache import key_for
from vidfer.exporters import EXPORTERS
from vidfer.stages import STAGES, StageDeclaration

PROBE = "probe"  # not a stage that computes: what demuxing a file tells, and which reader its frames come from
PROBE_VERSION = 2
OUTPUTS = "outputs"  # nothing that is cached: the key of the files that users read
NUMBERS = "numbers"  # neither: that of what they say, however it is drawn and written


def probe_key(fingerprint: str, config: PipelineConfig) -> str:
    """Return the key under which a video's probing is kept: its content, and how its reader is chosen."""
    return key_for(PROBE, version=PROBE_VERSION, config={"decoder": config.video.decoder}, inputs=[fingerprint])


def stage_keys(fingerprint: str, reader: str, config: PipelineConfig, *, clip_id: str) -> Mapping[str, str]:
    """Return the keys of all stages of a clip by name, with those of ``probe``, ``numbers`` and ``outputs``.

    Parameters
    ----------
    fingerprint
        sha256 of the video's content.
    reader
        The reader that gives (or gave) its frames.
    config
        The pipeline.
    clip_id
        Part of the outputs' key only: titles and links show it.
    """
    keys = {PROBE: probe_key(fingerprint, config)}
    for stage in STAGES:
        settings = getattr(config, stage.section).model_dump(mode="json", exclude=_weight_settings(stage))
        if stage.sees_frames:
            settings["fps"] = config.video.fps
        keys[stage.name] = key_for(
            stage.name,
            version=stage.version,
            config=settings,
            weights=[digest for _, _, digests in component_weights(stage, config) for digest in digests],
            inputs=[keys[name] for name in stage.inputs] or [fingerprint],
            reader=reader if stage.sees_frames else None,
        )
    timeline, emotions = config.timeline.model_dump(mode="json"), keys[STAGES[-1].name]
    keys[NUMBERS] = key_for(NUMBERS, version=1, config={"timeline": timeline}, inputs=[emotions])
    keys[OUTPUTS] = key_for(
        OUTPUTS,
        version=vidfer.__version__,
        config={
            "timeline": timeline,
            "exports": [[name, EXPORTERS.get(name).version] for name in config.output.exports],
            "chart": [config.output.chart, config.output.thumbnails],
            "strict": config.video.strict,
            "clip_id": clip_id,
        },
        inputs=[emotions],
    )
    return keys


def component_weights(
    stage: StageDeclaration, config: PipelineConfig
) -> list[tuple[weights.ComponentKind, str, tuple[str, ...]]]:
    """Return kind, name and weight digests of each component that a stage uses."""
    section = getattr(config, stage.section)
    found = []
    for kind, name_key, file_key in stage.components:
        name = getattr(section, name_key)
        found.append((kind, name, weights.digests(kind, name, getattr(section, file_key))))
    return found


def _weight_settings(stage: StageDeclaration) -> set[str]:
    """Return the settings that are paths of weight files: their digests are in the key, not where they lie."""
    return {file_key for _, _, file_key in stage.components}


def provenance(config: PipelineConfig, keys: Mapping[str, str], *, reader: str) -> dict[str, Any]:
    """Return what a result came from, JSON-ready: versions, settings, weights, keys. The same for the same result."""
    return {
        "vidfer": vidfer.__version__,
        "reader": reader,
        "fps": config.video.fps,
        "stages": {
            stage.name: {
                "version": stage.version,
                "key": keys[stage.name],
                "settings": getattr(config, stage.section).model_dump(mode="json", exclude=_weight_settings(stage)),
                "weights": {
                    f"{kind} {name}": list(digests) for kind, name, digests in component_weights(stage, config)
                },
            }
            for stage in STAGES
        },
        "timeline": config.timeline.model_dump(mode="json"),
    }
