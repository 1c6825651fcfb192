"""What a stage is: what it declares, and what it computes. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vidfer.config import PipelineConfig, Section
from vidfer.weights import ComponentKind

if TYPE_CHECKING:
    from vidfer.pipeline.chunk import FrameChunk
    from vidfer.pipeline.tables import Table


class FrameStage(Protocol):
    """Looks at the frames of a clip, a chunk at a time; chunks may be in the hands of several threads.

    Made as ``Stage(settings, device=...)``, with the section of the settings that it declares. Networks are loaded on
    first use.
    """

    def process(self, chunk: FrameChunk, tables: Mapping[str, Table]) -> Table:
        """Return the rows of a chunk; ``tables`` holds those of the stages before it, of this chunk, by name.

        Either one row per face, in the order of the faces, or as ``FacesTable`` has it.
        """
        ...

    def empty(self) -> Table:
        """Return the table of a stretch of video without a decodable frame."""
        ...

    def load(self) -> bool:
        """Load the networks now (torch.fx is for one thread); return whether threads may share this stage."""
        ...


class ClipStage(Protocol):
    """Maps whole tables of a clip to a table with one row per face; made as a frame stage is."""

    def process(self, tables: Mapping[str, Table]) -> Table:
        """Return the stage's rows; ``tables`` holds the whole tables of the stages before it, by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class StageDeclaration:
    """What decides a stage's result, and so its cache key.

    Attributes
    ----------
    name
        Also the name of the cache folder.
    version
        Raised by hand when the result changes for the same input, settings and weights.
    section
        The section of the settings that it reads.
    stage
        ``module:class`` of the FrameStage or ClipStage, imported where it computes.
    table
        ``module:class`` of the Table that it gives.
    components
        Kind of each component with weights, and the keys in ``section`` that name it and the user's own file; the
        name's is empty where there is only the embedded one.
    more_sections
        Further sections that it reads; ``stage`` gets each as a keyword argument of that name.
    settings_unread
        Keys of ``section`` that its result does not depend on: what is made of it later reads them.
    inputs
        The stages that it reads; of a frame stage, frame stages.
    optional_inputs
        Stages before it that it reads besides, where they run.
    sees_frames
        True for a frame stage, False for a clip stage.
    stays_on_disk
        Columns of the table that are large and that no clip stage reads.
    switched_by
        Key of ``section`` that decides whether the stage runs; without one it always does.
    kept_if
        Key of ``section``: where it is false the table is removed from the cache once no stage needs it any more.
        Empty: it is kept.
    options
        The section's model, for a stage from outside the package.
    """

    name: str
    version: int
    section: str
    stage: str
    table: str
    components: tuple[tuple[ComponentKind, str, str], ...] = ()
    more_sections: tuple[str, ...] = ()
    settings_unread: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    optional_inputs: tuple[str, ...] = ()
    sees_frames: bool = False
    stays_on_disk: tuple[str, ...] = ()
    switched_by: str = "enabled"
    kept_if: str = ""
    options: type[Section] | None = None

    def runs(self, config: PipelineConfig) -> bool:
        """Return whether a pipeline has this stage."""
        return bool(getattr(getattr(config, self.section), self.switched_by, True))

    def is_kept(self, config: PipelineConfig) -> bool:
        """Return whether its table stays in the cache when a clip is complete."""
        return not self.kept_if or bool(getattr(getattr(config, self.section), self.kept_if))

    def make(self, config: PipelineConfig, *, device: str) -> Any:
        """Return the FrameStage or ClipStage for these settings."""
        more = {name: getattr(config, name) for name in self.more_sections}
        return _named(self.stage)(getattr(config, self.section), device=device, **more)

    def table_type(self) -> type[Table]:
        """Return the class of the table that it gives."""
        found: type[Table] = _named(self.table)
        return found


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
