"""Whom of a clip a study looks at: who people.csv counts, or the face that is longest on screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vidfer.errors import DataError
from vidfer.people.face_ids import SLACK_SECONDS
from vidfer.people.table import Row


def rows_of_person(
    columns: Mapping[str, np.ndarray], step: np.ndarray, people: Sequence[Row], wanted: str
) -> np.ndarray:
    """Return which rows of a clip's timeline show the person that counts, (R,) bool.

    Parameters
    ----------
    columns
        The timeline, (R,) each.
    step
        (R,) seconds that each row stands for.
    people
        The clip's rows of people.csv; who is not to be included does not count, rows of one name are one person.
    wanted
        A name or number of theirs, or else a ``person_id`` or ``face_id``; empty: who is longest on screen.

    Raises
    ------
    DataError
        Nobody in the clip is called so.
    """
    seen = columns["success"] == 1
    who = columns["person_id" if "person_id" in columns else "face_id"]
    listed = _listed(columns, seen, people)
    if wanted:
        for row, rows in listed:
            if wanted in (row.name, row.cells.get("person")):
                return rows
        if wanted.lstrip("-").isdigit() and (seen & (who == int(wanted))).any():
            return np.asarray(seen & (who == int(wanted)))
        known = [row.name or row.cells.get("person", "") for row in people] or sorted(set(who[seen].tolist()))
        raise DataError(f"nobody in it is called {wanted!r}; there are {', '.join(map(str, known))}")
    counted = [rows for row, rows in listed if row.include is not False]
    if not people:
        counted = [seen & (who == one) for one in np.unique(who[seen])]
    return max(counted, key=lambda rows: float(step[rows].sum()), default=np.zeros(len(seen), np.bool_))


def _listed(columns: Mapping[str, np.ndarray], seen: np.ndarray, people: Sequence[Row]) -> list[tuple[Row, np.ndarray]]:
    """Return each person of people.csv with the rows of the timeline that show him or her."""
    owner = np.full(len(seen), -1)
    for part, place in sorted((part, place) for place, row in enumerate(people) for part in row.parts):
        from_then = columns["timestamp"] >= part.start_seconds - SLACK_SECONDS
        owner[seen & (columns["face_id"] == part.face_id) & from_then] = place  # the later ones go over the earlier
    places: dict[str, list[int]] = {}
    for place, row in enumerate(people):
        places.setdefault(row.name or f"row {row.line}", []).append(place)
    return [(people[of[0]], np.isin(owner, of)) for of in places.values()]
