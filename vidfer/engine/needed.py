"""Which tables of frame stages are still to be computed. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Collection

from vidfer.config import PipelineConfig
from vidfer.pipeline import StageDeclaration


def is_needed(
    stage: StageDeclaration,
    stages: Collection[StageDeclaration],
    config: PipelineConfig,
    *,
    is_cached: Callable[[str], bool],
) -> bool:
    """Return whether a stage's table has to be there: one that is not kept is needed until all that read it are.

    Parameters
    ----------
    stage, stages
        One of the stages that run, and all of them.
    config
        The pipeline.
    is_cached
        Whether the table of the stage of a name is complete.
    """
    if stage.is_kept(config):
        return True
    return not all(is_cached(other.name) for other in stages if stage.name in other.inputs)


def missing_frame_tables(
    stages: Collection[StageDeclaration], config: PipelineConfig, *, is_cached: Callable[[str], bool]
) -> list[str]:
    """Return the frame stages whose table is needed and not there; see ``is_needed``."""
    return [
        stage.name
        for stage in stages
        if stage.sees_frames and not is_cached(stage.name) and is_needed(stage, stages, config, is_cached=is_cached)
    ]
