"""A clip's tables put together for those who read them: exporters, charts, users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vidfer.config import PipelineConfig
from vidfer.labels import EMOTIONS
from vidfer.pipeline import STAGES
from vidfer.pipeline.emotions import of_clip
from vidfer.pipeline.tables import EmotionsTable, Table
from vidfer.timeline.segments import find_segments
from vidfer.types import ClipResult, DecodeReport, EmotionTimeline, FaceEmbeddings, VideoInfo

_OWN = frozenset(stage.name for stage in STAGES)


def clip_result(
    clip_id: str,
    info: VideoInfo,
    decode: DecodeReport,
    tables: Mapping[str, Table],
    *,
    config: PipelineConfig,
    provenance: Mapping[str, Any],
) -> ClipResult:
    """Return what exporters get, given the tables of all stages; episodes are found here.

    The backbone's vectors are not part of it: they are large, and no file holds them.
    """
    frames, faces, tracks, embeddings = of_clip(tables)
    emotions = tables["emotions"]
    assert isinstance(emotions, EmotionsTable)
    timeline = EmotionTimeline(
        track_id=tracks.track_id, frame_row=faces.frame_row, probabilities=emotions.probabilities, labels=EMOTIONS
    )
    return ClipResult(
        clip_id=clip_id,
        info=info,
        decode=decode,
        frames=frames,
        faces=faces,
        tracks=tracks,
        embeddings=FaceEmbeddings(vectors=embeddings.vectors[:, :0].copy(), logits=embeddings.logits),
        timeline=timeline,
        segments=find_segments(timeline, frames, **config.timeline.model_dump()),
        provenance=provenance,
        tables={name: table.arrays() for name, table in tables.items() if name not in _OWN},
    )
