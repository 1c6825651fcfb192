"""A clip's tables by stage: loaded from the cache, or computed where a clip stage's table is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from vidfer.config import PipelineConfig
from vidfer.engine.needed import is_needed
from vidfer.errors import CacheError, blamed_on
from vidfer.pipeline import StageDeclaration, stages_of
from vidfer.pipeline.provenance import provenance
from vidfer.pipeline.result import clip_result
from vidfer.pipeline.tables import Table
from vidfer.store.cache import CachedTable, StageCache
from vidfer.types import ClipResult, DecodeReport, VideoInfo

T = TypeVar("T")
StageFinished = Callable[[str, bool], None]  # the stage's name, and whether it was computed now


def load_table(cache: StageCache, stage: StageDeclaration, key: str) -> Table:
    """Return a finished table, without reading what ``stays_on_disk``; raises CacheError if it has gone."""
    return _table_of(
        cache,
        stage,
        key,
        _require_cached(cache.load(stage.name, key, only=_columns_in_memory(stage)), cache, stage, key),
    )


def clip_tables(
    cache: StageCache,
    keys: Mapping[str, str],
    config: PipelineConfig,
    *,
    stages: Sequence[StageDeclaration] | None = None,
    on_stage: StageFinished = lambda name, computed: None,
) -> tuple[dict[str, Table], DecodeReport]:
    """Return the tables of a clip's stages by name, and how its frames were decoded.

    Parameters
    ----------
    cache, keys
        Where they lie; those of the frame stages are finished.
    config
        The pipeline.
    stages
        Which; None = all that it runs. Those whose table is not kept are left out where none of these needs it.
    on_stage
        Called for each clip stage.

    Raises
    ------
    CacheError
        A table of a frame stage has gone, or that of a clip stage whose inputs are not kept.
    """
    tables: dict[str, Table] = {}
    decode: DecodeReport | None = None
    running = stages_of(config) if stages is None else stages
    for stage in running:
        key = keys[stage.name]
        if not is_needed(stage, running, config, is_cached=lambda name: cache.contains(name, keys[name])):
            continue
        stored = cache.load(stage.name, key, only=_columns_in_memory(stage))
        if stage.sees_frames:
            stored = _require_cached(stored, cache, stage, key)
            decode = decode or _decode_report(stored)
        if stored is not None:
            tables[stage.name] = _table_of(cache, stage, key, stored)
        else:
            from vidfer.pipeline.pipeline import pipeline_of  # torch

            for name in stage.inputs:
                if name not in tables:  # it was not needed while this stage's table could be read
                    raise CacheError(f"{cache.path(stage.name, key)} cannot be used: run the same command again")
            with blamed_on(stage.name):
                table = pipeline_of(config).clip_stage(stage.name).process(tables)
            cache.store(stage.name, key, table.arrays())
            tables[stage.name] = table
        if not stage.sees_frames:
            on_stage(stage.name, stored is None)
    assert decode is not None
    return tables, decode


def load_clip_result(
    cache: StageCache,
    keys: Mapping[str, str],
    config: PipelineConfig,
    *,
    clip_id: str,
    info: VideoInfo,
    on_stage: StageFinished = lambda name, computed: None,
) -> ClipResult:
    """Return everything that exporters get of a clip; see ``clip_tables``."""
    tables, decode = clip_tables(cache, keys, config, on_stage=on_stage)
    made_by = provenance(config, reader=decode.reader, keys=keys)
    return clip_result(clip_id, info, decode, tables, config=config, provenance=made_by)


def _columns_in_memory(stage: StageDeclaration) -> frozenset[str] | None:
    """Return the columns to load at once, None for all."""
    return stage.table_type().columns() - set(stage.stays_on_disk) if stage.stays_on_disk else None


def _table_of(cache: StageCache, stage: StageDeclaration, key: str, stored: CachedTable) -> Table:
    arrays: dict[str, Any] = dict(stored.arrays)
    for name in stage.stays_on_disk:
        arrays[name] = _require_cached(cache.open_array(stage.name, key, name), cache, stage, key)
    return stage.table_type().from_arrays(arrays)


def _decode_report(stored: CachedTable) -> DecodeReport:
    decode = stored.attributes["decode"]
    return DecodeReport(**{**decode, "warnings": tuple(decode["warnings"])})


def _require_cached(found: T | None, cache: StageCache, stage: StageDeclaration, key: str) -> T:
    if found is None:
        path = cache.path(stage.name, key)
        raise CacheError(f"{path} was damaged or removed while in use: run the same command again")
    return found
