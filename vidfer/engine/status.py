"""What is cached, stale or failed in a results folder, judged by the settings of its last run. Imports no torch."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidfer.config import PipelineConfig, parse_section, pipeline_model
from vidfer.engine.needed import is_needed
from vidfer.engine.people import Edits, read_edits
from vidfer.engine.plan import DECODE, OUTPUTS, KeyPlans
from vidfer.errors import ConfigError, OutputError
from vidfer.pipeline import StageDeclaration, stages_of
from vidfer.store.cache import StageCache
from vidfer.store.journal import MANY_CLIPS, ClipRecord, Records
from vidfer.store.layout import cache_folder, journal_file, private_folder, settings_file
from vidfer.store.outputs import is_untouched

StageState = Literal["cached", "stale", "failed", "missing"]


@dataclass(frozen=True, kw_only=True)
class ClipStatus:
    """One clip's state.

    Attributes
    ----------
    clip_id
        The clip.
    stages
        Per stage, and for ``outputs``: ``cached`` (it is there; a run would use it, unless it finds it damaged),
        ``stale`` (made by other settings, weights or from another content), ``missing`` or ``failed``.
    note
        Why, for people.
    """

    clip_id: str
    stages: dict[str, StageState]
    note: str = ""


def read_status(out: Path, *, check: bool = False) -> list[ClipStatus]:
    """Return the state of every clip that a results folder knows, by clip id.

    Of more than ``MANY_CLIPS`` neither videos nor tables nor the files of results are looked at, each of which would
    cost a request to the file server: what the journal says of them is taken as it is.

    Parameters
    ----------
    out
        The results folder.
    check
        Look at all files, however many there are.

    Raises
    ------
    OutputError
        The folder holds no results of vidfer's, or those of a run that never finished a clip.
    """
    config = config_of_last_run(out)
    cache = StageCache(cache_folder(out))
    with _no_garbage_collection():
        records = Records(journal_file(out))
        checks_files = check or len(records) <= MANY_CLIPS
        stages = stages_of(config)
        view = _View(
            out=str(out),
            stages=stages,
            config=config,
            plans=KeyPlans(config),
            edits=read_edits(out, records),
            cached={stage.name: cache.keys(stage.name) for stage in stages} if checks_files else None,
        )
        current, cached = view.plans.digests(), view.all("cached")
        return [
            ClipStatus(clip_id=clip_id, stages=cached)  # nothing of its record need be parsed
            if not checks_files and _is_told(records.made_by[clip_id], current, view.edits.digest(clip_id))
            else _status(records.head(clip_id), view)
            for clip_id in sorted(records)
        ]


def _is_told(made_by: str, current: frozenset[str], edits: str) -> bool:
    return any(made_by == digest + edits for digest in current)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Among a hundred thousand new objects, none of them garbage, the collector takes half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def config_of_last_run(out: Path) -> PipelineConfig:
    """Return the settings that the last run into a results folder had.

    Raises
    ------
    OutputError
        The folder holds no results of vidfer's, or those of a version that had other settings.
    """
    if not private_folder(out).is_dir():
        raise OutputError(f"{out}: no results of vidfer here: expected a folder that was given as --out")
    path = settings_file(out)
    try:
        return parse_section(pipeline_model(), json.loads(path.read_bytes()), source=str(path))
    except (OSError, ValueError, ConfigError) as error:
        raise OutputError(f"{path}: not the settings of a run ({error}): run vidfer process again") from error


@dataclass(frozen=True, kw_only=True)
class _View:
    """What is there: looked at once for all clips, so that a hundred thousand take seconds."""

    out: str
    stages: tuple[StageDeclaration, ...]
    config: PipelineConfig
    plans: KeyPlans
    edits: Edits
    cached: dict[str, frozenset[str]] | None  # None: files are not looked at

    def all(self, state: StageState) -> dict[str, StageState]:
        """Return this state for all stages and the outputs."""
        return dict.fromkeys((*(stage.name for stage in self.stages), OUTPUTS), state)


def _status(record: ClipRecord | None, view: _View) -> ClipStatus:
    assert record is not None
    if record.status == "failed":
        states = view.all("missing")
        stage = record.failure["stage"]
        states[stage if stage in states else view.stages[0].name if stage == DECODE else OUTPUTS] = "failed"
        return ClipStatus(clip_id=record.clip_id, stages=states, note=record.failure["message"])
    note = ""
    if view.cached is not None:
        try:
            size = os.stat(record.path).st_size
        except OSError:
            note = f"the video is no longer at {record.path}"
        else:
            if record.video is not None and size != record.video[0]:
                return ClipStatus(clip_id=record.clip_id, stages=view.all("stale"), note="the video has changed")
    keys = view.plans.keys_now(record, view.edits.digest(record.clip_id))
    states = {}

    def is_there(name: str) -> bool:
        return keys[name] in view.cached[name] if view.cached is not None else record.keys.get(name) == keys[name]

    for stage in view.stages:
        name, other = stage.name, record.keys.get(stage.name) != keys[stage.name]
        there = is_there(name) or not is_needed(stage, view.stages, view.config, is_cached=is_there)
        states[name] = "cached" if there else "stale" if other else "missing"
    current = record.keys.get(OUTPUTS) == keys[OUTPUTS]
    untouched = view.cached is None or is_untouched(f"{view.out}/{record.clip_id}", record.files)
    states[OUTPUTS] = "stale" if not current else "cached" if untouched else "missing"
    return ClipStatus(clip_id=record.clip_id, stages=states, note=note)
