"""people.csv as users and spreadsheets leave it."""

from __future__ import annotations

import csv
import io

import pytest

from vidfer.errors import OutputError
from vidfer.people.face_ids import FacePart, format_face_ids, parse_face_ids
from vidfer.people.table import COLUMNS, PeopleTable, decisions, read_people, write_people

PROPOSED = {
    "clip": "a/b", "person": "0", "face_ids": "0 4", "role": "main", "include": "yes", "proposed": "yes; 0 4; main",
    "seen_at": "0@1.50:10/20/30/40 4@7.00:12/-3/30/40",
}  # fmt: skip


def table_of(*rows: dict[str, str], delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    text = io.StringIO()
    columns = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    writer = csv.DictWriter(text, columns, restval="", delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


@pytest.mark.parametrize(
    ("text", "parts", "canonical"),
    [
        ("0", [(0, 0.0)], "0"),
        ("3@0:12, 0;3", [(0, 0.0), (3, 0.0), (3, 12.0)], "0 3 3@0:12"),
        ("7@1:02:03.5", [(7, 3723.5)], "7@62:03.5"),
        ("2.0 2@61", [(2, 0.0), (2, 61.0)], "2 2@1:01"),  # a spreadsheet makes numbers of numbers
    ],
)
def test_faces_and_parts_of_them_are_read(text: str, parts: list[tuple[int, float]], canonical: str) -> None:
    assert parse_face_ids(text) == tuple(FacePart(*part) for part in parts)
    assert format_face_ids(parse_face_ids(text)) == canonical


@pytest.mark.parametrize("text", ["", "Anna", "1-3", "0@", "0@x", "-1", "0@1:2:3:4"])
def test_what_names_no_faces_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="expected numbers of faces"):
        parse_face_ids(text)


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8", ","), ("utf-8-sig", ";"), ("cp1252", ";"), ("utf-16", "\t")]
)
def test_tables_of_spreadsheets_are_read(encoding: str, delimiter: str) -> None:
    read = read_people(table_of({**PROPOSED, "name": "Jörg, Café"}, delimiter=delimiter, encoding=encoding))
    (row,) = read.by_clip["a/b"]
    assert (row.name, read.delimiter) == ("Jörg, Café", delimiter)
    assert [problem for problem in read.problems if "1252" not in problem] == []
    again = read_people(b"".join(write_people([row.cells], like=read)))
    assert decisions(again.by_clip["a/b"]) == decisions([row])
    assert again.delimiter == delimiter


def test_an_untouched_row_decides_nothing_and_each_edit_something() -> None:
    assert read_people(table_of(PROPOSED)).by_clip == {}
    edits = [
        {"name": "Anna"}, {"role": "mother"}, {"role": ""}, {"include": "No"}, {"face_ids": "0"},
        {"face_ids": "0 4@0:10"},
    ]  # fmt: skip
    said = [decisions(read_people(table_of({**PROPOSED, **edit})).by_clip["a/b"]) for edit in edits]
    assert len({repr(one) for one in said}) == len(edits)


def test_rows_in_another_order_decide_the_same() -> None:
    rows = [{**PROPOSED, "name": "Anna"}, {**PROPOSED, "face_ids": "1", "name": "Bo", "include": "no"}]
    one, other = (read_people(table_of(*order)).by_clip["a/b"] for order in (rows, rows[::-1]))
    assert decisions(one) == decisions(other)


def test_names_are_no_formulas_and_come_back_as_they_were() -> None:
    for name in ("=1+1", "@SUM(A1)", "-3", "'quoted", "a\tb"):
        written = b"".join(write_people([{**PROPOSED, "name": name}]))
        (cells,) = csv.DictReader(io.StringIO(written.decode("utf-8-sig")))
        assert not cells["name"].startswith(("=", "@", "-"))
        assert read_people(written).by_clip["a/b"][0].name == " ".join(name.split())


def test_a_wrong_cell_is_told_by_row_and_column_and_the_rest_of_the_row_counts() -> None:
    rows = [PROPOSED, {**PROPOSED, "name": "Anna", "include": "perhaps"}, {**PROPOSED, "name": "Bo", "face_ids": "x"}]
    read = read_people(table_of(*rows))
    assert [problem.split(":")[1] for problem in read.problems] == [" row 3, column include", " row 4, column face_ids"]
    _, anna, bo = read.by_clip["a/b"]
    assert (anna.name, anna.edited_include) == ("Anna", None)
    assert bo.parts == parse_face_ids("0 4")  # as proposed
    assert bo.cells["face_ids"] == "x"


def test_columns_of_the_user_stay() -> None:
    read = read_people(table_of({**PROPOSED, "age": "44"}))
    assert read.further_columns == ("age",)
    (cells,) = csv.DictReader(io.StringIO(b"".join(write_people([PROPOSED | {"age": "44"}], like=read)).decode()))
    assert cells["age"] == "44"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "row 1: no column clip"),
        (b"clip,name\na,b\n", "row 1: no column face_ids, include"),
        (b"PK\x03\x04\x00\x00", "row 1"),
        (table_of(PROPOSED) + b"a" + b",1" * 40 + b"\n", "row 3: 41 cells under 17 columns"),
        (b'clip,face_ids,name,include\na,0,"' + b"x" * 200_000 + b'",yes\n', "not a table"),
    ],
)
def test_what_is_no_such_table_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(OutputError, match=said):
        read_people(data, name="people.csv")


def test_a_table_that_was_never_edited_is_short_in_memory() -> None:
    rows = [{**PROPOSED, "clip": f"c{number}"} for number in range(3000)] + [{**PROPOSED, "clip": "x", "name": "Anna"}]
    read = read_people(b"".join(write_people(rows, like=PeopleTable())))
    assert list(read.by_clip) == ["x"]
    assert len(read.clips) == 3001
