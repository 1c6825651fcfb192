"""Labelled sequences from a corpus of videos: tracks that the cached stages gave, with the corpus's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vidfer.errors import DataError
from vidfer.labels import NUM_EMOTIONS
from vidfer.learning.datasets.face_sequences import LabelledSequence
from vidfer.learning.datasets.manifest import Manifest, ManifestSplit
from vidfer.learning.datasets.valence_arousal import ValenceArousal
from vidfer.temporal import TrackSequence
from vidfer.temporal.grid import STEP_SECONDS


@dataclass(frozen=True, kw_only=True)
class CorpusSequence(LabelledSequence):
    """A labelled track of a corpus.

    Attributes
    ----------
    video
        Where it is from.
    clip_id
        The clip whose one label all rows have; empty where labels are by frame.
    valence_arousal
        (T, 2) float32, NaN where unknown; None where the corpus has none for this video.
    """

    video: Path
    clip_id: str = ""
    valence_arousal: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class LabelledCorpus:
    """The labelled tracks of a manifest's videos."""

    manifest: Manifest
    sequences: tuple[CorpusSequence, ...]

    def part(self, split: ManifestSplit) -> list[CorpusSequence]:
        """Return the tracks of a split."""
        videos = {self.manifest.path[row] for row in self.manifest.rows_of(split)}
        return [sequence for sequence in self.sequences if sequence.video in videos]

    def clips_without_face(self, split: ManifestSplit) -> list[str]:
        """Return the clips with a label of their own in a split for which there is no track."""
        seen = {sequence.clip_id for sequence in self.sequences}
        whole = ~self.manifest.is_frame_level
        return [
            self.manifest.clip_id[row]
            for row in self.manifest.rows_of(split)
            if whole[row] and self.manifest.clip_id[row] not in seen
        ]

    def with_manifest(self, manifest: Manifest) -> LabelledCorpus:
        """Return the same tracks with other splits."""
        return replace(self, manifest=manifest)


def main_tracks(tracks: Sequence[TrackSequence], areas: Sequence[float]) -> list[int]:
    """Return which tracks show the person that a clip's label is for, in order.

    Labels do not say which face they are for. The track with the largest face over time (``areas``: sums over its rows)
    is taken, and every other one that shares no moment with those taken: the same person, lost and found again.
    """
    taken: list[int] = []
    for i in sorted(range(len(tracks)), key=lambda i: -areas[i]):
        start, end = tracks[i].pts_seconds[[0, -1]]
        if all(end < tracks[j].pts_seconds[0] or start > tracks[j].pts_seconds[-1] for j in taken):
            taken.append(i)
    return sorted(taken)


def label_track(
    track: TrackSequence, manifest: Manifest, rows: np.ndarray, *, values: ValenceArousal | None = None
) -> CorpusSequence | None:
    """Return a track of a video with the labels of the video's rows (M,) of the manifest; None if no row has one.

    Raises
    ------
    DataError
        If the video as a whole has two labels.
    """
    labels, stretches = manifest.label_index, manifest.is_frame_level
    target = np.zeros((len(track), NUM_EMOTIONS), np.float32)
    whole = [int(row) for row in rows if not stretches[row]]
    if len({int(labels[row]) for row in whole}) > 1:
        names = ", ".join(manifest.clip_id[row] for row in whole[:2])
        raise DataError(f"{manifest.path[whole[0]]}: {names} give the whole video different labels; keep one of them")
    if whole:
        target[:, labels[whole[0]]] = 1.0
    for row in rows[stretches[rows]]:
        start, end = np.nan_to_num(manifest.start_seconds[row]), manifest.end_seconds[row]
        inside = (track.pts_seconds >= start) & ~(track.pts_seconds >= end)
        target[inside] = np.eye(NUM_EMOTIONS, dtype=np.float32)[labels[row]]
    if not target.any():
        return None
    return CorpusSequence(
        track=track,
        target=target,
        video=manifest.path[rows[0]],
        clip_id=manifest.clip_id[whole[0]] if len(whole) == len(rows) else "",
        valence_arousal=None if values is None else values.at(track.pts_seconds),
    )


def labels_by_step(sequence: LabelledSequence) -> np.ndarray:
    """Return a sequence's labels with one a ``STEP_SECONDS``, unlabelled rows left out: (G,) int64."""
    pts = sequence.track.pts_seconds
    at = np.arange(pts[0], pts[-1] + 1e-6, STEP_SECONDS)
    labels = sequence.labels[np.searchsorted(pts, at - 1e-6).clip(0, len(pts) - 1)]
    return labels[labels >= 0]


class CorpusSequences:
    """Draws stretches of labelled tracks, each track equally often.

    Parameters
    ----------
    sequences
        Whole tracks; of a corpus with one label a clip, every row has it.
    """

    def __init__(self, sequences: Sequence[LabelledSequence]) -> None:
        self._sequences = [s for s in sequences if len(s.track)]
        if not self._sequences:
            raise DataError("the corpus gives no labelled track: no face was found, or no clip of this split is there")
        sizes = {s.track.vectors.shape[1] for s in self._sequences}
        if len(sizes) > 1:
            raise DataError(f"the corpus's tracks come from different backbones: embeddings of sizes {sorted(sizes)}")
        self.dim = sizes.pop()

    def __len__(self) -> int:
        return len(self._sequences)

    def draw(self, random: np.random.Generator, *, duration_seconds: float) -> LabelledSequence:
        """Return a random stretch of this duration of a random track, or the whole of a shorter one."""
        whole = self._sequences[int(random.integers(len(self._sequences)))]
        pts = whole.track.pts_seconds
        spare = float(pts[-1] - pts[0]) - duration_seconds
        start = pts[0] + (float(random.uniform(0.0, spare)) if spare > 0 else 0.0)
        first, last = np.searchsorted(pts, [start, start + max(duration_seconds, 1e-6)])
        return cut(whole, int(first), max(int(last), int(first) + 1))


def cut(sequence: LabelledSequence, start: int, stop: int) -> LabelledSequence:
    """Return rows [start, stop) of a sequence."""
    track = sequence.track
    return LabelledSequence(
        track=TrackSequence(
            pts_seconds=track.pts_seconds[start:stop],
            vectors=track.vectors[start:stop],
            logits=track.logits[start:stop],
            quality=track.quality[start:stop],
        ),
        target=sequence.target[start:stop],
    )
