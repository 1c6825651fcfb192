"""What became of every clip, remembered between runs: ``<out>/.vidfer/clips.jsonl``.

One line per finished clip is appended as it finishes; the last line of a clip counts. A line cut short by a kill is
skipped, and that clip is then looked at again (its stages are in the cache). Only the process that holds the run lock
writes here.

A line has four columns between tabs: the clip's id, the checksum of the others, what decides whether something is left
to do, and the clip's summary. Only ids and places are held in memory: a hundred thousand clips need little of it.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any, Literal, Self, overload

from vidfer.engine.atomic import aside_of, output_error
from vidfer.engine.layout import stays_inside
from vidfer.engine.outputs import FileStamp


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
    reader
        Which reader gave the frames; empty for a failure before that was known.
    keys
        Cache keys by stage (see ``engine.plan``).
    seal
        Shows without computing them again that these keys are those of some settings: `engine.seal.Seals`.
    files
        Stamps of the files in the clip's folder.
    summary
        What ``report.summary.summarise`` said, without provenance, and ``report.course.course_of``.
    failure
        Its row of failures.csv, with ``permanent`` and the version of ``vidfer``; empty if ok.
    problems
        Cache files that had to be set aside, one line each.
    seconds, computed_frames
        How long the clip took, and how many frames were computed: for run.json, never for results.
    """

    clip_id: str
    path: str
    fingerprint: str
    status: Literal["ok", "failed"]
    reader: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    seal: str = ""
    files: dict[str, FileStamp] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    failure: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    computed_frames: int = 0


_FIELDS = frozenset(field.name for field in fields(ClipRecord))


class Records(Mapping[str, ClipRecord]):
    """The last record of each clip by id, read from the journal whenever it is asked for.

    Parameters
    ----------
    path
        The journal; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, int] = {}
        self.num_lines = 0
        self.end = 0  # of the last whole line
        for clip_id, place, line in _lines(path):
            self._places[json.loads(clip_id)] = place
            self.num_lines += 1
            self.end = place + len(line)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._places

    def __getitem__(self, clip_id: str) -> ClipRecord:
        place = self._places[clip_id]
        try:
            return _parse(self.line(place), expected=clip_id)
        except ValueError:  # another run has rewritten the file since
            self.__init__(self._path)  # type: ignore[misc]
            return _parse(self.line(self._places[clip_id]), expected=clip_id)

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

    def add(self, record: ClipRecord) -> None:
        """Remember a clip's outcome, on disk; raises OutputError if that fails."""
        try:
            if self._file is None:
                self._file = self._open()
            line = _line(record)
            place = self._file.seek(0, os.SEEK_END)
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise output_error(self.path, error) from error
        self.records.moved(record.clip_id, place, len(line))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _open(self) -> IO[bytes]:
        """Open the file to append to it; where most of it was replaced since, it is written anew first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.records.num_lines > 2 * len(self.records):
            with aside_of(self.path) as aside, aside.open("xb") as file:
                file.writelines(_line(self.records[clip_id]) for clip_id in self.records)
            self.records = Records(self.path)
        file = self.path.open("ab")
        if file.tell() > self.records.end:
            file.truncate(self.records.end)  # a line that a kill cut short
        return file


def read_heads(path: Path) -> list[ClipRecord]:
    """Return every clip's last record without its summary, by id: the file is read once, and summaries never parsed."""
    last = {clip_id: _columns(line)[0] for clip_id, _, line in _lines(path)}
    records = [_record(json.loads(head.decode()) | {"summary": {}}) for head in last.values()]
    return sorted(records, key=lambda record: record.clip_id)


def _line(record: ClipRecord) -> bytes:
    values = {name: value for name, value in vars(record).items() if name != "summary"}
    clip_id, rest = _json(record.clip_id), _json(values) + b"\t" + _json(record.summary) + b"\n"
    return b"\t".join((clip_id, b"%08x" % zlib.crc32(clip_id + rest), rest))


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _lines(path: Path) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield clip id (as JSON), place and content of every line that is whole."""
    place = 0
    try:
        with path.open("rb") as file:
            for line in file:
                here, place = place, place + len(line)
                tab = line.find(b"\t")
                try:
                    if tab > 0 and line[tab + 9 : tab + 10] == b"\t" and line.endswith(b"\n"):
                        clip_id, checksum, rest = line[:tab], line[tab + 1 : tab + 9], memoryview(line)[tab + 10 :]
                        whole = int(checksum, 16) == zlib.crc32(rest, zlib.crc32(clip_id))
                        if whole and stays_inside(json.loads(clip_id.decode())):
                            yield clip_id, here, line
                    elif line.startswith(b"{"):  # of an earlier version
                        clip_id = json.loads(line)["clip_id"]
                        if stays_inside(clip_id):
                            yield _json(clip_id), here, line
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue
    except FileNotFoundError:
        pass
    except OSError as error:
        raise output_error(path, error) from error


def _columns(line: bytes) -> tuple[bytes, bytes]:
    """Return head and summary; for a line of an earlier version both are in the head."""
    if line.startswith(b"{"):
        return line, b""
    columns = line.split(b"\t", 3)
    if len(columns) < 4:
        raise ValueError("not a line of the journal")
    return columns[2], columns[3]


def _parse(line: bytes, *, expected: str) -> ClipRecord:
    """Return the record of a line; ValueError if it is not one of the expected clip."""
    head, summary = _columns(line)
    values = json.loads(head) | ({"summary": json.loads(summary)} if summary else {})
    if values.get("clip_id") != expected:
        raise ValueError(f"expected a record of {expected!r}, got one of {values.get('clip_id')!r}")
    return _record(values)


def _record(values: dict[str, Any]) -> ClipRecord:
    values["problems"] = tuple(values.get("problems", ()))
    if values.keys() <= _FIELDS:
        return ClipRecord(**values)
    return ClipRecord(**{name: value for name, value in values.items() if name in _FIELDS})  # of a later version, too
