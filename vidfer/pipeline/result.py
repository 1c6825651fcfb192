"""A clip's tables put together for those who read them: exporters, charts, users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from vidfer.config import FacesConfig, PipelineConfig
from vidfer.faces.detectors import least_face_px
from vidfer.labels import EMOTIONS
from vidfer.movements import LEAST_EYES_PX, LEAST_FACE_PX, REPORTED_COLUMNS
from vidfer.people.apply import with_roster
from vidfer.pipeline import STAGES
from vidfer.pipeline.emotions import of_clip, whose
from vidfer.pipeline.tables import EmotionsTable, PeopleTable, Table, faces_in
from vidfer.timeline.segments import find_segments
from vidfer.types import ClipResult, DecodeReport, EmotionTimeline, FaceEmbeddings, FacePeople, VideoInfo

MOVEMENTS_STAGE = "movements"
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
    """Return what exporters get, given the tables of all stages; episodes are found here, and who counts is proposed.

    The backbone's vectors are not part of it: they are large, and no file holds them. Its logits are for the prior and
    the baseline of ``[emotions]``, as the probabilities are.
    """
    frames, faces, tracks, embeddings = of_clip(tables)
    frames = frames.of_clip(info.duration_seconds)
    emotions = tables["emotions"]
    assert isinstance(emotions, EmotionsTable)
    timeline = EmotionTimeline(
        track_id=tracks.track_id, frame_row=faces.frame_row, probabilities=emotions.probabilities, labels=EMOTIONS
    )
    people = tables.get("people")
    assert people is None or isinstance(people, PeopleTable)
    movements = None
    if MOVEMENTS_STAGE in tables:
        from vidfer.timeline.movements import clip_movements

        movements = clip_movements(
            tables[MOVEMENTS_STAGE].arrays(),
            REPORTED_COLUMNS,
            timeline,
            frames,
            faces,
            person_id=whose(tables),
            baseline=config.movements.baseline,
            least_px=(LEAST_FACE_PX, LEAST_EYES_PX),
        )
    own_neutral = np.unique(tracks.track_id[emotions.has_baseline & (tracks.track_id >= 0)]).tolist()
    warnings = (*decode.warnings, *faces_in(tables).warnings(), *(movements.warnings if movements else ()))
    if not isinstance(config.emotions.baseline, str) and not own_neutral:
        start, end = config.emotions.baseline
        warnings += (f"nobody is seen often enough from {start:g} to {end:g} s: emotions.baseline changed nothing",)
    options = config.timeline.model_dump()
    clip = ClipResult(
        clip_id=clip_id,
        info=info,
        decode=replace(decode, warnings=warnings),
        frames=frames,
        faces=faces,
        tracks=tracks,
        embeddings=FaceEmbeddings(vectors=embeddings.vectors[:, :0].copy(), logits=embeddings.logits + emotions.shift),
        timeline=timeline,
        segments=find_segments(timeline, frames, **options),
        provenance={**provenance, **_search_limits(config.faces, info), "own_neutral_of": own_neutral},
        movements=movements,
        people=FacePeople(**people.arrays()) if people is not None else None,
        tables={name: table.arrays() for name, table in tables.items() if name not in _OWN},
    )
    return with_roster(clip, config=config.people, find_segments=partial(find_segments, **options))[0]


def _search_limits(config: FacesConfig, info: VideoInfo) -> dict[str, float]:
    """Return how small faces may be to be found; known of the embedded detector only."""
    if config.detector != "embedded":
        return {}
    least = least_face_px(config.long_side, height=info.height, width=info.width)
    return {"least_face_px": max(config.min_size, round(least, 1))}
