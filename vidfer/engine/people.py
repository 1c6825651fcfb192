"""people.csv of a results folder: what it says of each clip, and how it is brought up to date; no edit is lost."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from vidfer.config import PipelineConfig
from vidfer.engine.across import Across
from vidfer.errors import OutputError
from vidfer.people.apply import GONE, with_roster
from vidfer.people.table import ACROSS_COLUMNS, PeopleTable, Row, decisions, read_people, write_people
from vidfer.report.wording import count
from vidfer.store.layout import PEOPLE_FILE, PEOPLE_PICTURE
from vidfer.store.outputs import write_if_changed
from vidfer.timeline.segments import find_segments
from vidfer.types import ClipResult

PEOPLE_ROWS, PEOPLE_READ = "people_rows", "people_read"  # in the journal's summary of a clip
_UNKNOWN_NAMED = 3  # of the unknown clips


@dataclass(frozen=True, kw_only=True)
class Edits:
    """What people.csv says.

    Attributes
    ----------
    table
        The rows that decide something.
    data
        The file's content; empty without a file.
    names
        How the table calls a clip, where that is not its id.
    """

    table: PeopleTable = field(default_factory=PeopleTable)
    data: bytes = b""
    names: Mapping[str, str] = field(default_factory=dict)

    def rows(self, clip_id: str) -> tuple[Row, ...]:
        """Return the clip's rows; none where no one is edited."""
        return self.table.by_clip.get(self.names.get(clip_id, clip_id), ())

    def digest(self, clip_id: str) -> str:
        """Return the digest of what is decided about a clip; empty if nothing is."""
        return edits_digest(self.rows(clip_id))


def edits_digest(rows: Sequence[Row]) -> str:
    """Return the digest of what rows of one clip decide; empty where they decide nothing."""
    said = decisions(rows)
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16] if said else ""


def read_edits(out: Path, clip_ids: Collection[str], *, keep: Container[str] = ()) -> Edits:
    """Read people.csv of a results folder; raises OutputError for another file of that name.

    Parameters
    ----------
    out
        The results folder.
    clip_ids
        The clips that it knows, or is about to.
    keep
        Names of clips whose rows are returned even if unedited.
    """
    path = out / PEOPLE_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Edits()
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror}") from error
    table = read_people(data, name=str(path), keep=keep)
    return Edits(table=table, data=data, names=_names(table.clips, clip_ids))


def _names(written: Mapping[str, int], clip_ids: Collection[str]) -> dict[str, str]:
    """Return the table's names of clips whose id is not valid text, or lost its leading zeros in a spreadsheet."""
    names = {}
    unknown = {name.lstrip("0"): name for name in written if name.isdigit() and name not in clip_ids}
    for clip_id in clip_ids:
        plain = clip_id.encode(errors="backslashreplace").decode()
        if plain != clip_id:
            names[clip_id] = plain
        elif clip_id not in written and clip_id.isdigit() and clip_id.lstrip("0") in unknown:
            names[clip_id] = unknown[clip_id.lstrip("0")]
    return names


def who_is_who(
    clip: ClipResult, rows: Sequence[Row], config: PipelineConfig
) -> tuple[ClipResult, str, tuple[str, ...]]:
    """Return a clip that knows its people, the digest of its edits as they now stand, and what does not fit in them."""
    if not (rows or config.output.thumbnails):
        return clip, "", ()  # as proposed with its tables
    clip, problems = with_roster(
        clip,
        rows,
        config=config.people,
        find_segments=partial(find_segments, **config.timeline.model_dump()),
        picture=f"{clip.clip_id}/{PEOPLE_PICTURE}" if config.output.thumbnails else "",
    )
    assert clip.roster is not None
    table = read_people(b"".join(write_people(clip.roster.rows, like=_with_columns_of(rows))))
    return clip, edits_digest([row for of in table.by_clip.values() for row in of]), problems


def _with_columns_of(rows: Iterable[Row]) -> PeopleTable:
    return PeopleTable(further_columns=tuple(dict.fromkeys(chain.from_iterable(row.further_cells for row in rows))))


class PeopleWriter:
    """Brings people.csv up to date: proposals for clips that are new in it, and never over an edit.

    Parameters
    ----------
    out
        The results folder.
    clip_ids
        The clips that it knows.
    across
        Further columns by clip and person.
    """

    def __init__(self, out: Path, clip_ids: Collection[str], across: Across | None = None) -> None:
        self._out, self._clip_ids, self._across = out, clip_ids, across
        self._notes: list[str] = []
        self._now = Edits()
        try:
            self._now = read_edits(out, clip_ids)
        except OutputError as error:  # edited while the run went on
            self._notes.append(str(error))
        self._waiting: set[str] = set()  # clips whose rows in the file are not what their results were made by
        self._listed: set[str] = set()
        self._pieces: list[bytes] = []

    def add(self, clip_id: str, rows: Sequence[Mapping[str, str]], edits: Container[str]) -> None:
        """Add the rows of a finished clip; ``edits`` are the digests of what it was made by and of these rows."""
        name = self._now.names.get(clip_id, clip_id)
        self._listed.add(name)
        if self._now.digest(clip_id) not in edits:
            self._waiting.add(name)
        elif rows:
            same = self._across.cells.get(clip_id, {}) if self._across else {}
            more = {str(number): cells for number, cells in same.items()}
            theirs = [{} if row["reason"] == GONE else more.get(row["person"], {}) for row in rows]
            nothing = dict.fromkeys(ACROSS_COLUMNS, "")  # of before
            rows = [{**row, **nothing, **cells} for row, cells in zip(rows, theirs, strict=True)]
            self._pieces.append(self._written(rows))

    def write(self) -> tuple[str, ...]:
        """Write the file, unless nothing changes, and return what users should know, one line each.

        What cannot be written is told, too: the results are complete all the same.
        """
        if self._notes:
            return tuple(self._notes)
        path, table, known = self._out / PEOPLE_FILE, self._now.table, {*self._clip_ids, *self._now.names.values()}
        unknown = [name for name in table.by_clip if name not in known]
        notes = [*table.problems, *(self._across.notes if self._across else ())]
        notes += [_unknown(path, name, table.clips[name], self._clip_ids) for name in unknown[:_UNKNOWN_NAMED]]
        if len(unknown) > _UNKNOWN_NAMED:
            notes.append(f"{path}: and rows of {count(len(unknown) - _UNKNOWN_NAMED, 'further unknown clip')}")
        if self._waiting:
            clips = count(len(self._waiting), "clip")
            notes.append(f"{path}: its edits of {clips} will be followed by the next run, or vidfer report")
        others = {name for name in table.by_clip if name not in self._listed}  # failed, of other settings, unknown
        try:
            now = read_edits(self._out, self._clip_ids, keep=self._waiting)
            if now.data != self._now.data:
                raise OutputError(f"{path}: changed this very moment, and left as it is: run the same command again")
            kept = [row.cells for name in sorted(self._waiting | others) for row in now.table.by_clip.get(name, ())]
            pieces = [*self._pieces, self._written(kept)]
            if now.data or self._listed:
                header = write_people((), like=table, across=self._across is not None)
                write_if_changed(path, b"".join([*header, *pieces]))
        except OutputError as error:  # a spreadsheet may hold it
            notes.append(str(error))
        return tuple(notes)

    def _written(self, rows: Sequence[Mapping[str, str]]) -> bytes:
        """Return rows as they are in the file, without its header."""
        pieces = write_people(rows, like=self._now.table, across=self._across is not None)
        return b"".join(pieces).partition(b"\n")[2]


def _unknown(path: Path, name: str, line: int, clip_ids: Collection[str]) -> str:
    near = difflib.get_close_matches(name, clip_ids, n=1)
    hint = f": did you mean {near[0]!r}?" if near else ""
    return f"{path}: row {line}, column clip: no clip {name!r} in these results{hint} (the row is kept)"


def merge_people(out: Path, file: Path, clip_ids: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take the rows of the clips in another people.csv, such as a report page saves, into that of a results folder.

    Returns
    -------
    The ids of the clips whose rows were taken, and what users should know, one line each.

    Raises
    ------
    OutputError
        One of the files is no such table, or cannot be read or written.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise OutputError(f"--people {file}: cannot be read: {error.strerror}") from error
    given = read_people(data, name=str(file), keep=_AnyName())
    names = _names(given.clips, clip_ids)
    taken = {clip_id: names.get(clip_id, clip_id) for clip_id in clip_ids if names.get(clip_id, clip_id) in given.clips}
    unknown = [name for name in given.clips if name not in taken.values()]
    notes = [*given.problems, *(_unknown(file, name, given.clips[name], clip_ids) for name in unknown)]
    if not taken:
        raise OutputError("; ".join(notes) or f"{file}: there is no row in it")
    there = read_edits(out, clip_ids, keep=_AnyName())
    replaced = {there.names.get(clip_id, clip_id) for clip_id in taken}
    rows = [row.cells for name, of in there.table.by_clip.items() if name not in replaced for row in of]
    rows += [{**row.cells, "clip": clip_id} for clip_id, name in taken.items() for row in given.by_clip[name]]
    columns = tuple(dict.fromkeys((*there.table.further_columns, *given.further_columns)))
    like = replace(there.table, further_columns=columns)
    write_if_changed(out / PEOPLE_FILE, b"".join(write_people(rows, like=like)))
    return tuple(taken), tuple(notes)


class _AnyName:
    def __contains__(self, name: object) -> bool:
        return True
