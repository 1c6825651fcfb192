"""One decode pass that feeds every frame stage without a valid cache, and replays the rows of those that have one.

The sampled frames of a video are divided into segments of a fixed number of frames. When a segment is done each stage
publishes its rows as a part; a run that is killed continues after the last part, and the joined table has the same
bytes. Stages see frames in chunks that never cross a segment's border.

Chunks do not depend on each other. With more than one thread each has a whole chunk in its hands (one chunk's small
pictures do not divide well among several), another thread decodes, and the caller's publishes rows in the order of the
video: neither the number of threads nor their timing changes a byte.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
import torch

from vidfer.engine.cache import StageCache
from vidfer.engine.clip_tables import load_faces
from vidfer.engine.events import EventCallback, FramesDone
from vidfer.engine.regroup import regrouped
from vidfer.errors import CacheError
from vidfer.stages.chunk import MAX_CHUNK_BYTES, FrameChunk, chunk_frames
from vidfer.stages.embeddings import EmbeddingsStage
from vidfer.stages.faces import FacesStage
from vidfer.stages.tables import EmbeddingsTable, FacesTable
from vidfer.types import DecodeReport, FrameBatch
from vidfer.video.collect import damage_warnings
from vidfer.video.prefetch import map_in_order, prefetch
from vidfer.video.reader import FrameReader

FACES, EMBEDDINGS = "faces", "embeddings"
HELD_BYTES = 6 * MAX_CHUNK_BYTES  # decoded frames that exist at a time take no more


def chunks_at_once(threads: int, chunk_bytes: int) -> int:
    """Return how many chunks can be computed at a time within ``HELD_BYTES``.

    Besides them one waits for the threads, one is on its way to them, one waits behind the reader, and one is being
    filled.
    """
    return max(1, min(threads, HELD_BYTES // max(1, chunk_bytes) - 4))


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
    frame_bytes
        Of a decoded frame: large ones are held in smaller numbers.
    """

    clip_id: str
    cache: StageCache
    keys: Mapping[str, str]
    faces: FacesStage
    embeddings: EmbeddingsStage
    device: torch.device
    segment_frames: int
    emit: EventCallback
    frame_bytes: int = 0

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
        _Pass(self, reader, indices, {name: self._num_parts(name) for name in todo}, num_segments).run()
        for name in todo:
            self._finish(name, num_segments)

    def _num_parts(self, name: str) -> int:
        """Return how many segments an earlier run finished; parts of another length are of no use."""
        parts = self.cache.part_attributes(name, self.keys[name])
        return sum(1 for _ in takewhile(lambda part: part["segment_frames"] == self.segment_frames, parts))

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


@dataclass(frozen=True)
class _Piece:
    """A chunk to compute, with its faces if an earlier run found them; without frames: the end of a segment."""

    segment: int
    batch: FrameBatch | None
    known: FacesTable | None = None


@dataclass(frozen=True)
class _Rows:
    """What a piece has become: its tables, and which frames it held; without frames: the end of a segment."""

    segment: int
    frame_index: np.ndarray | None = None
    faces: FacesTable | None = None
    embeddings: EmbeddingsTable | None = None


class _Pass:
    """State of one ``FramePass.run``: ``have`` says how many segments of each stage an earlier run finished."""

    def __init__(
        self, work: FramePass, reader: FrameReader, indices: np.ndarray, have: dict[str, int], num_segments: int
    ) -> None:
        self.work, self.reader, self.indices, self.have, self.num_segments = work, reader, indices, have, num_segments
        self.first = min(have.values())
        self.chunk_frames = chunk_frames(work.frame_bytes)
        self.replay = _Replay(work, indices, computed_faces=FACES in have)

    def run(self) -> None:
        """Publish every part that is missing."""
        chunk_bytes = self.chunk_frames * self.work.frame_bytes
        threads = torch.get_num_threads() if self.work.device.type == "cpu" else min(2, torch.get_num_threads())
        at_once = chunks_at_once(threads, chunk_bytes)
        pieces = self._pieces(decode_ahead=3 * chunk_bytes <= HELD_BYTES)
        with closing(pieces):
            if at_once == 1 or not self._may_share():
                self._publish_segments(map(self._compute, pieces))
                return
            # Within a chunk one thread: PyTorch picks another algorithm for several, which rounds differently.
            one_each = partial(torch.set_num_threads, 1)
            with closing(map_in_order(self._compute, pieces, threads=at_once, on_start=one_each)) as rows:
                self._publish_segments(rows)

    def _may_share(self) -> bool:
        """Return whether threads may share the networks that are needed; load those, which threads could not."""
        if EMBEDDINGS in self.have:
            self.work.embeddings.load()
        return FACES not in self.have or self.work.faces.load()

    def _compute(self, piece: _Piece) -> _Rows:
        """Return the rows of a chunk; chunks do not depend on each other."""
        if piece.batch is None:
            return _Rows(piece.segment)
        chunk = FrameChunk(piece.batch, self.work.device)
        faces = self.work.faces.process(chunk) if piece.known is None else piece.known
        embeddings = None
        if EMBEDDINGS in self._todo(piece.segment):
            embeddings = self.work.embeddings.process(chunk, faces.detections())
        return _Rows(piece.segment, piece.batch.frame_index, faces, embeddings)

    def _pieces(self, *, decode_ahead: bool) -> Generator[_Piece, None, None]:
        """Yield every chunk, and the ends of segments."""
        groups = self._decoded_segments(decode_ahead)
        with closing(groups):
            for segment, batches in groups:
                known = None if FACES in self._todo(segment) else self.replay.segment(segment)
                for batch in batches:
                    yield _Piece(segment, batch, None if known is None else _rows_of(known, batch))
                    del batch  # it may be large
                yield _Piece(segment, None)

    def _decoded_segments(self, decode_ahead: bool) -> Generator[tuple[int, Iterator[FrameBatch]], None, None]:
        """Yield (segment, its chunks) for every segment from the first on, also those without a decodable frame."""
        size = self.work.segment_frames
        wanted = self.indices[self.first * size :]
        batches = self.reader.read(wanted, batch_size=self.chunk_frames)
        source = prefetch(batches, depth=1) if decode_ahead else _generator(batches)
        with closing(source):
            chunks = regrouped(source, wanted, self.chunk_frames)
            pending = next(chunks, None)
            for segment in range(self.first, self.num_segments):
                end = (segment + 1 - self.first) * size // self.chunk_frames

                def of_segment(end: int = end) -> Iterator[FrameBatch]:
                    nonlocal pending
                    while pending is not None and pending[0] < end:
                        batch = pending[1]
                        pending = None
                        yield batch
                        del batch
                        pending = next(chunks, None)

                yield segment, of_segment()

    def _publish_segments(self, rows: Iterable[_Rows]) -> None:
        """Announce each chunk, and publish each segment's parts."""
        work = self.work
        faces: list[FacesTable] = []
        embeddings: list[EmbeddingsTable] = []
        for item in rows:
            todo = self._todo(item.segment)
            if item.frame_index is None:
                self._publish(item.segment, todo, faces, embeddings)
                if all(work.cache.contains(name, work.keys[name]) for name in self.have):
                    return  # another worker had the same video under another name, and has finished it
                faces, embeddings = [], []
                continue
            if item.faces is not None:
                faces.append(item.faces)
            if item.embeddings is not None:
                embeddings.append(item.embeddings)
            done = int(np.searchsorted(self.indices, item.frame_index[-1])) + 1
            computed = {name: len(item.frame_index) for name in todo}
            work.emit(FramesDone(clip_id=work.clip_id, done=done, total=len(self.indices), computed=computed))

    def _publish(
        self, segment: int, todo: list[str], faces: list[FacesTable], embeddings: list[EmbeddingsTable]
    ) -> None:
        work = self.work
        bounds = self.indices[segment * work.segment_frames :: work.segment_frames][:2].tolist()
        report = self.reader.report(start=bounds[0] if segment else 0, stop=bounds[1] if len(bounds) > 1 else None)
        attributes = {"decode": dataclasses.asdict(report), "segment_frames": work.segment_frames}
        if FACES in todo:
            table = FacesTable.stack(faces) if faces else work.faces.empty()
            work.cache.store_part(FACES, work.keys[FACES], segment, table.arrays(), attributes)
        if EMBEDDINGS in todo:
            vectors = EmbeddingsTable.stack(embeddings) if embeddings else work.embeddings.empty()
            work.cache.store_part(EMBEDDINGS, work.keys[EMBEDDINGS], segment, vectors.arrays(), attributes)

    def _todo(self, segment: int) -> list[str]:
        """Return the stages whose part of a segment is missing."""
        return [name for name, parts in self.have.items() if parts <= segment]


def _generator(batches: Iterable[FrameBatch]) -> Generator[FrameBatch, None, None]:
    yield from batches


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
