"""One decode pass that feeds every frame stage without a valid cache, and replays the rows of those that have one.

The sampled frames of a video are divided into segments of a fixed number of frames. When a segment is done each stage
publishes its rows as a part; a run that is killed continues after the last part, and the joined table has the same
bytes. Stages see frames in chunks that never cross a segment's border.

Chunks are computed by threads (``pipeline.frame_stages``), each knowing who was there before it (``Relay``), another
decodes, and the caller's publishes rows in the order of the video.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import numpy as np

from vidfer.engine.clip_tables import load_table
from vidfer.engine.events import EventCallback, FramesDone
from vidfer.errors import CacheError
from vidfer.pipeline import StageDeclaration
from vidfer.pipeline.chunk import Relay, chunk_frames, no_boxes
from vidfer.pipeline.frame_stages import HELD_BYTES, FrameStages
from vidfer.pipeline.regroup import regrouped
from vidfer.pipeline.tables import FACES, FacesTable, Table, faces_in
from vidfer.store.cache import StageCache
from vidfer.types import DecodeReport, FrameBatch
from vidfer.video.collect import damage_warnings
from vidfer.video.prefetch import prefetch
from vidfer.video.reader import FrameReader


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
    stages, declared
        The frame stages, and what is declared of each.
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
    stages: FrameStages
    declared: Mapping[str, StageDeclaration]
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
        try:
            _Pass(self, reader, indices, {name: self._num_parts(name) for name in todo}, num_segments).run()
            for name in todo:
                self._finish(name, num_segments)
        except CacheError:
            # Another worker took away what it does not keep. The next try does not look at the tables that it finished.
            for name in todo:
                if self.cache.contains(name, self.keys[name]):
                    self.cache.remove_parts(name, self.keys[name])
            raise

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
    """A chunk to compute, with the tables that an earlier run computed of it; without frames: the end of a segment."""

    segment: int
    batch: FrameBatch | None
    known: Mapping[str, Table] = field(default_factory=dict)
    relay: Relay | None = None


@dataclass(frozen=True)
class _Rows:
    """What a piece has become: its tables, and which frames it held; without frames: the end of a segment."""

    segment: int
    frame_index: np.ndarray | None = None
    tables: Mapping[str, Table] = field(default_factory=dict)


class _Pass:
    """State of one ``FramePass.run``: ``have`` says how many segments of each stage an earlier run finished."""

    def __init__(
        self, work: FramePass, reader: FrameReader, indices: np.ndarray, have: dict[str, int], num_segments: int
    ) -> None:
        self.work, self.reader, self.indices, self.have, self.num_segments = work, reader, indices, have, num_segments
        self.first = min(have.values())
        self.chunk_frames = chunk_frames(work.frame_bytes)
        self.replay = _Replay(work, indices, have)

    def run(self) -> None:
        """Publish every part that is missing."""
        chunk_bytes = self.chunk_frames * self.work.frame_bytes
        with closing(self._pieces(decode_ahead=3 * chunk_bytes <= HELD_BYTES)) as pieces:
            mapped = self.work.stages.map(self._compute, pieces, todo=self.have, chunk_bytes=chunk_bytes)
            with closing(mapped) as rows:
                self._publish_segments(rows)

    def _compute(self, piece: _Piece) -> _Rows:
        """Return the rows of a chunk."""
        if piece.batch is None:
            return _Rows(piece.segment)
        todo = self._todo(piece.segment)
        tables = self.work.stages.process(piece.batch, todo, piece.known, piece.relay)
        return _Rows(piece.segment, piece.batch.frame_index, {name: tables[name] for name in todo})

    def _pieces(self, *, decode_ahead: bool) -> Generator[_Piece, None, None]:
        """Yield every chunk, and the ends of segments."""
        groups = self._decoded_segments(decode_ahead)
        relay = Relay()
        with closing(groups):
            for segment, batches in groups:
                if segment == self.have.get(FACES):  # the first whose faces are searched for
                    relay = Relay(self.replay.boxes_before_search)
                known = self.replay.segment(segment, self.work.stages.read_by(self._todo(segment)))
                for batch in batches:
                    yield _Piece(segment, batch, _rows_of(known, batch), relay)
                    relay = relay.next()
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
        tables: dict[str, list[Table]] = {name: [] for name in self.have}
        for item in rows:
            todo = self._todo(item.segment)
            if item.frame_index is None:
                self._publish(item.segment, {name: tables[name] for name in todo})
                if all(work.cache.contains(name, work.keys[name]) for name in self.have):
                    return  # another worker had the same video under another name, and has finished it
                tables = {name: [] for name in self.have}
                continue
            for name, table in item.tables.items():
                tables[name].append(table)
            done = int(np.searchsorted(self.indices, item.frame_index[-1])) + 1
            computed = {name: len(item.frame_index) for name in todo}
            work.emit(FramesDone(clip_id=work.clip_id, done=done, total=len(self.indices), computed=computed))

    def _publish(self, segment: int, tables: Mapping[str, list[Table]]) -> None:
        work = self.work
        bounds = self.indices[segment * work.segment_frames :: work.segment_frames][:2].tolist()
        report = self.reader.report(start=bounds[0] if segment else 0, stop=bounds[1] if len(bounds) > 1 else None)
        attributes = {"decode": dataclasses.asdict(report), "segment_frames": work.segment_frames}
        for name, found in tables.items():
            table = type(found[0]).stack(found) if found else work.stages[name].empty()
            work.cache.store_part(name, work.keys[name], segment, table.arrays(), attributes)

    def _todo(self, segment: int) -> list[str]:
        """Return the stages whose part of a segment is missing."""
        return [name for name, parts in self.have.items() if parts <= segment]


def _generator(batches: Iterable[FrameBatch]) -> Generator[FrameBatch, None, None]:
    yield from batches


class _Replay:
    """Rows that an earlier run computed, segment by segment; ``have`` says how many segments of each stage to do."""

    def __init__(self, frame_pass: FramePass, indices: np.ndarray, have: Mapping[str, int]) -> None:
        self._pass, self._indices, self._size = frame_pass, indices, frame_pass.segment_frames
        self._num_parts = dict(have)
        self._parts = {name: enumerate(frame_pass.cache.iter_parts(name, frame_pass.keys[name])) for name in have}
        self._whole: dict[str, Table] = {}

    def segment(self, segment: int, names: Iterable[str]) -> dict[str, Table]:
        """Return the tables of one segment by stage; segments are asked for in ascending order.

        Raises CacheError if the rows have gone.
        """
        return {name: self._table(segment, name) for name in names}

    def boxes_before_search(self) -> np.ndarray:
        """Return the faces of the last frame of the segments whose faces an earlier run found, as boxes (M, 4)."""
        work, num_parts, boxes = self._pass, self._num_parts[FACES], no_boxes()
        if not num_parts:
            return boxes
        for segment, part in enumerate(work.cache.iter_parts(FACES, work.keys[FACES]), start=1):
            table = FacesTable.from_arrays(part.arrays)
            boxes = table.last_boxes() if len(table.frame_index) else boxes
            if segment == num_parts:
                return boxes
        # Another worker has finished the table meanwhile.
        faces = faces_in({FACES: self._whole_table(FACES)})
        frames = slice(0, int(np.searchsorted(faces.frame_index, self._indices[num_parts * self._size])))
        return faces.rows(frames=frames, faces=faces.faces_of(frames)).last_boxes()

    def _table(self, segment: int, name: str) -> Table:
        stage = self._pass.declared[name]
        for index, part in self._parts.get(name, ()):
            if index == segment:
                return stage.table_type().from_arrays(part.arrays)
        # Not in parts: the table was complete from the beginning, or another worker has finished it meanwhile.
        faces = self._whole_table(FACES)
        assert isinstance(faces, FacesTable)
        bounds = self._indices[segment * self._size :: self._size][:2]
        first = int(np.searchsorted(faces.frame_index, bounds[0])) if len(bounds) else 0
        last = int(np.searchsorted(faces.frame_index, bounds[1])) if len(bounds) > 1 else len(faces.frame_index)
        frames = slice(first, last)
        return self._whole_table(name).rows(frames=frames, faces=faces.faces_of(frames))

    def _whole_table(self, name: str) -> Table:
        if name not in self._whole:
            work = self._pass
            self._whole[name] = load_table(work.cache, work.declared[name], work.keys[name])
        return self._whole[name]


def _rows_of(tables: Mapping[str, Table], batch: FrameBatch) -> Mapping[str, Table]:
    """Return the rows of a batch's frames from tables that hold them; the faces are among them, or none are."""
    if not tables:
        return tables
    faces = faces_in(tables)
    first = int(np.searchsorted(faces.frame_index, batch.frame_index[0]))
    frames = slice(first, first + len(batch))
    if not np.array_equal(faces.frame_index[frames], batch.frame_index):
        raise CacheError("the cached faces belong to other frames than were decoded now: run again with --force faces")
    return {name: table.rows(frames=frames, faces=faces.faces_of(frames)) for name, table in tables.items()}


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
