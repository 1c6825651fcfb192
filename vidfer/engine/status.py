"""What is cached, stale or failed in a results folder, judged by the settings of its last run. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidfer.config import PipelineConfig, parse_section
from vidfer.engine.cache import StageCache
from vidfer.engine.fingerprint import FingerprintMemo
from vidfer.engine.journal import ClipRecord, Journal
from vidfer.engine.layout import cache_folder, fingerprints_file, journal_file, private_folder, settings_file
from vidfer.engine.outputs import is_untouched
from vidfer.engine.plan import OUTPUTS, stage_keys
from vidfer.errors import ConfigError, OutputError
from vidfer.stages import STAGES

StageState = Literal["cached", "stale", "failed", "missing"]


@dataclass(frozen=True, kw_only=True)
class ClipStatus:
    """One clip's state.

    Attributes
    ----------
    clip_id
        The clip.
    stages
        Per stage, and for ``outputs``: ``cached`` (a run would use it as it is), ``stale`` (made by other settings,
        weights or from another content), ``missing`` or ``failed``.
    note
        Why, for people.
    """

    clip_id: str
    stages: dict[str, StageState]
    note: str = ""


def read_status(out: Path) -> list[ClipStatus]:
    """Return the state of every clip that a results folder knows, by clip id.

    Raises
    ------
    OutputError
        The folder holds no results of vidfer's, or those of a run that never finished a clip.
    """
    config = config_of_last_run(out)
    records = Journal(journal_file(out)).records
    cache = StageCache(cache_folder(out))
    memo = FingerprintMemo(fingerprints_file(out))
    return [_status(record, out, config, cache, memo) for _, record in sorted(records.items())]


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
        return parse_section(PipelineConfig, json.loads(path.read_bytes()), source=str(path))
    except (OSError, ValueError, ConfigError) as error:
        raise OutputError(f"{path}: not the settings of a run ({error}): run vidfer process again") from error


def _status(
    record: ClipRecord, out: Path, config: PipelineConfig, cache: StageCache, memo: FingerprintMemo
) -> ClipStatus:
    names = [*(stage.name for stage in STAGES), OUTPUTS]
    if record.status == "failed":
        states: dict[str, StageState] = dict.fromkeys(names, "missing")
        states[STAGES[0].name if record.failure["stage"] == "decode" else OUTPUTS] = "failed"
        return ClipStatus(clip_id=record.clip_id, stages=states, note=record.failure["message"])
    if not Path(record.path).is_file():
        note = f"the video is no longer at {record.path}"
    elif memo.recall(record.path) not in (record.fingerprint, None):
        return ClipStatus(clip_id=record.clip_id, stages=dict.fromkeys(names, "stale"), note="the video has changed")
    else:
        note = ""
    keys = stage_keys(record.fingerprint, record.reader, config, clip_id=record.clip_id)
    states = {}
    for stage in STAGES:
        there = cache.contains(stage.name, keys[stage.name])
        other = record.keys.get(stage.name) != keys[stage.name]
        states[stage.name] = "cached" if there else "stale" if other else "missing"
    untouched = is_untouched(out / record.clip_id, record.files)
    current = record.keys.get(OUTPUTS) == keys[OUTPUTS]
    states[OUTPUTS] = "stale" if not current else "cached" if untouched else "missing"
    return ClipStatus(clip_id=record.clip_id, stages=states, note=note)
