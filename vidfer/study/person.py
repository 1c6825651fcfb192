"""Whom of a clip a study looks at: who people.csv counts, or the face that is longest on screen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidfer.errors import DataError
from vidfer.study.rows import Row, read_rows

if TYPE_CHECKING:
    import pandas as pd

PEOPLE = "people.csv"
_NO = frozenset({"no", "n", "0", "false"})


def read_people(results: Path) -> Mapping[str, Sequence[Row]]:
    """Return the rows of a results folder's people.csv by clip; none where there is no such file."""
    found: dict[str, list[Row]] = {}
    if (results / PEOPLE).is_file():
        for row in read_rows(results / PEOPLE, ("clip", "person"), ("name", "include", "face_ids"), further=True):
            found.setdefault(row.text("clip"), []).append(row)
    return found


def rows_of_person(table: pd.DataFrame, step: np.ndarray, people: Sequence[Row], wanted: str) -> np.ndarray:
    """Return which rows of a clip's timeline show the person that counts, (R,) bool.

    Parameters
    ----------
    table
        The timeline.
    step
        (R,) seconds that each row stands for.
    people
        The clip's rows of people.csv; who is not to be included does not count.
    wanted
        A name or number of theirs, or else a ``person_id`` or ``face_id``; empty: who is longest on screen.

    Raises
    ------
    DataError
        Nobody in the clip is called so.
    """
    seen = table["success"].to_numpy() == 1
    who = table["person_id" if "person_id" in table else "face_id"].to_numpy()
    faces = table["face_id"].to_numpy()
    listed = [(row, seen & _is(row, who, faces, by_face="person_id" not in table)) for row in people]
    if wanted:
        for row, rows in listed:
            if wanted in (row.text("name"), row.text("person")):
                return rows
        if wanted.lstrip("-").isdigit() and (seen & (who == int(wanted))).any():
            return np.asarray(seen & (who == int(wanted)))
        known = [row.text("name") or row.text("person") for row in people] or sorted(set(who[seen].tolist()))
        raise DataError(f"nobody in it is called {wanted!r}; there are {', '.join(map(str, known))}")
    if people:
        counted = [rows for row, rows in listed if row.text("include").lower() not in _NO]
    else:
        counted = [seen & (who == one) for one in np.unique(who[seen])]
    return max(counted, key=lambda rows: float(step[rows].sum()), default=np.zeros(len(table), np.bool_))


def _is(row: Row, who: np.ndarray, faces: np.ndarray, *, by_face: bool) -> np.ndarray:
    """Return which rows of the timeline a row of people.csv means."""
    person = row.text("person")
    if not by_face and person.lstrip("-").isdigit():
        return np.asarray(who == int(person))
    ids = [int(number) for number in re.findall(r"\d+", row.text("face_ids") or person)]
    return np.isin(faces, ids)
