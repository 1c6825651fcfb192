"""Rows of a track as they come: the same grid of time as for a whole track, over the last rows alone.

A causal grid's node is closed once no later row counts for it, and a row reads closed nodes only. So a model may go on
from what it knew at the last closed node, and what it says of a row is what it would say of the whole track.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from vidfer.errors import ConfigError
from vidfer.temporal import TemporalModel, TrackSequence
from vidfer.temporal.grid import (
    DELAY_STEPS,
    GAP_STEPS,
    MAX_GAP_SECONDS,
    STEP_SECONDS,
    TOLERANCE,
    TimeGrid,
    trust_of,
)

_KEPT_NODES = 3  # before the first open one: a node takes its values from rows less than one node away


class TrackStream(Protocol):
    """What a causal model remembers of one track; memory and time do not grow with the track."""

    def push(self, seconds: float, vector: np.ndarray, logits: np.ndarray, quality: float) -> np.ndarray:
        """Return probabilities (K,) float32 of the next row.

        Parameters
        ----------
        seconds
            Later than in the call before.
        vector, logits, quality
            (D,) float16 or float32, (K,) float32 and 0..1, as in ``TrackSequence``.
        """
        ...


@runtime_checkable
class StreamingModel(Protocol):
    """A temporal model that can also be given a track row by row."""

    def stream(self) -> TrackStream:
        """Return a stream for a new track."""
        ...


def check_streams(model: TemporalModel, name: str) -> StreamingModel:
    """Return the model; raises ConfigError for one that cannot answer at once."""
    if not isinstance(model, StreamingModel):
        raise ConfigError(f"[temporal] name: {name!r} has no method stream(), so it cannot run live: use gru or ema")
    if not getattr(model, "causal", False):
        raise ConfigError("[temporal] causal: a stream has no later frames: set it to true, or use --pipeline live")
    return model


class _Row(NamedTuple):
    position: float
    coverage_seconds: float
    seconds: float
    vector: np.ndarray
    logits: np.ndarray
    quality: float


class OnlineGrid:
    """The end of a causal ``TimeGrid`` that grows row by row.

    Parameters
    ----------
    kept_nodes
        Nodes before the first open one whose rows are kept.

    Attributes
    ----------
    num_closed
        Nodes that no later row counts for.
    read
        Where the last row reads, in steps.
    """

    def __init__(self, kept_nodes: int = _KEPT_NODES) -> None:
        self._kept_nodes = kept_nodes
        self._rows: deque[_Row] = deque()
        self._begin = 0.0  # the node on which the stretch without a gap begins
        self.num_closed = 0
        self.read = 0.0

    @property
    def first_node(self) -> int:
        """The number of node 0 of ``window``."""
        return _left(self._rows[0])

    def add(self, seconds: float, vector: np.ndarray, logits: np.ndarray, quality: float) -> None:
        """Add the next row; ``num_closed`` and ``read`` then speak of it."""
        position, coverage = 0.0, STEP_SECONDS
        if self._rows:
            last = self._rows[-1]
            step = min(seconds - last.seconds, MAX_GAP_SECONDS)
            position, coverage = last.position + step / STEP_SECONDS, min(step, STEP_SECONDS)
            if position - last.position > GAP_STEPS:
                position = self._begin = float(math.ceil(position - TOLERANCE))
        self._rows.append(_Row(position, coverage, seconds, vector, logits, quality))
        self.num_closed = max(_left(self._rows[-1]), int(self._begin) + 1)
        self.read = max(position - DELAY_STEPS, self._begin)

    def window(self) -> tuple[TrackSequence, TimeGrid]:
        """Return the rows that are kept and their grid; its nodes from ``num_closed`` on are still open."""
        rows = self._rows
        quality = np.array([row.quality for row in rows], np.float32)
        track = TrackSequence(
            pts_seconds=np.array([row.seconds for row in rows]),
            vectors=np.stack([row.vector for row in rows]),
            logits=np.stack([row.logits for row in rows]),
            quality=quality,
        )
        grid = TimeGrid(
            position=np.array([row.position for row in rows]) - self.first_node,
            coverage_seconds=np.array([row.coverage_seconds for row in rows]),
            trust=trust_of(quality),
            causal=True,
        )
        return track, grid

    def forget(self) -> None:
        """Let go of the rows that no open node needs."""
        while len(self._rows) > 1 and _left(self._rows[1]) <= self.num_closed - self._kept_nodes:
            self._rows.popleft()


def _left(row: _Row) -> int:
    return math.floor(row.position + TOLERANCE)
