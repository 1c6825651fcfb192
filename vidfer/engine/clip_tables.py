"""A clip's tables: loaded from the cache, computed where a clip stage's table is missing, put together for output."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np

from vidfer.config import PipelineConfig, TemporalConfig, TracksConfig
from vidfer.engine.cache import CachedTable, StageCache
from vidfer.engine.plan import provenance
from vidfer.errors import CacheError
from vidfer.labels import EMOTIONS
from vidfer.stages.emotions import EmotionsStage
from vidfer.stages.tables import EmbeddingsTable, EmotionsTable, FacesTable, TracksTable
from vidfer.stages.tracks import TracksStage
from vidfer.timeline.segments import find_segments
from vidfer.types import (
    NUM_LANDMARKS,
    ClipResult,
    DecodeReport,
    EmotionTimeline,
    FaceDetections,
    FaceEmbeddings,
    FaceTracks,
    SampledFrames,
    VideoInfo,
)

T = TypeVar("T")


def load_faces(cache: StageCache, key: str) -> tuple[FacesTable, DecodeReport]:
    """Return a finished faces table and how its frames were decoded; raises CacheError if it has gone."""
    return _faces_of(_load(cache, "faces", key))


def _faces_of(table: CachedTable) -> tuple[FacesTable, DecodeReport]:
    decode = table.attributes["decode"]
    arrays = dict(table.arrays)
    if "landmarks" not in arrays:
        arrays["landmarks"] = np.broadcast_to(np.float32(np.nan), (len(arrays["score"]), NUM_LANDMARKS, 2))
    return FacesTable.from_arrays(arrays), DecodeReport(**{**decode, "warnings": tuple(decode["warnings"])})


@dataclass(frozen=True, kw_only=True)
class FrameTables:
    """What the frame stages found in a clip; the landmarks of ``faces`` are NaN."""

    frames: SampledFrames
    faces: FaceDetections
    embeddings: FaceEmbeddings
    decode: DecodeReport


def load_frame_tables(cache: StageCache, keys: Mapping[str, str]) -> FrameTables:
    """Return the finished tables of the frame stages, without landmarks; raises CacheError if one has gone.

    Landmarks are a third of it all, and neither tracks nor emotions read them: ``assemble`` gives them to exporters.
    """
    names = {field.name for field in fields(FacesTable)} - {"landmarks"}
    faces, decode = _faces_of(_load(cache, "faces", keys["faces"], only=names))
    vectors = EmbeddingsTable.from_arrays(_load(cache, "embeddings", keys["embeddings"]).arrays)
    return FrameTables(
        frames=faces.frames(),
        faces=faces.detections(),
        embeddings=FaceEmbeddings(vectors=vectors.vectors, logits=vectors.logits),
        decode=decode,
    )


def find_tracks(cache: StageCache, key: str, tables: FrameTables, config: TracksConfig) -> tuple[FaceTracks, bool]:
    """Return the tracks, and whether they had to be computed."""
    stored = cache.load("tracks", key)
    if stored is not None:
        return FaceTracks(track_id=TracksTable.from_arrays(stored.arrays).track_id), False
    table = TracksStage(config).process(tables.frames, tables.faces)
    cache.store("tracks", key, table.arrays())
    return FaceTracks(track_id=table.track_id), True


def find_emotions(
    cache: StageCache, key: str, tables: FrameTables, tracks: FaceTracks, config: TemporalConfig, *, device: str
) -> tuple[EmotionTimeline, bool]:
    """Return the probabilities over time, and whether they had to be computed."""
    stored = cache.load("emotions", key)
    if stored is not None:
        table = EmotionsTable.from_arrays(stored.arrays)
    else:
        stage = _emotions_stage(config, device)
        table = stage.process(tables.frames, tables.faces, tracks, tables.embeddings)
        cache.store("emotions", key, table.arrays())
    timeline = EmotionTimeline(
        track_id=tracks.track_id,
        frame_row=tables.faces.frame_row,
        probabilities=table.probabilities,
        labels=EMOTIONS,
    )
    return timeline, stored is None


def assemble(
    clip_id: str,
    info: VideoInfo,
    tables: FrameTables,
    tracks: FaceTracks,
    timeline: EmotionTimeline,
    *,
    config: PipelineConfig,
    keys: Mapping[str, str],
    cache: StageCache,
) -> ClipResult:
    """Return everything that exporters get; episodes are found here, and landmarks are read when they are asked for."""
    landmarks = _there(cache.open_array("faces", keys["faces"], "landmarks"), cache, "faces", keys["faces"])
    return ClipResult(
        clip_id=clip_id,
        info=info,
        decode=tables.decode,
        frames=tables.frames,
        faces=replace(tables.faces, landmarks=landmarks),
        tracks=tracks,
        embeddings=FaceEmbeddings(vectors=tables.embeddings.vectors[:, :0].copy(), logits=tables.embeddings.logits),
        timeline=timeline,
        segments=find_segments(timeline, tables.frames, **config.timeline.model_dump()),
        provenance=provenance(config, keys, reader=tables.decode.reader),
    )


@lru_cache(maxsize=1)
def _emotions_stage(config: TemporalConfig, device: str) -> EmotionsStage:
    """Return the stage, the same for all clips of a worker, so that its model is loaded once."""
    return EmotionsStage(config, device=device)


def _load(cache: StageCache, stage: str, key: str, *, only: Collection[str] | None = None) -> CachedTable:
    return _there(cache.load(stage, key, only=only), cache, stage, key)


def _there(found: T | None, cache: StageCache, stage: str, key: str) -> T:
    if found is None:
        raise CacheError(f"{cache.path(stage, key)} was damaged or removed while in use: run the same command again")
    return found
