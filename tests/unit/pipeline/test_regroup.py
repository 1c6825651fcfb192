"""Chunks of frames: the same whatever the reader's batches look like, and wherever reading began."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vidfer.pipeline.chunk import CHUNK_FRAMES
from vidfer.pipeline.regroup import regrouped
from vidfer.types import FrameBatch


def batch(indices: np.ndarray) -> FrameBatch:
    images = np.zeros((len(indices), 2, 3, 3), np.uint8)
    images[:, 0, 0, 0] = indices % 251
    return FrameBatch(images=images, frame_index=indices.astype(np.int64), pts_seconds=indices / 25.0)


@given(
    num_frames=st.integers(1, 150),
    step=st.integers(1, 3),
    lost=st.sets(st.integers(0, 149)),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=40),
)
def test_chunks_depend_only_on_which_frames_were_decoded(
    num_frames: int, step: int, lost: set[int], sizes: list[int]
) -> None:
    wanted = np.arange(num_frames) * step
    decoded = np.array([index for index in wanted if index not in lost], np.int64)
    batches, at = [], 0
    while at < len(decoded):
        size = sizes[len(batches) % len(sizes)]
        batches.append(batch(decoded[at : at + size]))
        at += size
    chunks = list(regrouped(batches, wanted))
    expected = {
        number: [i for i in wanted[number * CHUNK_FRAMES :][:CHUNK_FRAMES] if i in set(decoded.tolist())]
        for number in range(-(-num_frames // CHUNK_FRAMES))
    }
    assert [number for number, _ in chunks] == [number for number, rows in expected.items() if rows]
    for number, chunk in chunks:
        assert chunk.frame_index.tolist() == expected[number]
        assert (chunk.images[:, 0, 0, 0] == chunk.frame_index % 251).all()


def test_whole_chunks_are_handed_on_without_a_copy() -> None:
    batches = [batch(np.arange(16)), batch(np.arange(16, 32)), batch(np.arange(32, 40))]
    chunks = [chunk for _, chunk in regrouped(batches, np.arange(40))]
    assert all(np.shares_memory(a.images, b.images) for a, b in zip(batches, chunks, strict=True))


def test_a_chunk_is_handed_on_as_soon_as_it_is_whole() -> None:
    taken: list[int] = []

    def source():  # type: ignore[no-untyped-def]
        for first in (0, 16, 32):
            taken.append(first)
            yield batch(np.arange(first, first + 16))

    chunks = regrouped(source(), np.arange(48))
    next(chunks)
    assert taken == [0]
