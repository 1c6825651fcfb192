"""What became of every clip, remembered between runs: ``<out>/.vidfer/clips.jsonl``.

One line per finished clip is appended as it finishes; the last line of a clip counts. A line cut short by a kill is
skipped, and that clip is then looked at again (its stages are in the cache). Only the process that holds the run lock
writes here.

A line has five columns between tabs: the clip's id; the checksum of the others; by which settings the clip was
finished (``ClipRecord.made_by``), so that nothing need be parsed to see that nothing is left to do; the record; and the
clip's summary. Only ids and places are held in memory: a hundred thousand clips need little of it.

Lines that are appended, and not a database: ``vidfer status`` reads them while a run writes, on file systems without
locks too, and two runs of which one thinks the other dead leave lines of both. SQLite without locks does not stand that
(benchmarks/RESULTS.md).
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any, Literal, Self, overload

from vidfer.store.atomic import output_error, temporary_beside
from vidfer.store.fingerprint import VideoStamp
from vidfer.store.layout import stays_inside
from vidfer.store.outputs import FileStamp

MANY_CLIPS = 10_000  # of more, files are not looked at without being asked: each costs a request to the file server


@dataclass(frozen=True, kw_only=True)
class ClipRecord:
    """The last that is known of a clip.

    Attributes
    ----------
    clip_id, path
        Its folder below --out, and the video file.
    fingerprint
        sha256 of the video's content; empty if it could not be read.
    status
        ``ok`` or ``failed``.
    video
        Stamp of the video file, by which it is known as unchanged; None if it was too fresh for that.
    reader
        Which reader gave the frames; empty for a failure before that was known.
    keys
        Cache keys by stage (see ``engine.plan``).
    made_by
        Digest of the settings that give these keys: ``engine.plan.KeyPlan.digest``. Empty if some are of others.
    files
        Stamps of the files in the clip's folder.
    summary
        What ``timeline.summary.summarise`` said, without provenance, and ``timeline.time_course.time_course``.
    failure
        Its row of failures.csv, with ``permanent`` and the version of ``vidfer``; empty if ok.
    problems
        What users should know, one line each: cache files that had to be set aside, results that were replaced.
    seconds, computed_frames
        How long the clip took, and how many frames were computed: for run.json, never for results.
    """

    clip_id: str
    path: str
    fingerprint: str
    status: Literal["ok", "failed"]
    video: VideoStamp | None = None
    reader: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    made_by: str = ""
    files: dict[str, FileStamp] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    failure: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    computed_frames: int = 0


_FIELDS = frozenset(field.name for field in fields(ClipRecord))
_FORMAT = 2  # the first with checksums: lines of another format count as damaged
_READ_BYTES = 1 << 20
_SYNC_SECONDS = 1.0


class Records(Mapping[str, ClipRecord]):
    """The last record of each clip by id, read from the journal when it is needed.

    Parameters
    ----------
    path
        The journal; need not exist.

    Attributes
    ----------
    made_by
        Of each clip when the journal was read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, int] = {}
        self.made_by: dict[str, str] = {}
        self.num_lines = 0
        self.end = 0  # of the last whole line
        for clip_id, place, line in _lines(path):
            self._places[clip_id] = place
            self.num_lines += 1
            self.end = place + len(line)
            self.made_by[clip_id] = sys.intern(line.split(b"\t", 3)[2].decode())  # the same of most clips

    def by_age(self) -> list[str]:
        """Return the ids of all clips, that of the youngest record last."""
        return sorted(self._places, key=self._places.__getitem__)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._places

    def __getitem__(self, clip_id: str) -> ClipRecord:
        return self._read(clip_id, with_summary=True)

    def head(self, clip_id: str) -> ClipRecord | None:
        """Return a clip's record with an empty summary, which takes a tenth of the time; None if there is none."""
        return self._read(clip_id, with_summary=False) if clip_id in self._places else None

    def _read(self, clip_id: str, *, with_summary: bool) -> ClipRecord:
        place = self._places[clip_id]
        try:
            return _parse(self.line(place), expected=clip_id, with_summary=with_summary)
        except ValueError:  # another run has rewritten the file since
            self.__init__(self._path)  # type: ignore[misc]
            return _parse(self.line(self._places[clip_id]), expected=clip_id, with_summary=with_summary)

    def line(self, place: int) -> bytes:
        """Return the line that begins at a place of the file."""
        try:
            with self._path.open("rb") as file:
                file.seek(place)
                return file.readline()
        except OSError as error:
            raise output_error(self._path, error) from error

    def moved(self, clip_id: str, place: int, length: int) -> None:
        """Remember where a clip's new line is."""
        self._places[clip_id] = place
        self.num_lines += 1
        self.end = place + length


@dataclass(frozen=True)
class SomeRecords(Sequence[ClipRecord]):
    """Chosen records in an order of their own, read when they are asked for."""

    records: Mapping[str, ClipRecord]
    clip_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clip_ids)

    @overload
    def __getitem__(self, index: int) -> ClipRecord: ...
    @overload
    def __getitem__(self, index: slice) -> SomeRecords: ...
    def __getitem__(self, index: int | slice) -> ClipRecord | SomeRecords:
        if isinstance(index, slice):
            return SomeRecords(self.records, self.clip_ids[index])
        return self.records[self.clip_ids[index]]


class Journal:
    """The records of one --out folder, by clip id.

    Parameters
    ----------
    path
        The file; made when the first record comes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = Records(path)
        self._file: IO[bytes] | None = None
        self._synced = float("-inf")

    def add(self, record: ClipRecord) -> None:
        """Remember a clip's outcome; raises OutputError if that fails.

        It outlives this process from now on, and a power failure, too, unless another clip was remembered less than
        ``_SYNC_SECONDS`` before: flushing to the disk for each would keep the driver of many workers from its work.
        What a power failure takes is looked at again, and is in the cache.
        """
        try:
            if self._file is None:
                self._file = self._open()
            line = _line(record)
            place = self._file.seek(0, os.SEEK_END)
            self._file.write(line)
            self._file.flush()
            if time.monotonic() - self._synced >= _SYNC_SECONDS:
                self._sync()
        except OSError as error:
            raise output_error(self.path, error) from error
        self.records.moved(record.clip_id, place, len(line))

    def close(self) -> None:
        if self._file is not None:
            try:
                self._sync()
                self._file.close()
            except OSError as error:
                raise output_error(self.path, error) from error
            finally:
                self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _sync(self) -> None:
        assert self._file is not None
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def _open(self) -> IO[bytes]:
        """Open the file to append to it; where most of it was replaced since, it is written anew first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.records.num_lines > 2 * len(self.records):
            with temporary_beside(self.path) as temporary, temporary.open("xb") as file:
                file.writelines(_line(self.records[clip_id]) for clip_id in self.records)
            self.records = Records(self.path)
        file = self.path.open("ab")
        if file.tell() > self.records.end:
            file.truncate(self.records.end)  # a line that a kill cut short
        return file


def _line(record: ClipRecord) -> bytes:
    head = {name: value for name, value in vars(record).items() if name not in ("made_by", "summary")}
    body = b"\t".join((record.made_by.encode(), _json(head), _json(record.summary))) + b"\n"
    clip_id = _json(record.clip_id)
    return b"\t".join((clip_id, b"%08x" % zlib.crc32(clip_id + body, _FORMAT), body))


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _lines(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield clip id, place and content of every line that is whole."""
    place = 0
    try:
        with path.open("rb", buffering=_READ_BYTES) as file:
            for line in file:
                here, place = place, place + len(line)
                clip_id = _whose(line)
                if clip_id is not None:
                    yield clip_id, here, line
    except FileNotFoundError:
        pass
    except OSError as error:
        raise output_error(path, error) from error


def _whose(line: bytes) -> str | None:
    """Return the id of the clip that a line is about; None for a line that is not whole."""
    name, _, rest = line.partition(b"\t")
    checksum, _, body = rest.partition(b"\t")
    try:
        if not line.endswith(b"\n") or int(checksum, 16) != zlib.crc32(body, zlib.crc32(name, _FORMAT)):
            return None
        clip_id = json.loads(name)
        return clip_id if stays_inside(clip_id) else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _parse(line: bytes, *, expected: str, with_summary: bool) -> ClipRecord:
    """Return the record of a line; ValueError if it is not one of the expected clip."""
    _, _, made_by, head, summary = line.split(b"\t", 4)
    values: dict[str, Any] = json.loads(head)
    if values.get("clip_id") != expected:
        raise ValueError(f"expected a record of {expected!r}, got one of {values.get('clip_id')!r}")
    video = values.get("video")
    values |= {"problems": tuple(values.get("problems", ())), "video": video and tuple(video)}
    values |= {"made_by": made_by.decode(), "summary": json.loads(summary) if with_summary else {}}
    return ClipRecord(**{name: value for name, value in values.items() if name in _FIELDS})  # of a later version, too
