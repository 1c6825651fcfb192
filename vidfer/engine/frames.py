"""One decode pass that feeds every frame stage without a valid cache, and replays the rows of those that have one.

The sampled frames of a video are divided into segments of a fixed number of frames. When a segment is done each stage
publishes its rows as a part; a run that is killed continues after the last part, and the joined table has the same
bytes. Stages see frames in chunks that never cross a segment's border.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import torch

from vidfer.engine.cache import StageCache
from vidfer.engine.clip_tables import load_faces
from vidfer.engine.events import EventCallback, FramesDone
from vidfer.errors import CacheError
from vidfer.stages.chunk import CHUNK_FRAMES, FrameChunk
from vidfer.stages.embeddings import EmbeddingsStage
from vidfer.stages.faces import FacesStage
from vidfer.stages.tables import EmbeddingsTable, FacesTable
from vidfer.types import DecodeReport, FrameBatch
from vidfer.video.collect import damage_warnings
from vidfer.video.prefetch import prefetch
from vidfer.video.reader import FrameReader

FACES, EMBEDDINGS = "faces", "embeddings"
PREFETCH_CHUNKS = 2


@dataclass(frozen=True, kw_only=True)
class FramePass:
    """What one pass over a clip's frames works with.

    Attributes
    ----------
    clip_id
        For events.
    cache
        Where tables and parts lie.
    keys
        Cache keys by stage name.
    faces, embeddings
        The stages.
    device
        Where frames are sent.
    segment_frames
        Sampled frames per part, a multiple of CHUNK_FRAMES.
    emit
        Gets a FramesDone per chunk.
    """

    clip_id: str
    cache: StageCache
    keys: Mapping[str, str]
    faces: FacesStage
    embeddings: EmbeddingsStage
    device: torch.device
    segment_frames: int
    emit: EventCallback

    def run(self, reader: FrameReader, indices: np.ndarray, todo: Sequence[str]) -> None:
        """Compute and publish what is missing, going on where an earlier run was stopped.

        Parameters
        ----------
        reader
            Of this clip's video.
        indices
            (S,) int64, the frames to sample.
        todo
            The frame stages without a complete table, at least one.
        """
        num_segments = max(1, -(-len(indices) // self.segment_frames))
        have = {name: self._num_parts(name) for name in todo}
        first = min(have.values())
        replay = _Replay(self, indices, computed_faces=FACES in todo)
        groups = self._decoded_segments(reader, indices, first, num_segments)
        with closing(groups):
            for segment, chunks in groups:
                if all(self.cache.contains(name, self.keys[name]) for name in todo):
                    break  # another worker had the same video under another name, and has finished it
                self._segment(segment, chunks, [n for n in todo if have[n] <= segment], replay, reader, indices)
        for name in todo:
            self._finish(name, num_segments)

    def _num_parts(self, name: str) -> int:
        """Return how many segments an earlier run finished; parts of another length are of no use."""
        parts = self.cache.part_attributes(name, self.keys[name])
        return sum(1 for _ in takewhile(lambda part: part["segment_frames"] == self.segment_frames, parts))

    def _decoded_segments(
        self, reader: FrameReader, indices: np.ndarray, first: int, num_segments: int
    ) -> Generator[tuple[int, Iterator[FrameBatch]], None, None]:
        """Yield (segment, its chunks) for every segment from ``first`` on, also those without a decodable frame."""
        wanted = indices[first * self.segment_frames :]
        source = prefetch(reader.read(wanted, batch_size=CHUNK_FRAMES), depth=PREFETCH_CHUNKS)
        with closing(source):
            chunks = _regrouped(source, wanted)
            pending = next(chunks, None)
            for segment in range(first, num_segments):
                end = (segment + 1 - first) * self.segment_frames // CHUNK_FRAMES

                def of_segment(end: int = end) -> Iterator[FrameBatch]:
                    nonlocal pending
                    while pending is not None and pending[0] < end:
                        batch = pending[1]
                        pending = None
                        yield batch
                        del batch
                        pending = next(chunks, None)

                yield segment, of_segment()

    def _segment(
        self,
        segment: int,
        batches: Iterable[FrameBatch],
        todo: list[str],
        replay: _Replay,
        reader: FrameReader,
        indices: np.ndarray,
    ) -> None:
        known = None if FACES in todo else replay.segment(segment)
        faces_rows: list[FacesTable] = []
        embedding_rows: list[EmbeddingsTable] = []
        for batch in batches:
            chunk = FrameChunk(batch, self.device)
            faces = self.faces.process(chunk) if known is None else _rows_of(known, batch)
            faces_rows.append(faces)
            if EMBEDDINGS in todo:
                embedding_rows.append(self.embeddings.process(chunk, faces.detections()))
            done = int(np.searchsorted(indices, batch.frame_index[-1])) + 1
            computed = {name: len(batch) for name in todo}
            self.emit(FramesDone(clip_id=self.clip_id, done=done, total=len(indices), computed=computed))
        bounds = indices[segment * self.segment_frames :: self.segment_frames][:2].tolist()
        report = reader.report(start=bounds[0] if segment else 0, stop=bounds[1] if len(bounds) > 1 else None)
        attributes = {"decode": dataclasses.asdict(report), "segment_frames": self.segment_frames}
        if FACES in todo:
            table = FacesTable.stack(faces_rows) if faces_rows else self.faces.empty()
            self.cache.store_part(FACES, self.keys[FACES], segment, table.arrays(), attributes)
        if EMBEDDINGS in todo:
            vectors = EmbeddingsTable.stack(embedding_rows) if embedding_rows else self.embeddings.empty()
            self.cache.store_part(EMBEDDINGS, self.keys[EMBEDDINGS], segment, vectors.arrays(), attributes)

    def _finish(self, name: str, num_segments: int) -> None:
        """Publish the whole table, unless another worker has done so: it then removes the parts at any moment."""
        key = self.keys[name]
        parts = self.cache.part_attributes(name, key)
        if len(parts) == num_segments:
            attributes = {"decode": dataclasses.asdict(_joined([part["decode"] for part in parts]))}
            self.cache.finish(name, key, attributes, num_parts=num_segments)
        elif self.cache.contains(name, key):
            self.cache.remove_parts(name, key)  # those that were written here after the other had tidied up
        else:
            raise CacheError(f"{self.cache.path(name, key)}: {len(parts)} of {num_segments} parts are intact")


class _Replay:
    """Rows of the faces stage that an earlier run computed, segment by segment."""

    def __init__(self, frame_pass: FramePass, indices: np.ndarray, *, computed_faces: bool) -> None:
        self._cache, self._key = frame_pass.cache, frame_pass.keys[FACES]
        self._indices, self._size = indices, frame_pass.segment_frames
        self._whole: FacesTable | None = None
        self._parts = enumerate(self._cache.iter_parts(FACES, self._key) if computed_faces else ())

    def segment(self, segment: int) -> FacesTable:
        """Return the frames and faces of one segment; segments are asked for in ascending order.

        Raises CacheError if the rows have gone.
        """
        for index, part in self._parts:
            if index == segment:
                return FacesTable.from_arrays(part.arrays)
        # Not in parts: the table was complete from the beginning, or another worker has finished it meanwhile.
        if self._whole is None:
            self._whole = load_faces(self._cache, self._key)[0]
        frame_index = self._whole.frame_index
        bounds = self._indices[segment * self._size :: self._size][:2]
        first = int(np.searchsorted(frame_index, bounds[0])) if len(bounds) else 0
        last = int(np.searchsorted(frame_index, bounds[1])) if len(bounds) > 1 else len(frame_index)
        return self._whole.select_frames(first, last)


def _rows_of(faces: FacesTable, batch: FrameBatch) -> FacesTable:
    """Return the rows of a batch's frames from a table that holds them."""
    first = int(np.searchsorted(faces.frame_index, batch.frame_index[0]))
    rows = faces.select_frames(first, first + len(batch))
    if not np.array_equal(rows.frame_index, batch.frame_index):
        raise CacheError("the cached faces belong to other frames than were decoded now: run again with --force faces")
    return rows


def _regrouped(batches: Iterable[FrameBatch], wanted: np.ndarray) -> Iterator[tuple[int, FrameBatch]]:
    """Yield (number, chunk): chunk k holds what was decoded of wanted[k * CHUNK_FRAMES :][:CHUNK_FRAMES].

    Readers fill their batches past frames that were lost, so after a loss batches must be divided anew for chunks not
    to depend on where reading began. Without losses nothing is copied.
    """
    held: list[FrameBatch] = []
    number = -1
    for batch in batches:
        slots = np.searchsorted(wanted, batch.frame_index) // CHUNK_FRAMES
        for slot in np.unique(slots).tolist():
            if held and slot != number:
                yield number, _joined_batch(held)
                held = []
            number = slot
            held.append(batch if (slots == slot).all() else _selected(batch, slots == slot))
        if number >= 0 and len(held) == 1 and len(held[0]) == CHUNK_FRAMES:
            yield number, held.pop()
    if held:
        yield number, _joined_batch(held)


def _selected(batch: FrameBatch, rows: np.ndarray) -> FrameBatch:
    return FrameBatch(
        images=batch.images[rows], frame_index=batch.frame_index[rows], pts_seconds=batch.pts_seconds[rows]
    )


def _joined_batch(batches: list[FrameBatch]) -> FrameBatch:
    if len(batches) == 1:
        return batches[0]
    return FrameBatch(
        images=np.concatenate([b.images for b in batches]),
        frame_index=np.concatenate([b.frame_index for b in batches]),
        pts_seconds=np.concatenate([b.pts_seconds for b in batches]),
    )


def _joined(reports: list[dict[str, Any]]) -> DecodeReport:
    """Return the sum of the reports of consecutive segments."""
    counts = ("expected_frames", "decoded_frames", "bad_packets", "corrupt_frames")
    sums = {name: sum(report[name] for report in reports) for name in counts}
    of_part = {text for report in reports for text in damage_warnings(*(report[name] for name in counts))}
    warnings = dict.fromkeys(text for report in reports for text in report["warnings"] if text not in of_part)
    return DecodeReport(
        reader=reports[0]["reader"],
        **sums,
        truncated=any(report["truncated"] for report in reports),
        warnings=(*warnings, *damage_warnings(*(sums[name] for name in counts))),
    )
