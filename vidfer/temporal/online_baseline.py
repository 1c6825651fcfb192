"""Each person's own neutral while a stream goes on: what ``baseline`` takes from a clip, from what was seen so far.

What is kept of a person is spread evenly over all the time in which they were seen. So it tells what the whole clip so
far would tell; the last minutes alone would make a neutral of a long laugh.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence

import numpy as np

from vidfer.config import Baseline

MOST_ROWS = 256  # of a person; the third that is most neutral is enough for a median
UPDATE_SECONDS = 1.0


class OnlineBaseline:
    """The neutral of everybody who may be seen again.

    Parameters
    ----------
    baseline
        ``clip``: from what was seen so far, brought up to date once a second; [start, end]: from that stretch of the
        stream, when it is over.
    neutral
        Returns what is said (K,) of a person, given rows (n, K) of them.
    nothing
        (K,), said as long as the neutral is not known.
    """

    def __init__(self, baseline: Baseline, neutral: Callable[[np.ndarray], np.ndarray], nothing: np.ndarray) -> None:
        self._baseline, self._neutral, self._nothing = baseline, neutral, nothing
        self._start_seconds: float | None = None
        self._known: dict[Hashable, _Person] = {}

    def push(
        self,
        seconds: float,
        rows: np.ndarray,
        tracks: Sequence[Hashable | None],
        owners: Sequence[Hashable | None],
        remembered: Collection[Hashable],
    ) -> np.ndarray:
        """Return what is said (N, K) of the faces of the next frame.

        Parameters
        ----------
        seconds
            The frame's time.
        rows
            (N, K) of which a neutral is made.
        tracks, owners
            Of each face the track, and whose it is: the person, or the track as long as that is not known; None for no
            one's.
        remembered
            Owners who may be seen again.
        """
        if self._start_seconds is None:
            self._start_seconds = seconds
        since_start = seconds - self._start_seconds
        for track, owner in zip(tracks, owners, strict=True):
            if owner is not None and owner != track and track in self._known:
                before = self._known.pop(track)
                self._known.setdefault(owner, _Person(since_start)).join(before)
        self._known = {owner: person for owner, person in self._known.items() if owner in remembered}
        said = np.tile(self._nothing, (len(rows), 1))
        for number, owner in enumerate(owners):
            if owner is not None:
                person = self._known.setdefault(owner, _Person(since_start))
                if isinstance(self._baseline, str) or self._baseline[0] <= since_start <= self._baseline[1]:
                    person.add(rows[number])
                if self._is_due(person, since_start):
                    person.update(self._neutral, since_start)
                if person.neutral is not None:
                    said[number] = person.neutral
        return said

    def _is_due(self, person: _Person, since_start: float) -> bool:
        if not person.has_new_rows:
            return False
        if isinstance(self._baseline, str):
            return since_start - person.updated_seconds >= UPDATE_SECONDS
        return since_start > self._baseline[1]


class _Person:
    """Every n-th row of a person; n doubles when there are too many."""

    def __init__(self, seconds: float) -> None:
        self._rows: list[np.ndarray] = []
        self._every, self._left_out = 1, 0
        self.neutral: np.ndarray | None = None
        self.updated_seconds, self.has_new_rows = seconds, False

    def add(self, row: np.ndarray) -> None:
        if not self._left_out:
            self._rows.append(np.array(row, np.float32))
            self._thin_out()
            self._left_out, self.has_new_rows = self._every, True
        self._left_out -= 1

    def join(self, other: _Person) -> None:
        """Take over the rows of a track that is this person's."""
        while other._every < self._every:
            other._halve()
        while self._every < other._every:
            self._halve()
        self._rows += other._rows
        self.has_new_rows |= bool(other._rows)
        self.neutral = other.neutral if self.neutral is None else self.neutral
        self._thin_out()

    def update(self, neutral: Callable[[np.ndarray], np.ndarray], seconds: float) -> None:
        self.neutral = neutral(np.stack(self._rows))
        self.updated_seconds, self.has_new_rows = seconds, False

    def _thin_out(self) -> None:
        while len(self._rows) > MOST_ROWS:
            self._halve()

    def _halve(self) -> None:
        self._rows = self._rows[::2]
        self._every *= 2
