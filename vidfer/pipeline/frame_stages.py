"""The frame stages of a pipeline over the chunks of a video, on one thread or several."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from vidfer.device import num_threads, use_threads
from vidfer.errors import blamed_on
from vidfer.pipeline.chunk import MAX_CHUNK_BYTES, FrameChunk, Relay, no_boxes
from vidfer.pipeline.stage import FrameStage
from vidfer.pipeline.tables import FACES, NO_TABLES, Table, faces_in
from vidfer.types import FrameBatch
from vidfer.video.prefetch import map_in_order

if TYPE_CHECKING:
    import torch

HELD_BYTES = 6 * MAX_CHUNK_BYTES  # decoded frames that exist at a time take no more

T = TypeVar("T")
R = TypeVar("R")


def chunks_at_once(threads: int, chunk_bytes: int) -> int:
    """Return how many chunks can be computed at a time within ``HELD_BYTES``.

    Besides them one waits for the threads, one is on its way to them, one waits behind the reader, and one is being
    filled.
    """
    return max(1, min(threads, HELD_BYTES // max(1, chunk_bytes) - 4))


class FrameStages:
    """Frame stages that see the same chunks.

    Parameters
    ----------
    stages
        By name, each after those that it reads.
    inputs
        Names of the frame stages that each reads.
    device
        Where frames are sent; None: they stay arrays, for ONNX Runtime.
    """

    def __init__(
        self, stages: Mapping[str, FrameStage], *, inputs: Mapping[str, Collection[str]], device: torch.device | None
    ) -> None:
        self.stages, self.device = dict(stages), device
        self._inputs = inputs

    def __getitem__(self, name: str) -> FrameStage:
        return self.stages[name]

    def is_read(self, name: str) -> bool:
        """Return whether another frame stage reads this one's table."""
        return any(name in inputs for inputs in self._inputs.values())

    def read_by(self, todo: Collection[str]) -> list[str]:
        """Return the stages whose tables ``todo`` reads and that are known, if the faces are: theirs is the first."""
        if FACES in todo:
            return []
        needed = self._needed_for(todo).difference(todo)
        return [name for name in self.stages if name in needed or (needed and name == FACES)]

    def computed_for(self, todo: Collection[str]) -> list[str]:
        """Return the stages that compute where ``todo`` is to be done; what ``read_by`` names is known."""
        return [name for name in self.stages if name in self._needed_for(todo).difference(self.read_by(todo))]

    def _needed_for(self, todo: Collection[str]) -> set[str]:
        """Return these stages and those that they read, directly or not."""
        needed = set(todo)
        for name in reversed(self.stages):
            if name in needed:
                needed.update(self._inputs[name])
        return needed

    def process(
        self,
        batch: FrameBatch,
        todo: Collection[str],
        known: Mapping[str, Table] = NO_TABLES,
        relay: Relay | None = None,
    ) -> dict[str, Table]:
        """Return the tables of a chunk by stage: what is ``known``, what ``todo`` computes, and what that reads.

        ``relay`` connects it with the chunks before and behind it.
        """
        relay = relay or Relay()
        chunk = FrameChunk(batch, self.device, boxes_before=relay.before)
        tables = dict(known)
        needed = self._needed_for(todo)
        try:
            for name, stage in self.stages.items():
                if name in needed and name not in tables:
                    with blamed_on(name):
                        tables[name] = stage.process(chunk, tables)
                if name == FACES and name in tables:
                    relay.tell(faces_in(tables).last_boxes())
        finally:
            relay.tell(no_boxes())  # after an error the next chunk would wait for ever
        return tables

    def map(
        self, compute: Callable[[T], R], pieces: Iterable[T], *, todo: Collection[str], chunk_bytes: int
    ) -> Generator[R, None, None]:
        """Yield what ``compute`` makes of each piece, in order, on as many threads as the stages can share.

        Each thread works on a whole chunk: the small pictures of one chunk do not divide well among several. Neither
        the number of threads nor their timing changes a byte.
        """
        on_gpu = self.device is not None and self.device.type != "cpu"
        threads = min(2 if on_gpu else sys.maxsize, num_threads(self.device))
        at_once = chunks_at_once(threads, chunk_bytes)
        # A list, not a generator: all are loaded, also behind one that threads may not share.
        may_share = [self.stages[name].load() for name in self.computed_for(todo)]
        if at_once == 1 or not all(may_share):
            yield from map(compute, pieces)
            return
        # Within a chunk one thread: PyTorch picks another algorithm for several, which rounds differently.
        one_each = partial(use_threads, self.device, 1)
        with closing(map_in_order(compute, pieces, threads=at_once, on_start=one_each)) as results:
            yield from results
