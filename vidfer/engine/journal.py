"""What became of every clip, remembered between runs: ``<out>/.vidfer/clips.jsonl``.

One line per finished clip is appended as it finishes; the last line of a clip counts. A line cut short by a kill is
skipped, and that clip is then looked at again (its stages are in the cache). Only the process that holds the run lock
writes here.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, Self

from vidfer.engine.atomic import output_error, write_bytes
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
    files: dict[str, FileStamp] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    failure: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    computed_frames: int = 0


class Journal:
    """The records of one --out folder, by clip id.

    Parameters
    ----------
    path
        The file; made when the first record comes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = _read(path)
        self._file: IO[bytes] | None = None

    def add(self, record: ClipRecord) -> None:
        """Remember a clip's outcome, on disk too; raises OutputError if that fails."""
        self.records[record.clip_id] = record
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._compact()
                self._file = self.path.open("ab")
            self._file.write(_line(record))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise output_error(self.path, error) from error

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _compact(self) -> None:
        """Rewrite the file with one line per clip: drops what was replaced, and a line that a kill cut short."""
        write_bytes(self.path, b"".join(_line(record) for record in self.records.values()))


def _line(record: ClipRecord) -> bytes:
    return json.dumps(asdict(record), separators=(",", ":")).encode() + b"\n"


def _read(path: Path) -> dict[str, ClipRecord]:
    records = {}
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    values = json.loads(line)
                    record = ClipRecord(**values)
                except (ValueError, TypeError):
                    continue
                records[record.clip_id] = record
    except FileNotFoundError:
        pass
    except OSError as error:
        raise output_error(path, error) from error
    return records
