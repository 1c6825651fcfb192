"""The stages of a pipeline, in order: what each depends on, and where it is. This file imports no torch.

Stages of other packages are found by their entry points in the group ``vidfer.stages``, each a ``StageDeclaration``;
or give one to ``register_stage`` (then only this process knows it).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from vidfer.config import PipelineConfig, register_section
from vidfer.errors import ConfigError
from vidfer.pipeline.stage import StageDeclaration as StageDeclaration
from vidfer.plugins import entry_points_of

_WHO_COUNTS = ("which", "min_seconds", "min_quality")  # no stage depends on these, ...
_WHAT_IS_KEPT = ("link", "keep_vectors", "across")  # ... nor on these, once it runs

STAGES: tuple[StageDeclaration, ...] = (
    StageDeclaration(
        name="faces",
        version=10,
        section="faces",
        stage="vidfer.pipeline.faces:FacesStage",
        table="vidfer.pipeline.tables:FacesTable",
        components=(
            ("detector", "detector", "detector_weights"),
            ("landmarks", "landmarks", "landmark_weights"),
            ("quality", "", "quality_weights"),
        ),
        sees_frames=True,
        stays_on_disk=("landmarks",),  # a third of it all
    ),
    StageDeclaration(
        name="embeddings",
        version=1,
        section="backbone",
        stage="vidfer.pipeline.embeddings:EmbeddingsStage",
        table="vidfer.pipeline.tables:EmbeddingsTable",
        components=(("backbone", "name", "weights"),),
        inputs=("faces",),
        sees_frames=True,
    ),
    StageDeclaration(
        name="identity",
        version=1,
        section="people",
        stage="vidfer.pipeline.identity:IdentityStage",
        table="vidfer.pipeline.tables:IdentityTable",
        components=(("identity", "network", "weights"),),
        settings_unread=("min_confidence", *_WHAT_IS_KEPT, *_WHO_COUNTS),
        inputs=("faces",),
        sees_frames=True,
        switched_by="link",
        kept_if="keep_vectors",
    ),
    StageDeclaration(
        name="tracks",
        version=3,
        section="tracks",
        stage="vidfer.pipeline.tracks:TracksStage",
        table="vidfer.pipeline.tables:TracksTable",
        inputs=("faces",),
        optional_inputs=("identity",),
    ),
    StageDeclaration(
        name="people",
        version=2,
        section="people",
        stage="vidfer.pipeline.people:PeopleStage",
        table="vidfer.pipeline.tables:PeopleTable",
        settings_unread=("network", "weights", *_WHAT_IS_KEPT, *_WHO_COUNTS),
        inputs=("faces", "identity", "tracks"),
        switched_by="link",
    ),
    StageDeclaration(
        name="track_vectors",
        version=1,
        section="people",
        stage="vidfer.pipeline.people:TrackVectorsStage",
        table="vidfer.pipeline.tables:TrackVectorsTable",
        settings_unread=("network", "weights", "min_confidence", *_WHAT_IS_KEPT, *_WHO_COUNTS),
        inputs=("faces", "identity", "tracks"),
        switched_by="compares_clips",
        kept_if="keep_vectors",
    ),
    StageDeclaration(
        name="emotions",
        version=4,
        section="temporal",
        stage="vidfer.pipeline.emotions:EmotionsStage",
        table="vidfer.pipeline.tables:EmotionsTable",
        components=(("temporal", "weights_name", "weights"),),
        more_sections=("emotions",),
        inputs=("embeddings", "tracks"),
        optional_inputs=("people",),
    ),
    StageDeclaration(
        name="movements",
        version=2,
        section="movements",
        stage="vidfer.pipeline.movements:MovementsStage",
        table="vidfer.pipeline.movements:MovementsTable",
        components=(("movements", "network", "weights"),),
        settings_unread=("enabled", "baseline"),
        inputs=("faces",),
        sees_frames=True,
    ),
)

_from_outside: list[StageDeclaration] | None = None


def register_stage(declaration: StageDeclaration) -> StageDeclaration:
    """Add a stage of another package behind those that are there; return it.

    Raises
    ------
    ConfigError
        Its name is taken, it reads a stage that does not exist, or a frame stage reads a clip stage.
    """
    _add(_others(), declaration)
    return declaration


def declared_stages() -> tuple[StageDeclaration, ...]:
    """Return all stages that can run, each after those that it reads."""
    return (*STAGES, *_others())


def stages_of(config: PipelineConfig) -> tuple[StageDeclaration, ...]:
    """Return the stages that a pipeline runs, each after those that it reads."""
    running = [stage for stage in declared_stages() if stage.runs(config)]
    names = {stage.name for stage in running}
    return tuple(
        replace(stage, inputs=(*stage.inputs, *(name for name in stage.optional_inputs if name in names)))
        for stage in running
    )


def dependents(name: str, stages: Collection[StageDeclaration]) -> tuple[str, ...]:
    """Return the stage and all of ``pipeline`` that read it, directly or not, in order."""
    reached = {name}
    for stage in stages:
        if reached.intersection(stage.inputs):
            reached.add(stage.name)
    return tuple(stage.name for stage in stages if stage.name in reached)


def stages_before(name: str, stages: Collection[StageDeclaration]) -> tuple[StageDeclaration, ...]:
    """Return those of ``pipeline`` that a stage reads, directly or not, in order."""
    needed = {name}
    for stage in reversed(tuple(stages)):
        if stage.name in needed:
            needed.update(stage.inputs)
    return tuple(stage for stage in stages if stage.name in needed and stage.name != name)


def last_stages(stages: Collection[StageDeclaration]) -> tuple[str, ...]:
    """Return the stages that no other of ``pipeline`` reads: what files are made of changes only with them."""
    read = {name for stage in stages for name in stage.inputs}
    return tuple(stage.name for stage in stages if stage.name not in read)


def _others() -> list[StageDeclaration]:
    """Return the stages from outside the package; entry points are loaded at the first call."""
    global _from_outside
    if _from_outside is None:
        _from_outside = []
        for declaration in entry_points_of("vidfer.stages").values():
            _add(_from_outside, declaration())
    return _from_outside


def _add(others: list[StageDeclaration], declaration: StageDeclaration) -> None:
    known = {stage.name: stage for stage in (*STAGES, *others)}
    where = f"stage {declaration.name!r}"
    if known.get(declaration.name) == declaration:
        return
    if declaration.name in known:
        raise ConfigError(f"{where}: there is one of this name; choose another")
    for name in declaration.inputs:
        if name not in known:
            raise ConfigError(f"{where} reads {name!r}: expected stages that come before it: {', '.join(known)}")
        if declaration.sees_frames and not known[name].sees_frames:
            raise ConfigError(f"{where} sees frames and reads {name!r}, which is known only when all frames are seen")
    if declaration.options is not None:
        register_section(declaration.section, declaration.options)
    others.append(declaration)
