"""The tables that follow from a fused timeline: without them no study and no chart could read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.config import TimelineConfig
from vidfer.exporters import EXPORTERS, Exporter
from vidfer.timeline.movements import blinks_of
from vidfer.timeline.saved import clip_of_tables
from vidfer.timeline.segments import find_segments

if TYPE_CHECKING:
    import pandas as pd


def tables_of_fused(
    clip_id: str, table: pd.DataFrame, summary: Mapping[str, Any], made_by: Mapping[str, Any]
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of segments.csv and summary.json for a clip whose probabilities were fused.

    Parameters
    ----------
    clip_id, table
        The clip, and its fused timeline; rows without a face are in no episode.
    summary
        What summary.json says of the clip as it was processed; the thresholds of episodes are those it names.
    made_by
        Kept as ``fusion`` of the provenance.
    """
    clip = clip_of_tables(table, table.head(0), summary, clip_id=clip_id)
    thresholds = TimelineConfig(**clip.provenance.get("timeline", {})).model_dump()
    track_id, person_id = clip.timeline.track_id, clip.roster.person_id if clip.roster else clip.timeline.track_id
    # A track that people.csv divides between people is one of each: no episode is two people's.
    pieces, piece_id = np.unique(np.stack([track_id, person_id]), axis=1, return_inverse=True)
    divided = replace(clip.timeline, track_id=piece_id.ravel().astype(np.int32))
    found = [
        replace(one, track_id=int(pieces[0, one.track_id])) for one in find_segments(divided, clip.frames, **thresholds)
    ]
    movements = clip.movements
    if movements is not None:
        seconds = clip.frames.pts_seconds[clip.timeline.frame_row]
        blinks, counts = blinks_of(movements.columns, seconds, track_id)
        movements = replace(movements, blinks=blinks, counts=counts)
    clip = replace(
        clip,
        segments=tuple(sorted(found, key=lambda one: (one.track_id, one.start_seconds))),
        movements=movements,
        provenance={**clip.provenance, "fusion": made_by},
    )
    for name in ("segments", "summary"):
        exporter = EXPORTERS.get(name)
        assert isinstance(exporter, Exporter)
        yield from exporter.render(clip).items()
