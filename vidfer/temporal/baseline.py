"""A person's own neutral: faces that look sad or cross at rest are read against themselves.

What the per-frame network says of the person's neutral face, less what it says of neutral faces on average, is taken
off by three quarters from the log-probabilities of all their rows. That did best on posed faces that no network learnt
from and on clips of talk; the person's neutral alone, without the average taken off, turns neutral rows into something
else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from vidfer.config import Baseline
from vidfer.errors import WeightsError
from vidfer.labels import EMOTION_INDEX, EMOTIONS
from vidfer.temporal.probabilities import softmax

SHARE: Final = 0.75
SURELY_NEUTRAL: Final = 0.7  # where neutral only has to be likeliest, clips that are one long expression are read wrong
NEUTRAL_LOG_ODDS: Final = "neutral_log_odds"  # of a weight file's metadata
_STILLEST, _LIVELIEST = 1 / 3, 1 / 10  # of a person's rows: the most and the least neutral
_MOVES: Final = 3.0  # log-odds of neutral between the two; held expressions that get weaker and stronger have 1.4
_MIN_ROWS: Final = 5
_NEUTRAL, _SURPRISE = EMOTION_INDEX["neutral"], EMOTION_INDEX["surprise"]


def centred(logits: np.ndarray) -> np.ndarray:
    """Return logits (N, 8) less their mean over the classes: log-odds against the geometric mean."""
    return np.asarray(logits - logits.mean(-1, keepdims=True))


def neutral_log_odds(metadata: Mapping[str, Any], *, source: Path) -> np.ndarray:
    """Return (8,) what a weight file's network says of neutral faces on average; raises WeightsError without it."""
    given = metadata.get(NEUTRAL_LOG_ODDS)
    try:
        values = np.array([float(given[name]) for name in EMOTIONS])  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{source}: [emotions] baseline needs weights that say how they read neutral faces ({NEUTRAL_LOG_ODDS}), "
            f"got {given!r}; train them anew, or set emotions.baseline to none"
        ) from error
    return values


def neutral_row_shifts(
    odds: np.ndarray, subjects: Sequence[str], is_neutral: np.ndarray, average: np.ndarray
) -> np.ndarray:
    """Return (N, 8) what to add to the log-probabilities of labelled rows: a person's neutral rows are their baseline.

    A neutral row is read against the person's other neutral rows, so that its own label tells nothing of it. 0 where
    there is no such row, or nothing says who it is.

    Parameters
    ----------
    odds
        (N, 8) ``centred`` log-probabilities.
    subjects
        (N,) who is seen; empty: unknown.
    is_neutral
        (N,) bool, by label.
    average
        (8,) the odds of neutral faces on average.
    """
    shifts = np.zeros_like(odds)
    who = np.array(subjects)
    for subject in set(subjects) - {""}:
        rows = np.flatnonzero(who == subject)
        itself = is_neutral[rows, None]
        others = itself.sum() - itself  # (R, 1) how many neutral rows each is read against
        mean = (odds[rows[itself[:, 0]]].sum(0) - itself * odds[rows]) / np.maximum(others, 1)
        shifts[rows] = np.where(others > 0, -SHARE * (mean - average), 0.0)
    return shifts


def unlabelled_row_shifts(odds: np.ndarray, subjects: Sequence[str], average: np.ndarray) -> np.ndarray:
    """Return (N, 8) as ``neutral_row_shifts``, without labels: of all rows of a person as of the frames of a clip."""
    shifts = np.zeros_like(odds)
    who = np.array(subjects)
    for subject in set(subjects) - {""}:
        rows = np.flatnonzero(who == subject)
        shifts[rows] = baseline_shift(odds[rows], np.zeros(len(rows)), "clip", average)
    return shifts


def baseline_shift(logits: np.ndarray, pts_seconds: np.ndarray, baseline: Baseline, average: np.ndarray) -> np.ndarray:
    """Return (8,) what to add to a person's log-probabilities; 0 where the baseline tells nothing.

    Parameters
    ----------
    logits
        (T, 8) of the per-frame network, of one person over time.
    pts_seconds
        (T,) from the first frame of the clip.
    baseline
        ``clip``: the third of the rows that look most neutral, if its median says neutral with a probability of at
        least ``SURELY_NEUTRAL`` (else the person may never be neutral there). Where the face moves far from it at other
        times it is enough that neutral is the likeliest there, or surprise: nobody is surprised for so long, but brows
        may be high, or raised in talk. Or a stretch [start, end] of the clip, in which the person is neutral.
    average
        As ``neutral_log_odds`` gives it.
    """
    odds = centred(logits.astype(np.float64))
    if baseline == "none":
        return np.zeros(len(EMOTIONS))
    if baseline == "clip":
        count = max(_MIN_ROWS, round(len(odds) * _STILLEST))
        rows = np.argsort(-odds[:, _NEUTRAL], kind="stable")[:count]
    else:
        start, end = baseline
        rows = np.flatnonzero((pts_seconds >= start) & (pts_seconds <= end))
    if len(rows) < _MIN_ROWS or len(odds) < _MIN_ROWS:
        return np.zeros(len(EMOTIONS))
    own = np.median(odds[rows], axis=0)
    if baseline == "clip" and not _is_at_rest(own, odds[:, _NEUTRAL]):
        return np.zeros(len(EMOTIONS))
    return np.asarray(-SHARE * (own - average))


def _is_at_rest(own: np.ndarray, neutral: np.ndarray) -> bool:
    """Say whether ``own`` (8,) is of a resting face, given the odds of neutral (T,) in all rows."""
    if softmax(own)[_NEUTRAL] >= SURELY_NEUTRAL:
        return True
    liveliest = np.sort(neutral)[: max(_MIN_ROWS, round(len(neutral) * _LIVELIEST))]
    return own.argmax() in (_NEUTRAL, _SURPRISE) and bool(own[_NEUTRAL] - np.median(liveliest) >= _MOVES)
