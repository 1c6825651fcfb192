"""What each stage depends on. The stages themselves are the modules beside this one; this file imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vidfer.weights import ComponentKind

StageName = Literal["faces", "embeddings", "tracks", "emotions"]


@dataclass(frozen=True, kw_only=True)
class StageDeclaration:
    """What decides a stage's result, and so its cache key.

    Attributes
    ----------
    name
        Also the name of the module and of the cache folder.
    version
        Raised by hand when the result changes for the same input, settings and weights.
    section
        The section of the pipeline that it reads.
    components
        Kind of each component with weights, and the keys in ``section`` that name it and the user's own file.
    inputs
        The stages that it reads.
    sees_frames
        True for a frame stage (it gets the decoded frames in batches), False for a clip stage (tables to tables).
    """

    name: StageName
    version: int
    section: str
    components: tuple[tuple[ComponentKind, str, str], ...] = ()
    inputs: tuple[StageName, ...] = ()
    sees_frames: bool = False


STAGES: tuple[StageDeclaration, ...] = (
    StageDeclaration(
        name="faces",
        version=6,
        section="faces",
        components=(("detector", "detector", "detector_weights"), ("landmarks", "landmarks", "landmark_weights")),
        sees_frames=True,
    ),
    StageDeclaration(
        name="embeddings",
        version=1,
        section="backbone",
        components=(("backbone", "name", "weights"),),
        inputs=("faces",),
        sees_frames=True,
    ),
    StageDeclaration(name="tracks", version=1, section="tracks", inputs=("faces",)),
    StageDeclaration(
        name="emotions",
        version=1,
        section="temporal",
        components=(("temporal", "weights_name", "weights"),),
        inputs=("embeddings", "tracks"),
    ),
)


def dependents(name: StageName) -> tuple[StageName, ...]:
    """Return the stage and all that read it, directly or not, in order."""
    reached: set[StageName] = {name}
    for stage in STAGES:
        if reached.intersection(stage.inputs):
            reached.add(stage.name)
    return tuple(stage.name for stage in STAGES if stage.name in reached)
