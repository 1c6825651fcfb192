"""people.csv: read as a user or a spreadsheet left it, and written so that nothing of theirs is lost.

What vidfer proposed stands in the row beside what the user made of it (``proposed``), and where and when its faces
were seen (``seen_at``): so a row tells by itself what was edited, and is found again when tracks are numbered anew.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vidfer.errors import OutputError
from vidfer.people.face_ids import FacePart, format_face_ids, parse_face_ids
from vidfer.spreadsheet import guarded, unguarded

COLUMNS: tuple[str, ...] = (
    *("clip", "person", "face_ids", "name", "role", "include", "reason", "first_seconds", "last_seconds"),
    *("seconds_on_screen", "frames", "median_size_px", "mean_quality", "still_share", "picture", "proposed", "seen_at"),
)
ACROSS_PERSON, ACROSS_CONFIDENCE, ACROSS_UNSURE = ACROSS_COLUMNS = (  # with people.across only
    *("across_person", "across_confidence", "across_unsure"),
)
NEEDED = ("clip", "face_ids", "name", "include")
_OWN_COLUMNS = frozenset({*COLUMNS, *ACROSS_COLUMNS})
MAX_NAME = 80  # characters
_REMEDY = "mend it, or move the file away and vidfer writes its proposals anew"
_YES, _NO = frozenset({"yes", "y", "true", "1"}), frozenset({"no", "n", "false", "0"})


class Sighting(NamedTuple):
    """Where and when a track was seen: seconds, and its box, left, top, width, height in px."""

    face_id: int
    seconds: float
    box: tuple[int, int, int, int]


class Proposal(NamedTuple):
    """What vidfer proposed in a row."""

    include: bool
    role: str
    parts: tuple[FacePart, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row, as far as it says something to vidfer.

    Attributes
    ----------
    line
        Row of the table as a spreadsheet counts, the header being 1.
    parts
        What it is about; empty where that cannot be read.
    name, role, include
        What they say now.
    proposed
        What vidfer had proposed; None for a row that a user has added.
    seen_at
        Where its faces were when vidfer wrote it.
    cells
        All of it as it is in the file, by column.
    unread
        Columns whose cells cannot be read; they are kept as they are, and what was proposed counts.
    """

    line: int
    parts: tuple[FacePart, ...]
    name: str
    role: str
    include: bool | None
    proposed: Proposal | None
    seen_at: tuple[Sighting, ...]
    cells: Mapping[str, str] = field(compare=False)
    unread: frozenset[str] = frozenset()

    @property
    def edited_role(self) -> str | None:
        """The user's role; None where it is as proposed."""
        return self.role if self.role != (self.proposed.role if self.proposed else "") else None

    @property
    def edited_include(self) -> bool | None:
        """The user's include; None where it is as proposed."""
        return self.include if self.proposed is None or self.include != self.proposed.include else None

    @property
    def is_regrouped(self) -> bool:
        """Whether other faces stand in it than vidfer proposed."""
        return self.proposed is None or self.parts != self.proposed.parts

    @property
    def is_edited(self) -> bool:
        """Whether it says anything that vidfer has not proposed."""
        edits = (self.edited_role, self.edited_include)
        return bool(self.name or self.is_regrouped or self.unread or any(edit is not None for edit in edits))

    @property
    def says_something(self) -> bool:
        """Whether it is edited, or holds something of the user's."""
        return self.is_edited or bool(self.further_cells)

    @property
    def further_cells(self) -> dict[str, str]:
        """What it holds in columns of the user's own."""
        return {name: cell for name, cell in self.cells.items() if name not in _OWN_COLUMNS and cell}


@dataclass(frozen=True, kw_only=True)
class PeopleTable:
    """A people.csv.

    Attributes
    ----------
    by_clip
        The rows of each clip of which at least one says something.
    clips
        Every clip of which there is a row, and the first row of each.
    further_columns
        The user's own, in order.
    delimiter
        Between cells.
    problems
        What cannot be understood, one line each, with row and column.
    """

    by_clip: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    clips: Mapping[str, int] = field(default_factory=dict)
    further_columns: tuple[str, ...] = ()
    delimiter: str = ","
    problems: tuple[str, ...] = ()


def read_people(data: bytes, *, name: str = "people.csv", keep: Container[str] = ()) -> PeopleTable:
    """Return what a table says, in whatever encoding and with whatever delimiter a spreadsheet has saved it.

    Parameters
    ----------
    data
        The file's content.
    name
        What problems call it.
    keep
        Clips whose rows are kept though none is edited.

    Raises
    ------
    OutputError
        It is no such table at all.
    """
    text, problems = decoded(data, name)
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
    lines = _Lines(text, delimiter, name)
    clips: dict[str, int] = {}
    wanted: set[str] = set()
    for line, cells in lines:
        clip = lines.cell(cells, "clip")
        clips.setdefault(clip, line)
        if clip in keep or not lines.is_as_proposed(cells):
            wanted.add(clip)
    by_clip: dict[str, list[Row]] = {}
    for line, cells in lines if wanted else ():
        if (clip := lines.cell(cells, "clip")) in wanted:
            row, wrong_cells = _row(line, {column: lines.cell(cells, column) for column in lines.header})
            problems += [f"{name}: row {line}, column {column}: {problem}" for column, problem in wrong_cells.items()]
            by_clip.setdefault(clip, []).append(row)
    return PeopleTable(
        by_clip={
            clip: tuple(rows) for clip, rows in by_clip.items() if clip in keep or any(r.says_something for r in rows)
        },
        clips=clips,
        further_columns=lines.further_columns,
        delimiter=delimiter,
        problems=tuple(problems),
    )


class _Lines:
    """The lines of a table that hold anything, numbered as a spreadsheet does; raises OutputError for what is none."""

    def __init__(self, text: str, delimiter: str, name: str) -> None:
        self._text, self._delimiter, self._name = text, delimiter, name
        self.header: list[str] = []
        _, cells = next(self._read(), (1, []))
        self.header = [column.strip() for column in cells]
        missing = [column for column in NEEDED if column not in self.header]
        if missing or len(set(self.header)) < len(self.header):
            wrong = f"no column {', '.join(missing)}" if missing else "two columns of one name"
            raise OutputError(f"{name}: row 1: {wrong}: expected {', '.join(COLUMNS)}: {_REMEDY}")
        self._places = {column: place for place, column in enumerate(self.header)}
        self.further_columns = tuple(column for column in self.header if column and column not in _OWN_COLUMNS)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        for line, cells in self._read():
            if any(cells[len(self.header) :]):
                wide = f"{len(cells)} cells under {len(self.header)} columns"
                raise OutputError(f"{self._name}: row {line}: {wide}: mend that row")
            if line > 1 and any(cells):
                yield line, cells

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._delimiter)
        try:
            yield from enumerate(reader, start=1)
        except csv.Error as error:
            where = f"{self._name}: row {reader.line_num}"
            raise OutputError(f"{where}: not a table of comma-separated values: {error}: {_REMEDY}") from error

    def cell(self, cells: Sequence[str], column: str) -> str:
        """Return the text of a cell; empty where there is none."""
        place = self._places.get(column, -1)
        text = cells[place] if 0 <= place < len(cells) else ""
        return unguarded(text if column == "clip" else text.strip())

    def is_as_proposed(self, cells: Sequence[str]) -> bool:
        """Return whether a row is as vidfer wrote it, without parsing it: there may be a hundred thousand."""
        include, parts, role = (self.cell(cells, column) for column in ("include", "face_ids", "role"))
        as_proposed = self.cell(cells, "proposed") == f"{include}; {parts}; {role}".strip()
        return as_proposed and not any(self.cell(cells, column) for column in ("name", *self.further_columns))


def decoded(data: bytes, name: str) -> tuple[str, list[str]]:
    """Return the text of a table that a spreadsheet saved, and what is to be said of its encoding."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace"), []  # Excel's "Unicode text"
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        note = f"{name}: not UTF-8: read as Windows-1252, and written as UTF-8: look whether the names are right"
        return data.decode("cp1252", errors="replace"), [note]


def _row(line: int, cells: Mapping[str, str]) -> tuple[Row, dict[str, str]]:
    """Return what a row says, and what is wrong with it by column."""
    problems: dict[str, str] = {}
    proposed = _proposal(cells.get("proposed", ""))
    seen_at = _sightings(cells.get("seen_at", ""))
    try:
        parts = parse_face_ids(cells.get("face_ids", ""))
    except ValueError as error:
        problems["face_ids"] = str(error)
        parts = proposed.parts if proposed else ()
    name = _plain(cells.get("name", ""))
    if len(name) > MAX_NAME:
        problems["name"] = f"expected at most {MAX_NAME} characters, got {len(name)}"
        name = ""
    include = proposed.include if proposed else None
    said = cells.get("include", "").casefold()
    if said in _YES | _NO:
        include = said in _YES
    elif said:
        problems["include"] = f"expected yes or no, got {said[:40]!r}"
    row = Row(
        line=line,
        parts=parts,
        name=name,
        role=_plain(cells.get("role", ""))[:MAX_NAME],
        include=include,
        proposed=proposed,
        seen_at=seen_at,
        cells=cells,
        unread=frozenset(problems),
    )
    return row, problems


def _plain(text: str) -> str:
    """Return text on one line, without control characters."""
    return " ".join("".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in text).split())


def proposal_cell(proposed: Proposal) -> str:
    """Return a proposal as the table keeps it."""
    return "; ".join(("yes" if proposed.include else "no", format_face_ids(proposed.parts), proposed.role))


def _proposal(cell: str) -> Proposal | None:
    include, _, rest = cell.partition(";")
    parts, _, role = rest.partition(";")
    try:
        of = parse_face_ids(parts) if parts.strip() else ()
        return Proposal(include.strip() == "yes", role.strip(), of) if rest else None
    except ValueError:
        return None  # vidfer's own column, spoilt: the row counts as the user's


def sightings_cell(sightings: Iterable[Sighting]) -> str:
    """Return sightings as the table keeps them."""
    return " ".join(f"{s.face_id}@{s.seconds:.2f}:{'/'.join(map(str, s.box))}" for s in sightings)


def _sightings(cell: str) -> tuple[Sighting, ...]:
    found = []
    for word in cell.split():
        try:
            face, _, rest = word.partition("@")
            seconds, _, box = rest.partition(":")
            left, top, width, height = (int(value) for value in box.split("/"))
            found.append(Sighting(int(face), float(seconds), (left, top, width, height)))
        except ValueError:
            continue  # as in _proposal
    return tuple(found)


def write_people(
    rows: Iterable[Mapping[str, str]], *, like: PeopleTable | None = None, across: bool = False
) -> Iterator[bytes]:
    """Yield a table in pieces: UTF-8 with the mark by which spreadsheets know it, no cell a formula.

    Parameters
    ----------
    rows
        Text by column.
    like
        What was there: its delimiter and the user's own columns stay.
    across
        Whether it says who is the same in which clips.
    """
    like = like or PeopleTable()
    columns = (*COLUMNS, *(ACROSS_COLUMNS if across else ()), *like.further_columns)
    text = io.StringIO()
    writer = csv.DictWriter(
        text, columns, extrasaction="ignore", restval="", lineterminator="\n", delimiter=like.delimiter
    )
    text.write("\ufeff")
    writer.writeheader()
    for number, row in enumerate(rows, start=1):
        writer.writerow({column: guarded(row.get(column, "")) for column in columns})
        if number % 1000 == 0:
            yield text.getvalue().encode(errors="backslashreplace")
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode(errors="backslashreplace")


def decisions(rows: Sequence[Row]) -> list[list[Any]]:
    """Return what a user has decided in a clip's rows, JSON-ready, the same in whatever order the rows stand."""
    said: list[list[Any]] = [
        [format_face_ids(row.parts), row.name, row.edited_role, row.edited_include, sorted(row.further_cells.items())]
        for row in rows
        if row.says_something
    ]
    return sorted(said, key=repr)
