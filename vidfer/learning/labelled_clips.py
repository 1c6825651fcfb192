"""Labelled videos through the cached stages: what they found of the person that each label is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidfer.config import PipelineConfig
from vidfer.engine.clip_tables import clip_tables
from vidfer.engine.events import EventCallback, ignore
from vidfer.engine.runner import run
from vidfer.errors import DataError
from vidfer.learning.corpus import check_content, corpus_videos
from vidfer.learning.datasets.manifest import Manifest
from vidfer.learning.datasets.manifest_faces import rows_in_stretch
from vidfer.pipeline.emotions import of_clip
from vidfer.pipeline.tables import EmotionsTable, Table
from vidfer.store.cache import StageCache
from vidfer.store.layout import cache_folder

_MAX_NAMED = 5  # failed rows that a message names


@dataclass(frozen=True, kw_only=True)
class LabelledTrack:
    """The rows of one person that lie in the labelled stretch of a video.

    Attributes
    ----------
    pts_seconds
        (T,) float64.
    vectors
        (T, D) float16 of the per-frame network.
    logits
        (T, 8) float32 of it, as it gives them: without the prior and the baseline of ``[emotions]``.
    probabilities
        (T, 8) float32 of the timeline, with both.
    """

    pts_seconds: np.ndarray
    vectors: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray


def labelled_tracks(
    manifest: Manifest, rows: np.ndarray, out: Path, config: PipelineConfig, *, on_event: EventCallback = ignore
) -> list[LabelledTrack | None]:
    """Bring the videos of these rows up to date in the results folder ``out`` and return each row's person.

    That is whoever fills the most pixels, summed over the frames of the stretch; None where nobody is seen in it.

    Parameters
    ----------
    manifest, rows
        Videos and their labelled stretches.
    out
        A results folder of its own; what it holds already is not computed again. Only tables are made, no files.
    config
        The pipeline.
    on_event
        As in ``engine.runner.run``.

    Raises
    ------
    DataError
        If a video cannot be decoded (names the row), has no frame in a labelled stretch, or is not the one that the
        manifest's sha256 says.
    """
    videos = corpus_videos(manifest.path[int(row)] for row in rows)
    config = config.model_copy(update={"output": config.output.model_copy(update={"exports": ()})})
    report = run(videos, out, config, on_event=on_event)
    reasons = {record.path: str(record.failure["message"]) for record in report.failed}
    failed = [int(row) for row in rows if str(manifest.path[int(row)]) in reasons]
    if failed:
        named = [f"row {row + 1}: {reasons[str(manifest.path[row])]}" for row in failed[:_MAX_NAMED]]
        more = f"; and {len(failed) - _MAX_NAMED} more" if len(failed) > _MAX_NAMED else ""
        raise DataError(f"the manifest names videos that cannot be used: {'; '.join(named)}{more}; take them out")
    cache = StageCache(cache_folder(out))
    places = manifest.select(rows).rows_by_video()
    found: list[LabelledTrack | None] = [None] * len(rows)
    for record in report.records:
        check_content(manifest, rows[places[Path(record.path)]], record)
        tables, _ = clip_tables(cache, record.keys, config)
        for place in places[Path(record.path)]:
            frames = rows_in_stretch(manifest, int(rows[place]), of_clip(tables)[0].pts_seconds)
            found[place] = main_person(tables, frames)
    return found


def main_person(tables: Mapping[str, Table], frame_rows: np.ndarray) -> LabelledTrack | None:
    """Return who fills the most pixels within some frames (M,) of a clip."""
    frames, faces, tracks, embeddings = of_clip(tables)
    emotions = tables["emotions"]
    assert isinstance(emotions, EmotionsTable)
    pts_seconds = frames.pts_seconds[faces.frame_row]  # (N,)
    inside = np.flatnonzero(np.isin(faces.frame_row, frame_rows) & (tracks.track_id >= 0))
    if not len(inside):
        return None
    sides = faces.xyxy[inside, 2:] - faces.xyxy[inside, :2]
    filled = np.bincount(tracks.track_id[inside], weights=sides.prod(1))
    mine = inside[tracks.track_id[inside] == filled.argmax()]
    return LabelledTrack(
        pts_seconds=pts_seconds[mine],
        vectors=embeddings.vectors[mine],
        logits=embeddings.logits[mine],
        probabilities=emotions.probabilities[mine],
    )
