"""Batches as a reader gives them, divided anew into the chunks that stages see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from vidfer.pipeline.chunk import CHUNK_FRAMES
from vidfer.types import FrameBatch


def regrouped(
    batches: Iterable[FrameBatch], wanted: np.ndarray, size: int = CHUNK_FRAMES
) -> Iterator[tuple[int, FrameBatch]]:
    """Yield (number, chunk): chunk k holds what was decoded of wanted[k * size :][:size].

    Readers fill their batches past frames that were lost, so after a loss batches must be divided anew for chunks not
    to depend on where reading began. Without losses nothing is copied.
    """
    held: list[FrameBatch] = []
    number = -1
    for batch in batches:
        slots = np.searchsorted(wanted, batch.frame_index) // size
        for slot in np.unique(slots).tolist():
            if held and slot != number:
                yield number, FrameBatch.join(held)
                held = []
            number = slot
            held.append(batch if (slots == slot).all() else batch.take(slots == slot))
        if number >= 0 and len(held) == 1 and len(held[0]) == size:
            yield number, held.pop()
    if held:
        yield number, FrameBatch.join(held)
