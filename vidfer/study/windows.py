"""Time courses around events and on one clock for all; what their columns mean is in columns.csv beside this file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.labels import EMOTIONS, NUM_EMOTIONS
from vidfer.study.events import Event
from vidfer.study.recordings import Recording
from vidfer.study.settings import EventsSection

if TYPE_CHECKING:
    import pandas as pd

_MIN_CHANGE = 0.1  # of probability: below, there is no onset to date
_MIN_SEEN_SHARE = 0.5  # of a window, or of a step
_ROUNDING = 1e-6  # of times that are sums
_FIGURES = (
    *("before_mean", "after_mean", "change", "onset_latency_seconds", "peak_latency_seconds", "peak", "area"),
    *("before_seconds", "after_seconds"),
)


def event_tables(
    recordings: Sequence[Recording], events: Sequence[Sequence[Event]], settings: EventsSection, *, hz: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables ``events`` and ``event_courses``: see columns.csv."""
    heads: list[dict[str, Any]] = []
    figures: list[np.ndarray] = []
    windows: dict[tuple[str, str, str], list[np.ndarray]] = defaultdict(list)
    for recording, of_recording in zip(recordings, events, strict=True):
        for event in of_recording:
            part, around = recording.part, _Window(recording, event.onset_seconds, settings)
            head = {"clip": part.clip, "participant": part.participant, "condition": part.condition}
            times = {"onset_seconds": event.onset_seconds, "duration_seconds": event.duration_seconds}
            heads.append({**head, "type": event.type, **times})
            figures.append(around.figures())
            if around.is_seen:
                windows[part.participant, part.condition, event.type].append(around.resampled(hz))
    of_events = _long(heads, [NUM_EMOTIONS] * len(heads), {"emotion": EMOTIONS * len(heads)}, _FIGURES, figures)
    edges = window_edges(settings, hz)
    middle, counts, means = (edges[:-1] + edges[1:]) / 2, [], []
    for _, stacked in sorted(windows.items()):
        changes = np.stack(stacked)  # (events, T, K)
        counts.append((~np.isnan(changes[..., 0])).sum(axis=0))
        with np.errstate(invalid="ignore"):
            means.append(np.nansum(changes, axis=0) / counts[-1][:, None])
    keys = [dict(zip(("participant", "condition", "type"), key, strict=True)) for key in sorted(windows)]
    steps = {"seconds": np.tile(middle, len(keys)), "events": np.concatenate([np.empty(0, np.int64), *counts])}
    return of_events, _long(keys, [len(middle)] * len(keys), steps, EMOTIONS, means)


def _long(
    heads: Sequence[Mapping[str, Any]],
    counts: Sequence[int],
    further: Mapping[str, Any],
    names: Sequence[str],
    values: Sequence[np.ndarray],
) -> pd.DataFrame:
    """Return a table in which each head is repeated so often, with columns beside it, and values under their names."""
    import pandas as pd

    table = pd.DataFrame.from_records(list(heads))
    table = table.loc[table.index.repeat(counts)].reset_index(drop=True)
    numbers = np.concatenate([np.empty((0, len(names))), *values])
    return pd.concat([table.assign(**further), pd.DataFrame(numbers, columns=list(names))], axis=1)


def window_edges(settings: EventsSection, hz: float) -> np.ndarray:
    """Return the edges of the steps around an onset, (T + 1,) seconds; one of them is the onset."""
    before, after = (max(1, round(side * hz)) for side in (settings.before_seconds, settings.after_seconds))
    return np.arange(-before, after + 1) / hz


class _Window:
    """The rows around the onset of an event."""

    def __init__(self, recording: Recording, onset: float, settings: EventsSection) -> None:
        low, high = onset - settings.before_seconds, onset + settings.after_seconds
        rows = slice(*np.searchsorted(recording.seconds, [low, high]))
        self.seconds, self.step = recording.seconds[rows] - onset, recording.step[rows]
        self.values = recording.raw[rows]
        self.is_before = self.seconds < 0
        self.before_seconds = float(self.step[self.is_before].sum())
        self.after_seconds = float(self.step[~self.is_before].sum())
        self.settings = settings
        self.is_seen = (
            self.before_seconds >= (_MIN_SEEN_SHARE - _ROUNDING) * settings.before_seconds
            and self.after_seconds >= (_MIN_SEEN_SHARE - _ROUNDING) * settings.after_seconds
        )
        if self.is_seen:
            self.before = np.average(self.values[self.is_before], axis=0, weights=self.step[self.is_before])  # (K,)

    def figures(self) -> np.ndarray:
        """Return ``_FIGURES`` of each emotion, (K, F)."""
        found = np.full((len(_FIGURES), NUM_EMOTIONS), np.nan)
        found[-2:] = [[self.before_seconds], [self.after_seconds]]
        if self.is_seen:
            after = ~self.is_before
            seconds, step, values = self.seconds[after], self.step[after], self.values[after]
            change, mean = values - self.before, np.average(values, axis=0, weights=step)
            place, largest = change.argmax(axis=0), change.max(axis=0)
            onset = np.where(largest >= _MIN_CHANGE, seconds[(change >= largest / 2).argmax(axis=0)], np.nan)
            peak = values.max(axis=0)
            found[:-2] = self.before, mean, mean - self.before, onset, seconds[place], peak, step @ change
        return found.T

    def resampled(self, hz: float) -> np.ndarray:
        """Return the change from before the onset on the study's clock, (T, K)."""
        edges = window_edges(self.settings, hz)
        return means_of_steps(self.seconds, self.step, self.values, edges) - self.before


def aligned_table(recordings: Sequence[Recording], *, hz: float) -> pd.DataFrame:
    """Return the table ``aligned``, each recording from the beginning of its clip or stretch."""
    heads, seconds, values = [], [], []
    for recording in recordings:
        part, start = recording.part, recording.part.start_seconds
        edges = np.arange(max(1, round((min(part.end_seconds, recording.clip_seconds) - start) * hz)) + 1) / hz
        heads.append({"participant": part.participant, "condition": part.condition, "clip": part.clip})
        seconds.append((edges[:-1] + edges[1:]) / 2)
        values.append(means_of_steps(recording.seconds - start, recording.step, recording.probabilities, edges))
    table = _long(heads, [len(one) for one in seconds], {"seconds": np.concatenate(seconds)}, EMOTIONS, values)
    return table.astype({**dict.fromkeys(heads[0], "category"), **dict.fromkeys(EMOTIONS, np.float32)})


def means_of_steps(seconds: np.ndarray, step: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the mean in each step of a time course that stays at each value until the next row; NaN where unseen.

    Parameters
    ----------
    seconds, step, values
        (R,) rising, (R,) and (R, K): rows, how long each stands for, and what it says.
    edges
        (T + 1,) seconds of the steps.

    Returns
    -------
    (T, K) float64; NaN where less than half of a step is covered.
    """
    if not len(seconds):
        return np.full((len(edges) - 1, values.shape[1]), np.nan)
    ends = np.minimum(seconds + step, np.append(seconds[1:], np.inf))
    knots = np.column_stack([seconds, ends]).ravel()  # rising; between a row's end and the next row nothing is seen
    held = np.column_stack([np.ones(len(values)), values]) * (ends - seconds)[:, None]  # (R, 1 + K)
    grown = np.repeat(np.cumsum(held, axis=0), 2, axis=0)
    grown[::2] -= held  # (2 R, 1 + K): the integral at each knot
    at = np.empty((len(edges), NUM_EMOTIONS + 1))
    for column in range(at.shape[1]):
        at[:, column] = np.interp(edges, knots, grown[:, column])
    gained = np.diff(at, axis=0)
    covered = gained[:, :1]
    enough = covered >= (_MIN_SEEN_SHARE - _ROUNDING) * np.diff(edges)[:, None]
    means: np.ndarray = np.where(enough, gained[:, 1:] / np.where(enough, covered, 1.0), np.nan)
    return means
