"""An hour of one face must not take many times its own size: a worker's memory hardly grows with a clip's length."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np

from vidfer.faces.cuts import SIGNATURE_SIZE, is_cut
from vidfer.temporal import TrackSequence
from vidfer.temporal.grid import make_grid
from vidfer.temporal.networks.features import node_features

NUM_ROWS = 30_000  # 20 minutes at 25 frames/s


def extra_bytes(work: Callable[[], object]) -> int:
    """Return the most memory that NumPy took at a time beyond what was there, the result included."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_features_of_a_long_track_take_little_more_than_its_embeddings() -> None:
    rng = np.random.default_rng(0)
    track = TrackSequence(
        pts_seconds=np.arange(NUM_ROWS) / 25,
        vectors=rng.standard_normal((NUM_ROWS, 128), dtype=np.float32),
        logits=rng.standard_normal((NUM_ROWS, 8), dtype=np.float32),
        quality=rng.random(NUM_ROWS, dtype=np.float32),
    )
    grid = make_grid(track.pts_seconds, track.quality)
    assert extra_bytes(lambda: node_features(track, grid)) < 2.5 * track.vectors.nbytes


def test_cuts_of_a_long_clip_take_little_more_than_its_signatures() -> None:
    signatures = np.zeros((NUM_ROWS, SIGNATURE_SIZE), np.float16)
    assert extra_bytes(lambda: is_cut(signatures[:-1], signatures[1:])) < 2 * signatures.nbytes
