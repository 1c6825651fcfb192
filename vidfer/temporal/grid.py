"""Rows of a track on a fixed grid of time, and back: why frame rate and gaps do not matter to a sequence model.

Every sequence model works at nodes that lie ``STEP_SECONDS`` apart, whatever the frame rate: rows are averaged
around each node, the model runs over the nodes, and its result is interpolated at the rows' own times. So the same
face gives the same timeline at 10 or 60 frames per second, and an hour costs the same too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np

from vidfer.types.validation import Columns

STEP_SECONDS = 0.1  # an expression's onset takes 0.2 s or longer (Ekman and Friesen 1982), so 10 per second suffice
MAX_GAP_SECONDS = 2.0  # a longer gap counts as this long: nothing of before it helps by then
CAUSAL_DELAY_SECONDS = 0.2  # two steps: the last two nodes that a row may read are closed by then, at any frame rate
DELAY_STEPS = CAUSAL_DELAY_SECONDS / STEP_SECONDS
GAP_STEPS = DELAY_STEPS + 1e-3  # rows further apart have a gap between them, behind which nothing is delayed
TOLERANCE = 1e-4  # of a step: rows that fall on a node but for rounding are on it
_COLUMNS_AT_ONCE = 16  # averaged at a time: all of an hour of embeddings at once would take 250 MB


@dataclass(frozen=True, kw_only=True)
class TimeGrid(Columns):
    """How the rows of one track lie on the grid. Node 0 is at the first row.

    Attributes
    ----------
    position
        (T,) float64, each row's place in steps, ascending from 0; gaps are shortened to ``MAX_GAP_SECONDS``.
    coverage_seconds
        (T,) float64, how long each row stands for, at most one step.
    trust
        (T,) float64, how much each row counts when rows are averaged, above 0.
    causal
        False: a row counts for the nodes on both its sides, and reads both. True: it reads what was known
        ``CAUSAL_DELAY_SECONDS`` ago, at nodes that no later row counts for; so its result depends on no later row.
    """

    position: Annotated[np.ndarray, "T", np.float64]
    coverage_seconds: Annotated[np.ndarray, "T", np.float64]
    trust: Annotated[np.ndarray, "T", np.float64]
    causal: bool = False

    def __len__(self) -> int:
        """Return the number of nodes G."""
        return int(self._right[-1]) + 1 if len(self.position) else 0

    @cached_property
    def coverage(self) -> np.ndarray:
        """(G,) float32, 0..1: the share of the time around each node in which the face was seen."""
        seconds = self._sum(self.coverage_seconds.astype(np.float32)[:, None])[:, 0]
        return np.minimum(seconds / STEP_SECONDS, 1.0).astype(np.float32)

    @cached_property
    def seconds_since_seen(self) -> np.ndarray:
        """(G,) float32: time from the last node with a row, 0 at such a node."""
        nodes = np.arange(len(self))
        last = np.maximum.accumulate(np.where(self._observed, nodes, 0))
        return ((nodes - last) * STEP_SECONDS).astype(np.float32)

    def average(self, values: np.ndarray) -> np.ndarray:
        """Return the rows' values (T, C) at the nodes, (G, C) float32.

        Nodes without a row lie on the line between their neighbours that have one (causal: keep the last one's).
        """
        nodes = np.empty((len(self), values.shape[1]), np.float32)
        for start in range(0, values.shape[1], _COLUMNS_AT_ONCE):
            columns = slice(start, start + _COLUMNS_AT_ONCE)
            nodes[:, columns] = self._average(np.asarray(values[:, columns], np.float32))
        return nodes

    def _average(self, values: np.ndarray) -> np.ndarray:
        nodes = self._mean(values)
        if not self.causal:
            # Averages flatten a curve's bends, more so at high frame rates; what they leave out is put back.
            nodes += self._mean(values - between_nodes(nodes, self.position))
        return nodes

    def at_rows(self, values: np.ndarray) -> np.ndarray:
        """Return the nodes' values (G, C) at the rows, (T, C) float32."""
        return between_nodes(values, self._read).astype(np.float32)

    @cached_property
    def _read(self) -> np.ndarray:
        """Where on the grid each row reads, (T,) float64."""
        if not self.causal:
            return self.position
        return np.maximum(self.position - DELAY_STEPS, self._begin)

    @cached_property
    def _begin(self) -> np.ndarray:
        """The node on which the stretch without a gap that each row belongs to begins, (T,) float64."""
        first = np.diff(self.position, prepend=-np.inf) > GAP_STEPS
        return np.maximum.accumulate(np.where(first, np.floor(self.position + TOLERANCE), 0.0))

    @cached_property
    def _left(self) -> np.ndarray:
        return _left_and_share(self.position)[0]

    @cached_property
    def _share(self) -> np.ndarray:
        return _left_and_share(self.position)[1]

    @cached_property
    def _right(self) -> np.ndarray:
        return self._left + (self._share > 0)

    @cached_property
    def _observed(self) -> np.ndarray:
        observed = np.zeros(len(self), bool)
        observed[self._right] = True
        observed[self._left] = True
        return observed

    def _mean(self, values: np.ndarray) -> np.ndarray:
        return self._fill(self._sum(values * self._weights) / self._total_weights)

    @cached_property
    def _weights(self) -> np.ndarray:
        return (self.coverage_seconds * self.trust).astype(np.float32)[:, None]

    @cached_property
    def _total_weights(self) -> np.ndarray:
        return np.maximum(self._sum(self._weights), 1e-12)  # (G, 1)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        """Return for each node the sum of values (T, C) of the rows beside it, weighted by how near they are."""
        total = np.zeros((len(self), values.shape[1]), np.float32)
        if not len(values):
            return total
        left, right = self._starts
        to_right = values * self._share[:, None]
        to_left = values - to_right
        if self.causal:  # the row that begins a stretch reads that node at once, so no other may count for it
            to_left = np.where(((self._left == self._begin) & (self._share > 0))[:, None], 0.0, to_left)
        total[self._left[left]] = np.add.reduceat(to_left, left, axis=0)
        total[self._right[right]] += np.add.reduceat(to_right, right, axis=0)
        return total

    @cached_property
    def _starts(self) -> tuple[np.ndarray, np.ndarray]:
        """Where in the rows another node begins, on their left and on their right."""
        first = np.array([True])
        left, right = (np.concatenate([first, np.diff(index) > 0]) for index in (self._left, self._right))
        return np.flatnonzero(left), np.flatnonzero(right)

    def _fill(self, mean: np.ndarray) -> np.ndarray:
        if self._observed.all():
            return mean
        seen = np.flatnonzero(self._observed)
        nodes = np.arange(len(self))
        before = np.searchsorted(seen, nodes, side="right") - 1
        after = np.minimum(before + 1, len(seen) - 1)
        if self.causal:
            return np.asarray(mean[seen[before]])
        span = np.maximum(seen[after] - seen[before], 1)
        share = ((nodes - seen[before]) / span)[:, None]
        return np.asarray(mean[seen[before]] * (1 - share) + mean[seen[after]] * share)


def make_grid(pts_seconds: np.ndarray, quality: np.ndarray | None = None, *, causal: bool = False) -> TimeGrid:
    """Lay the rows of one track on the grid.

    Parameters
    ----------
    pts_seconds
        (T,) float64, strictly increasing.
    quality
        (T,) float32, 0..1; better rows count more, up to five times. None: all alike.
    causal
        See ``TimeGrid``.
    """
    steps = np.minimum(np.diff(pts_seconds), MAX_GAP_SECONDS)
    position = np.concatenate([np.zeros(min(1, len(pts_seconds))), np.cumsum(steps)]) / STEP_SECONDS
    if causal:
        position = _gaps_to_nodes(position)
    trust = np.ones(len(position)) if quality is None else trust_of(quality)
    seconds = _seconds_per_row(steps, len(position), causal)
    return TimeGrid(position=position, coverage_seconds=seconds, trust=trust, causal=causal)


def between_nodes(values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Return the nodes' values (G, C) at positions (T,) in steps, (T, C): on the line between the nodes beside them."""
    left, share = _left_and_share(position)
    return np.asarray(values[left] * (1 - share[:, None]) + values[left + (share > 0)] * share[:, None])


def trust_of(quality: np.ndarray) -> np.ndarray:
    """Return how much rows count (T,) float64 by their quality (T,): 0.2 to 1."""
    return np.asarray(0.2 + 0.8 * np.clip(quality.astype(np.float64), 0.0, 1.0))


def _left_and_share(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the node on the left of each position, (T,) int64, and how far it is from there to the next, 0..1."""
    left = np.floor(position + TOLERANCE).astype(np.int64)
    share = np.clip(position - left, 0.0, 1.0)
    return left, np.where(share < TOLERANCE, 0.0, share).astype(np.float32)


def _gaps_to_nodes(position: np.ndarray) -> np.ndarray:
    """Lengthen every gap so that the row behind it falls on a node."""
    first = np.flatnonzero(np.diff(position, prepend=-np.inf) > GAP_STEPS)
    spans = np.ceil(np.diff(position[first]) - TOLERANCE)
    moved = np.concatenate([np.zeros(min(1, len(first))), np.cumsum(spans)]) - position[first]
    return np.asarray(position + np.repeat(moved, np.diff(np.append(first, len(position)))))


def _seconds_per_row(steps: np.ndarray, num_rows: int, causal: bool) -> np.ndarray:
    capped = np.minimum(steps, STEP_SECONDS)
    if causal:
        return np.append(np.full(min(1, num_rows), STEP_SECONDS), capped)
    if not len(steps):
        return np.full(num_rows, STEP_SECONDS)
    return (np.append(0.0, capped) + np.append(capped, 0.0)) / 2
