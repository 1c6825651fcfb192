"""Who is who while a stream goes on: what ``linking`` does for a whole clip, from the frames so far alone.

A new track is compared with the people so far once it has a few vectors of good faces, and is then one of them or
somebody new; that is not taken back. People of one frame are never joined: tracks that may go on have people that
differ, so where a track is most likely the person of another one that is out of sight, it waits until that one has
ended or is seen again. What is kept and computed does not grow with the stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from vidfer.faces.linking import MOST_VECTORS, link_tracks, middle_of, more_of_many
from vidfer.faces.track_changes import FIRST_MARGIN, LEAST_QUALITY, MAX_OTHER, cosine
from vidfer.faces.tracking import DROPPED, Track

# A kilobyte each. Those not seen for longest are forgotten first. A hundred who come and go are more than a room holds,
# and the more there are, the likelier somebody new is taken for one of them.
MOST_PEOPLE = 100
# Vectors before a track is compared, and how far apart at least: faces of consecutive frames hardly differ.
FIRST_VECTORS, FIRST_SECONDS = 3, 0.1
AGAIN_SECONDS = 1.0  # from then on
_ROUNDING_SECONDS = 1e-6
MOST_AT_ONCE = 4  # faces of one frame that get a vector: a full room must not hold up the stream


@dataclass(frozen=True, kw_only=True)
class Found:
    """Whose the N faces of a frame are.

    Attributes
    ----------
    person_id, confidence
        (N,) int32, -1 while it is not known; (N,) float32 of the track's link, 1 for a person's first track.
    unsure, unsure_confidence
        Pairs of people who may be the same and were left apart in this frame, and how likely they are.
    changed
        Tracks that have gone over to another person, and should end.
    """

    person_id: np.ndarray
    confidence: np.ndarray
    unsure: list[tuple[int, int]]
    unsure_confidence: list[float]
    changed: list[Track]


@dataclass(eq=False)
class _Person:
    number: int
    total: np.ndarray  # (D,) sum of vectors by quality, of bounded length
    seconds: float  # when last seen
    apart: set[_Person] = field(default_factory=set)  # seen in one frame with this one


@dataclass(eq=False)
class _Sighted:
    """An open track.

    ``beside`` are the tracks without a person that it was seen with, ``apart`` the people; once it has a person itself
    only theirs count. ``doubted`` are vectors that speak against the person.
    """

    total: np.ndarray | float = 0.0
    num_vectors: int = 0
    seconds: float = -math.inf  # of the last vector
    person: _Person | None = None
    confidence: float = 0.0
    doubted: list[np.ndarray] = field(default_factory=list)
    beside: set[_Sighted] = field(default_factory=set)
    apart: set[_Person] = field(default_factory=set)

    @property
    def wait_seconds(self) -> float:
        """From the last vector to the next."""
        is_asked = self.num_vectors < FIRST_VECTORS or self.doubted
        return FIRST_SECONDS if is_asked else AGAIN_SECONDS


class Gallery:
    """The people so far.

    Parameters
    ----------
    min_confidence
        Of a link that is made.
    most_people
        That are remembered.
    """

    def __init__(self, *, min_confidence: float, most_people: int = MOST_PEOPLE) -> None:
        self._min_confidence, self._most_people = min_confidence, most_people
        self._people: list[_Person] = []
        self._tracks: dict[Track, _Sighted] = {}
        self._numbers = count()

    @property
    def numbers(self) -> set[int]:
        """The people who are remembered."""
        return {person.number for person in self._people}

    def push(
        self,
        found: Sequence[Track | None],
        still_open: Sequence[Track],
        quality: np.ndarray,
        seconds: float,
        embed: Callable[[np.ndarray], np.ndarray],
    ) -> Found:
        """Return whose the faces of the next frame are.

        Parameters
        ----------
        found, still_open
            The track of each face, and those that may go on.
        quality
            (N,) 0..1; NaN for a face that cannot be embedded.
        seconds
            The frame's time.
        embed
            Returns vectors (V, D) of length 1 of some rows (V,).
        """
        self._tracks = {track: self._tracks.get(track) or _Sighted() for track in still_open}
        here = {row: self._tracks[track] for row, track in enumerate(found) if track is not None}
        self._see_together(list(here.values()), seconds)
        rows = self._due(here, quality, seconds)
        if len(rows):
            for row, vector in zip(rows.tolist(), embed(rows), strict=True):
                _add(here[row], max(float(quality[row]), 1e-3) * vector.astype(np.float32), seconds)
        counted = [here[row] for row, track in enumerate(found) if track is not None and track.face_id != DROPPED]
        deciding = [one for one in counted if one.person is None and one.num_vectors >= FIRST_VECTORS]
        unsure = self._decide(deciding, seconds) if deciding else {}
        self._forget()
        person_id, confidence = np.full(len(found), -1, np.int32), np.zeros(len(found), np.float32)
        for row, one in here.items():
            if one.person is not None:
                person_id[row], confidence[row] = one.person.number, one.confidence
        return Found(
            person_id=person_id,
            confidence=confidence,
            unsure=list(unsure),
            unsure_confidence=list(unsure.values()),
            changed=[track for track, one in self._tracks.items() if _is_another(one)],
        )

    def _see_together(self, here: list[_Sighted], seconds: float) -> None:
        open_tracks = set(self._tracks.values())
        for one in here:
            others = [other for other in here if other is not one]
            people = {other.person for other in others if other.person is not None}
            if one.person is not None:
                one.person.seconds = seconds
                one.person.apart |= people
            else:
                one.apart |= people
                one.beside |= {other for other in others if other.person is None}
                one.beside &= open_tracks

    def _due(self, here: dict[int, _Sighted], quality: np.ndarray, seconds: float) -> np.ndarray:
        """Return the rows that get a vector: first who is not known, then who has waited longest."""
        due = [
            (one.person is not None, one.seconds, row)
            for row, one in here.items()
            if quality[row] >= LEAST_QUALITY and seconds - one.seconds >= one.wait_seconds - _ROUNDING_SECONDS
        ]
        return np.array([row for _, _, row in sorted(due)[:MOST_AT_ONCE]], np.int64)

    def _decide(self, deciding: list[_Sighted], seconds: float) -> dict[tuple[int, int], float]:
        """Give these tracks of one frame their people; return who else may be the same, and how likely."""
        people, num_people = self._people, len(self._people)
        totals = np.stack([*(person.total for person in people), *(np.asarray(one.total) for one in deciding)])
        is_track = np.arange(len(totals)) >= num_people
        seen_apart = np.zeros((len(totals), len(totals)), np.bool_)
        place = {person: row for row, person in enumerate(people)}
        for row, apart in enumerate([*(person.apart for person in people), *(one.apart for one in deciding)]):
            seen_apart[row, [place[other] for other in apart]] = True
        seen_apart |= seen_apart.T | (is_track & is_track[:, None])
        seen_apart &= ~np.eye(len(totals), dtype=np.bool_)
        means = totals / np.maximum(np.linalg.norm(totals, axis=1, keepdims=True), 1e-9)
        links = link_tracks(
            totals,
            seen_apart | ~(is_track | is_track[:, None]),  # people stay who they are
            min_confidence=self._min_confidence,
            middle=middle_of(means @ means.T, seen_apart) + more_of_many(num_people),
        )
        taken = {one.person for one in self._tracks.values()}
        who: dict[int, _Person] = dict(enumerate(people))  # people keep their numbers among the links
        for row, one in enumerate(deciding, num_people):
            linked = int(links.person[row])
            if linked in who and who[linked] in taken:  # of a track that is out of sight, and may come back
                continue
            if linked not in who:
                who[linked] = _Person(next(self._numbers), np.asarray(one.total), seconds)
                self._people.append(who[linked])
            else:
                who[linked].total = _bounded(who[linked].total + one.total)
            _settle(one, who[linked], float(links.confidence[row]), seconds)
        pairs = zip(links.unsure.tolist(), links.unsure_confidence.tolist(), strict=True)
        return {
            (who[first].number, who[second].number): sure
            for (first, second), sure in pairs
            if first in who and second in who
        }

    def _forget(self) -> None:
        kept = {one.person for one in self._tracks.values()}
        while len(self._people) > self._most_people:
            others = [person for person in self._people if person not in kept]
            if not others:
                return
            gone = min(others, key=lambda person: person.seconds)
            self._people.remove(gone)
            for apart in [of.apart for of in self._people] + [of.apart for of in self._tracks.values()]:
                apart.discard(gone)


def _settle(one: _Sighted, person: _Person, confidence: float, seconds: float) -> None:
    one.person, one.confidence, person.seconds = person, confidence, seconds
    person.apart |= one.apart
    for other in one.apart:
        other.apart.add(person)
    for beside in one.beside:
        if beside.person is None:
            beside.apart.add(person)
        else:
            person.apart.add(beside.person)
            beside.person.apart.add(person)
    one.beside, one.apart, one.total = set(), set(), 0.0


def _add(one: _Sighted, vector: np.ndarray, seconds: float) -> None:
    one.num_vectors += 1
    one.seconds = seconds
    if one.person is None:
        one.total = _bounded(one.total + vector)
    elif one.doubted or cosine(vector, one.person.total) < MAX_OTHER + FIRST_MARGIN:
        one.doubted.append(vector)
        if len(one.doubted) == FIRST_VECTORS and not _is_another(one):
            one.person.total = _bounded(one.person.total + sum(one.doubted))
            one.doubted = []
    else:
        one.person.total = _bounded(one.person.total + vector)


def _is_another(one: _Sighted) -> bool:
    """Return whether a track has gone over to somebody else than its person."""
    if one.person is None or len(one.doubted) < FIRST_VECTORS:
        return False
    return cosine(np.sum(one.doubted, axis=0), one.person.total) < MAX_OTHER


def _bounded(total: np.ndarray) -> np.ndarray:
    """Return a sum of vectors no longer than ``MOST_VECTORS``: then what came first counts less and less."""
    return np.asarray(total * min(1.0, MOST_VECTORS / max(float(np.linalg.norm(total)), 1e-9)))
