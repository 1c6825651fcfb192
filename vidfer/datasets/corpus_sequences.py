"""Labelled sequences from a corpus of videos: tracks that the cached stages gave, with the corpus's labels."""

from __future__ import annotations

import numpy as np

from vidfer.datasets.face_sequences import LabelledSequence
from vidfer.errors import DataError
from vidfer.labels import NUM_EMOTIONS
from vidfer.temporal import TrackSequence


class CorpusSequences:
    """Draws stretches of labelled tracks, each track equally often.

    Parameters
    ----------
    sequences
        Whole tracks with a target at every row (``clip_target`` for corpora with one label a clip).
    """

    def __init__(self, sequences: list[LabelledSequence]) -> None:
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


def clip_target(label: int, num_rows: int) -> np.ndarray:
    """Return targets (T, K) float32 of a clip with one label for all its rows."""
    return np.broadcast_to(np.eye(NUM_EMOTIONS, dtype=np.float32)[label], (num_rows, NUM_EMOTIONS)).copy()
