"""The tables of a study: per participant and condition, per event, and resampled to one clock.

What their columns mean is in columns.csv beside this file, which is written with them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.labels import EMOTIONS, NUM_EMOTIONS
from vidfer.study.courses import Course
from vidfer.study.events import Event
from vidfer.study.settings import EventsSection

if TYPE_CHECKING:
    import pandas as pd

_LEAST_CHANGE = 0.1  # of probability: below, there is no onset to date
_SEEN = 0.5  # of a window, or of a step
_ROUNDING = 1e-6  # of times that are sums


def participant_tables(courses: Sequence[Course]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables ``participants`` and ``movements``: see columns.csv."""
    import pandas as pd

    groups: dict[tuple[str, str], list[Course]] = defaultdict(list)
    for course in courses:
        groups[course.part.participant, course.part.condition].append(course)
    rows, movements = [], []
    for (participant, condition), group in sorted(groups.items()):
        seconds = float(sum(course.step.sum() for course in group))
        head: dict[str, Any] = {"participant": participant, "condition": condition, **_covariates(group)}
        head |= {"clips": len(group), "seconds": seconds}
        for label, emotion in enumerate(EMOTIONS):
            rows.append({**head, "emotion": emotion, **_of_emotion(group, label, seconds)})
        del head["clips"]
        for measure in dict.fromkeys(name for course in group for name in course.further):
            weights = np.concatenate([course.step for course in group])
            values = [course.further.get(measure, np.full(len(course.step), np.nan)) for course in group]
            movements.append({**head, "measure": measure, **_mean(np.concatenate(values), weights)})
        counted = [course for course in group if course.blinks is not None]
        if counted:
            minutes = sum(float(course.step.sum()) for course in counted) / 60
            rate = sum(course.blinks or 0 for course in counted) / minutes
            movements.append({**head, "measure": "blinks_per_minute", "mean": rate, "measured_seconds": minutes * 60})
    return pd.DataFrame(rows), pd.DataFrame(movements)


def clip_table(courses: Sequence[Course]) -> pd.DataFrame:
    """Return the table ``clips``."""
    import pandas as pd

    rows = []
    for course in courses:
        part = course.part
        rows.append(
            {
                "clip": part.clip,
                "participant": part.participant,
                "condition": part.condition,
                "start_seconds": part.start_seconds,
                "end_seconds": min(part.end_seconds, course.clip_seconds),
                "frames": course.num_frames,
                "frames_with_face": course.num_seen,
                "frames_used": course.num_rows,
                "mean_quality": course.summary.get("mean_quality"),
                "baseline": course.baseline,
            }
        )
    return pd.DataFrame(rows)


def clip_measures(courses: Sequence[Course]) -> pd.DataFrame:
    """Return ``participants`` with a row for each clip instead: what mixed models are fitted to."""
    import pandas as pd

    tables = [participant_tables([course])[0].assign(clip=course.part.clip) for course in courses]
    return pd.concat(tables, ignore_index=True)


def _covariates(group: Sequence[Course]) -> dict[str, str]:
    """Return the covariates in which all clips of the group agree; others belong to single clips."""
    first = group[0].part.covariates
    return {
        name: value
        for name, value in first.items()
        if all(course.part.covariates.get(name) == value for course in group)
    }


def _of_emotion(group: Sequence[Course], label: int, seconds: float) -> dict[str, Any]:
    starts = [course.episodes[course.episodes[:, 0] == label, 1] for course in group]
    first = [
        max(0.0, float(one.min()) - course.part.start_seconds)
        for one, course in zip(starts, group, strict=True)
        if len(one)
    ]
    episodes = sum(map(len, starts))
    return {
        "mean_probability": sum(float(c.probabilities[:, label] @ c.step) for c in group) / seconds,
        "share_of_time": sum(float(c.step[c.held == label].sum()) for c in group) / seconds,
        "episodes": episodes,
        "episodes_per_minute": episodes / (seconds / 60),
        "peak_probability": max(float(course.raw[:, label].max()) for course in group),
        "first_episode_seconds": float(np.mean(first)) if first else None,
    }


def _mean(values: np.ndarray, weights: np.ndarray) -> dict[str, float | None]:
    known = ~np.isnan(values)
    total = float(weights[known].sum())
    return {"mean": float(values[known] @ weights[known]) / total if total else None, "measured_seconds": total}


def event_tables(
    courses: Sequence[Course], events: Sequence[Sequence[Event]], settings: EventsSection, *, hz: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables ``events`` and ``event_courses``: see columns.csv."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    windows: dict[tuple[str, str, str], list[np.ndarray]] = defaultdict(list)
    for course, of_course in zip(courses, events, strict=True):
        for event in of_course:
            part = course.part
            head: dict[str, Any] = {"clip": part.clip, "participant": part.participant, "condition": part.condition}
            head |= {"type": event.type, "onset_seconds": event.onset_seconds}
            head |= {"duration_seconds": event.duration_seconds}
            around = _Window(course, event.onset_seconds, settings)
            rows += [{**head, "emotion": name, **around.figures(label)} for label, name in enumerate(EMOTIONS)]
            if around.is_seen:
                windows[part.participant, part.condition, event.type].append(around.resampled(hz))
    means = []
    edges = window_edges(settings, hz)
    for (participant, condition, kind), of_events in sorted(windows.items()):
        stacked = np.stack(of_events)  # (events, T, K)
        counted = (~np.isnan(stacked[..., 0])).sum(axis=0)
        mean = np.where(counted[:, None], np.nansum(stacked, axis=0) / np.maximum(counted, 1)[:, None], np.nan)
        table = pd.DataFrame(mean, columns=list(EMOTIONS))
        for name, value in {"participant": participant, "condition": condition, "type": kind}.items():
            table.insert(0, name, value)
        table["seconds"], table["events"] = (edges[:-1] + edges[1:]) / 2, counted
        means.append(table)
    order = ["participant", "condition", "type", "seconds", "events", *EMOTIONS]
    return pd.DataFrame(rows), pd.concat(means, ignore_index=True)[order] if means else pd.DataFrame(columns=order)


def window_edges(settings: EventsSection, hz: float) -> np.ndarray:
    """Return the edges of the steps around an onset, (T + 1,) seconds; one of them is the onset."""
    before, after = (max(1, round(side * hz)) for side in (settings.before_seconds, settings.after_seconds))
    return np.arange(-before, after + 1) / hz


class _Window:
    """The rows around the onset of an event."""

    def __init__(self, course: Course, onset: float, settings: EventsSection) -> None:
        low, high = onset - settings.before_seconds, onset + settings.after_seconds
        rows = slice(*np.searchsorted(course.seconds, [low, high]))
        self.seconds, self.step = course.seconds[rows] - onset, course.step[rows]
        self.values = course.raw[rows]
        self.is_before = self.seconds < 0
        self.before_seconds = float(self.step[self.is_before].sum())
        self.after_seconds = float(self.step[~self.is_before].sum())
        self.settings = settings
        self.is_seen = (
            self.before_seconds >= (_SEEN - _ROUNDING) * settings.before_seconds
            and self.after_seconds >= (_SEEN - _ROUNDING) * settings.after_seconds
        )
        if self.is_seen:
            self.before = np.average(self.values[self.is_before], axis=0, weights=self.step[self.is_before])  # (K,)

    def figures(self, label: int) -> dict[str, float | None]:
        seen = {"before_seconds": self.before_seconds, "after_seconds": self.after_seconds}
        if not self.is_seen:
            return seen  # type: ignore[return-value]  # what is missing becomes an empty cell
        after = ~self.is_before
        seconds, step, values = self.seconds[after], self.step[after], self.values[after, label]
        change = values - self.before[label]
        peak = int(change.argmax())
        dated = change[peak] >= _LEAST_CHANGE
        mean = float(np.average(values, weights=step))
        return {
            "before_mean": float(self.before[label]),
            "after_mean": mean,
            "change": mean - float(self.before[label]),
            "onset_latency_seconds": float(seconds[np.argmax(change >= change[peak] / 2)]) if dated else None,
            "peak_latency_seconds": float(seconds[peak]),
            "peak": float(values[peak]),
            "area": float(change @ step),
            **seen,
        }

    def resampled(self, hz: float) -> np.ndarray:
        """Return the change from before the onset on the study's clock, (T, K)."""
        edges = window_edges(self.settings, hz)
        return means_of_steps(self.seconds, self.step, self.values, edges) - self.before


def aligned_table(courses: Sequence[Course], *, hz: float) -> pd.DataFrame:
    """Return the table ``aligned``, each course from the beginning of its clip or stretch."""
    import pandas as pd

    clips, participants, conditions, seconds, values = [], [], [], [], []
    for course in courses:
        start = course.part.start_seconds
        end = min(course.part.end_seconds, course.clip_seconds) - start
        edges = np.arange(max(1, round(end * hz)) + 1) / hz
        means = means_of_steps(course.seconds - start, course.step, course.probabilities, edges)
        clips += [course.part.clip] * len(means)
        participants += [course.part.participant] * len(means)
        conditions += [course.part.condition] * len(means)
        seconds.append((edges[:-1] + edges[1:]) / 2)
        values.append(means)
    columns: Mapping[str, Any] = {
        "participant": pd.Categorical(participants),
        "condition": pd.Categorical(conditions),
        "clip": pd.Categorical(clips),
        "seconds": np.concatenate(seconds),
    }
    every = np.concatenate(values).astype(np.float32)
    return pd.DataFrame({**columns, **{name: every[:, label] for label, name in enumerate(EMOTIONS)}})


def means_of_steps(seconds: np.ndarray, step: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the mean in each step of a course that stays at each value until the next row; NaN where it is not seen.

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
    enough = covered >= (_SEEN - _ROUNDING) * np.diff(edges)[:, None]
    means: np.ndarray = np.where(enough, gained[:, 1:] / np.where(enough, covered, 1.0), np.nan)
    return means
