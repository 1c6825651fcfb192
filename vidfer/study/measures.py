"""Measures of each participant in each condition: one table, from which all else follows.

``participants.csv``, ``[analysis] measures``, comparisons, pictures, columns.csv and power take them from here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.labels import EMOTIONS, NUM_EMOTIONS, UNSURE_LABEL
from vidfer.timeline.face_movements import gaze_shares

if TYPE_CHECKING:
    import pandas as pd

    from vidfer.study.recordings import Recording


class Pooled:
    """All clips and stretches of a participant in a condition, one after the other."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.recordings = recordings
        self.step = np.concatenate([recording.step for recording in recordings])  # (T,) s that each row stands for
        self.seconds = float(self.step.sum())

    @cached_property
    def episodes(self) -> np.ndarray:
        """How many of each emotion, (K,)."""
        labels = np.concatenate([recording.episodes[:, 0] for recording in self.recordings]).astype(np.int64)
        return np.bincount(labels, minlength=NUM_EMOTIONS).astype(np.float64)

    @cached_property
    def further(self) -> dict[str, np.ndarray]:
        """Each further column of the timelines, (T,); NaN where not measured."""
        names = dict.fromkeys(name for recording in self.recordings for name in recording.further)
        nothing = [np.full(len(recording.step), np.nan) for recording in self.recordings]
        return {
            name: np.concatenate([of.further.get(name, no) for of, no in zip(self.recordings, nothing, strict=True)])
            for name in names
        }

    @cached_property
    def gaze(self) -> Mapping[str, float | None]:
        """Shares of the time in which the gaze is known, and ``measured_share``; empty where it is nowhere."""
        known = {"gaze_yaw", "gaze_pitch"} <= self.further.keys()
        return gaze_shares(self.further, self.step) if known else {}

    def mean(self, name: str) -> float:
        """Return the mean of a further column over the time in which it is measured."""
        known = np.isfinite(self.further[name])
        return float(np.average(self.further[name][known], weights=self.step[known])) if known.any() else np.nan

    def blinks(self) -> tuple[int, float]:
        """Return how many there are, and of how many seconds that speaks."""
        counts = [of.blinks for of in self.recordings if of.blinks is not None and of.blinks.count is not None]
        return sum(count.count or 0 for count in counts), sum(count.measured_seconds for count in counts)


def _share_of_time(pooled: Pooled) -> np.ndarray:
    held = np.concatenate([recording.held for recording in pooled.recordings])
    sure = held != UNSURE_LABEL
    return np.bincount(held[sure], weights=pooled.step[sure], minlength=NUM_EMOTIONS) / pooled.seconds


def _first_episode(pooled: Pooled) -> np.ndarray:
    first = np.full((len(pooled.recordings), NUM_EMOTIONS), np.nan)
    for row, recording in zip(first, pooled.recordings, strict=True):
        starts = np.maximum(0.0, recording.episodes[:, 1] - recording.part.start_seconds)
        np.fmin.at(row, recording.episodes[:, 0].astype(np.int64), starts)
    known = np.isfinite(first)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, first, 0.0).sum(axis=0) / known.sum(axis=0))


def _blinks_per_minute(pooled: Pooled) -> float:
    number, seconds = pooled.blinks()
    return 60 * number / seconds if seconds else np.nan


def _gaze(name: str) -> Callable[[Pooled], float]:
    return lambda pooled: np.nan if (share := pooled.gaze.get(name)) is None else share


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is measured: on pictures, in columns.csv, and how it is computed of what is pooled."""

    words: str
    meaning: str
    of: Callable[[Pooled], Any]  # (K,) or a number


OF_EMOTIONS: dict[str, Measure] = {
    "mean_probability": Measure(
        words="mean probability",
        meaning="probability, 0..1 (a change where a baseline is taken off)",
        of=lambda p: np.concatenate([recording.probabilities for recording in p.recordings]).T @ p.step / p.seconds,
    ),
    "share_of_time": Measure(
        words="share of time",
        meaning="0..1, of the time in episodes of this emotion, as in summary.json",
        of=_share_of_time,
    ),
    "episodes": Measure(words="episodes", meaning="number of them", of=lambda p: p.episodes),
    "episodes_per_minute": Measure(
        words="episodes per minute",
        meaning="of the time in which the face is seen",
        of=lambda p: p.episodes / (p.seconds / 60),
    ),
    "peak_probability": Measure(
        words="peak probability",
        meaning="largest of a row, 0..1, no baseline taken off",
        of=lambda p: np.max([recording.raw.max(axis=0) for recording in p.recordings], axis=0),
    ),
    "first_episode_seconds": Measure(
        words="seconds to first episode",
        meaning="from the beginning of clip or stretch, mean over those with an episode; empty: none",
        of=_first_episode,
    ),
}
OF_PEOPLE: dict[str, Measure] = {
    "blinks_per_minute": Measure(
        words="blinks per minute",
        meaning="of the time in which they could be counted; empty: nowhere (see blinks in the guide)",
        of=_blinks_per_minute,
    ),
    "blinks_measured_seconds": Measure(
        words="seconds with blinks counted", meaning="that time", of=lambda p: p.blinks()[1]
    ),
    **{
        f"gaze_{way}_share": Measure(
            words=f"share of gaze {way.replace('_', ' ')}",
            meaning="0..1, of the time in which the gaze is known, as in summary.json",
            of=_gaze(f"{way}_share"),
        )
        for way in ("at_camera", "down", "up", "aside")
    },
    "gaze_measured_share": Measure(
        words="share with gaze known",
        meaning="0..1, of seconds, in which the gaze is known",
        of=_gaze("measured_share"),
    ),
}
MEANINGS = {name: measure.meaning for name, measure in (OF_EMOTIONS | OF_PEOPLE).items()}


def words_of(measure: str) -> str:
    """Return a measure's name in pictures; a column of the timelines keeps its own."""
    known = (OF_EMOTIONS | OF_PEOPLE).get(measure)
    return known.words if known else measure.replace("_", " ")


def participant_table(recordings: Iterable[Recording], *, by_clip: bool = False) -> pd.DataFrame:
    """Return the table ``participants``: see columns.csv; with ``by_clip`` a row for each clip instead."""
    import pandas as pd

    groups: dict[tuple[str, ...], list[Recording]] = defaultdict(list)
    for recording in recordings:
        key = (recording.part.participant, recording.part.condition)
        groups[(*key, recording.part.clip, str(recording.part.start_seconds)) if by_clip else key].append(recording)
    rows = []
    for (participant, condition, *_), group in sorted(groups.items(), key=lambda one: one[0]):
        pooled = Pooled(group)
        head: dict[str, Any] = {"participant": participant, "condition": condition, **_covariates(group)}
        head |= {"clips": len(group), "seconds": pooled.seconds, "emotion": EMOTIONS}
        of_person = {name: measure.of(pooled) for name, measure in OF_PEOPLE.items()} if _has_movements(pooled) else {}
        means = {name: pooled.mean(name) for name in pooled.further}
        columns = {**head, **{name: of.of(pooled) for name, of in OF_EMOTIONS.items()}, **of_person, **means}
        rows.append(pd.DataFrame(columns))
    table = pd.concat(rows, ignore_index=True)
    return table.astype({"episodes": np.int64})


def _has_movements(pooled: Pooled) -> bool:
    return bool(pooled.gaze) or any(recording.blinks is not None for recording in pooled.recordings)


def clip_table(recordings: Sequence[Recording]) -> pd.DataFrame:
    """Return the table ``clips``."""
    import pandas as pd

    rows = [
        {
            "clip": recording.part.clip,
            "participant": recording.part.participant,
            "condition": recording.part.condition,
            "start_seconds": recording.part.start_seconds,
            "end_seconds": min(recording.part.end_seconds, recording.clip_seconds),
            "frames": recording.num_frames,
            "frames_with_face": recording.num_seen,
            "frames_used": recording.num_rows,
            "mean_quality": recording.mean_quality,
            "baseline": recording.baseline,
        }
        for recording in recordings
    ]
    return pd.DataFrame(rows)


def _covariates(group: Sequence[Recording]) -> dict[str, str]:
    """Return the covariates in which all clips of the group agree; others belong to single clips."""
    first = group[0].part.covariates
    return {
        name: value
        for name, value in first.items()
        if all(recording.part.covariates.get(name) == value for recording in group)
    }
