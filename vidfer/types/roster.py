"""Who is who in a clip, and who counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person of a clip.

    Attributes
    ----------
    number
        From 0; ``person`` in tables.
    label
        What the person is called: the name, or ``person 3``, or ``face 3`` where tracks were not compared.
    name
        As given by the user; empty.
    role
        Proposed (``main``, ``bystander``, ``poster``, none) or given by the user.
    include
        Whether the person counts in summaries and is shown in charts.
    reason
        Why it was proposed that the person does not count; empty.
    face_ids
        The tracks, or parts of them, as people.csv names them.
    median_size_px
        Of the longer side of the face's box.
    still_share
        Share of the person's time in which the face does not move at all, 0..1.
    """

    number: int
    label: str
    name: str
    role: str
    include: bool
    reason: str
    face_ids: str
    median_size_px: float
    still_share: float


@dataclass(frozen=True, kw_only=True)
class Roster:
    """The people of a clip.

    Attributes
    ----------
    person_id
        (N,) int32, the person of each row of FaceDetections; -1 for a face that tracking dropped.
    people
        By number.
    rows
        The clip's rows of people.csv as they are to be written: text by column.
    """

    person_id: Annotated[np.ndarray, "N", np.int32]
    people: tuple[Person, ...]
    rows: tuple[Mapping[str, str], ...]

    @cached_property
    def by_number(self) -> dict[int, Person]:
        """The people by their number."""
        return {person.number: person for person in self.people}

    @cached_property
    def included(self) -> np.ndarray:
        """Which rows are of people who count, (N,) bool."""
        numbers = [person.number for person in self.people if person.include]
        rows: np.ndarray = np.isin(self.person_id, numbers)
        return rows

    def label(self, number: int) -> str:
        """Return what a person is called."""
        return self.by_number[number].label if number in self.by_number else f"face {number}"
