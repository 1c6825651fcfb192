"""A corpus through the engine: the cached stages run over a manifest's videos, and give labelled tracks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidfer.config import PipelineConfig, TemporalConfig
from vidfer.engine.clip_tables import clip_tables
from vidfer.engine.events import EventCallback, ignore
from vidfer.engine.runner import run
from vidfer.errors import DataError
from vidfer.learning.datasets.corpus_sequences import CorpusSequence, LabelledCorpus, label_track, main_tracks
from vidfer.learning.datasets.manifest import Manifest
from vidfer.learning.datasets.manifest_faces import rows_in_stretch
from vidfer.learning.datasets.valence_arousal import read_valence_arousal
from vidfer.pipeline import stages_before, stages_of
from vidfer.pipeline.emotions import of_clip, track_rows, track_sequences
from vidfer.store.cache import StageCache
from vidfer.store.journal import ClipRecord
from vidfer.store.layout import cache_folder
from vidfer.video.find import FoundVideo


@dataclass(frozen=True, kw_only=True)
class CorpusReading:
    """A corpus as far as it could be read.

    Attributes
    ----------
    corpus
        The labelled tracks.
    failed
        Videos that gave nothing; their rows have no track.
    """

    corpus: LabelledCorpus
    failed: tuple[ClipRecord, ...]


def corpus_videos(paths: Iterable[Path]) -> list[FoundVideo]:
    """Return videos, each once, named from the deepest folder that holds them all."""
    videos = sorted(set(paths))
    root = os.path.commonpath([path.parent for path in videos])
    return [FoundVideo(path, path.relative_to(root)) for path in videos]


def read_corpus(
    manifest: Manifest,
    results: Path,
    config: PipelineConfig,
    *,
    on_event: EventCallback = ignore,
) -> CorpusReading:
    """Bring the stages of all videos up to date in ``results`` and return their labelled tracks.

    What is cached there is not computed again, whatever the manifest's labels and splits; a run that was killed is
    continued. No sequence model runs and no files for people are written.

    Raises
    ------
    DataError
        No video gives a labelled track, or one has no frame in a labelled stretch or is not the one that the manifest's
        sha256 says.
    VidferError
        As ``engine.runner.run``.
    """
    output = config.output.model_copy(update={"exports": ()})
    config = config.model_copy(update={"temporal": TemporalConfig(name="none"), "output": output})
    report = run(corpus_videos(manifest.path), results, config, on_event=on_event)
    cache = StageCache(cache_folder(results))
    rows_of = manifest.rows_by_video()
    sequences: list[CorpusSequence] = []
    for record in report.records:
        if record.status == "ok":
            rows = rows_of[Path(record.path)]
            check_content(manifest, rows, record)
            sequences += _labelled_tracks(cache, record, config, manifest, rows)
    if not sequences:
        raise DataError(
            f"{len(report.records)} videos, {len(report.failed)} of which failed, gave no track with a label: see "
            f"{results / 'failures.csv'}"
        )
    return CorpusReading(
        corpus=LabelledCorpus(manifest=manifest, sequences=tuple(sequences)), failed=tuple(report.failed)
    )


def check_content(manifest: Manifest, rows: np.ndarray, record: ClipRecord) -> None:
    """Raise DataError unless a video is the one that these rows of the manifest name by its digest."""
    for row in rows:
        expected = manifest.sha256[row]
        if expected and expected != record.fingerprint:
            raise DataError(
                f"{record.path}: expected the video with sha256 {expected[:12]}..., as the manifest says, got "
                f"{record.fingerprint[:12]}...; put the right one there or build the manifest again"
            )


def _labelled_tracks(
    cache: StageCache, record: ClipRecord, config: PipelineConfig, manifest: Manifest, rows: np.ndarray
) -> list[CorpusSequence]:
    tables, _ = clip_tables(cache, record.keys, config, stages=stages_before("emotions", stages_of(config)))
    frames, faces, tracks, embeddings = of_clip(tables)
    for row in rows[manifest.is_frame_level[rows]].tolist():
        rows_in_stretch(manifest, row, frames.pts_seconds)  # raises where there is none
    members = track_rows(tracks.track_id)
    found = track_sequences(members, frames, faces, embeddings)
    sides = faces.xyxy[:, 2:] - faces.xyxy[:, :2]  # (N, 2)
    areas = [float(sides[part].prod(1).sum()) for part in members]
    trace = manifest.valence_arousal[int(rows[0])]
    values = None if trace is None else read_valence_arousal(trace)
    labelled = (label_track(found[i], manifest, rows, values=values) for i in main_tracks(found, areas))
    return [sequence for sequence in labelled if sequence is not None]
