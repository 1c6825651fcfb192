"""A person's own neutral."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vidfer.errors import WeightsError
from vidfer.labels import EMOTION_INDEX, EMOTIONS
from vidfer.temporal.baseline import SHARE, baseline_shift, centred, neutral_log_odds

NEUTRAL, SADNESS, HAPPINESS = (EMOTION_INDEX[name] for name in ("neutral", "sadness", "happiness"))
AVERAGE = centred(np.array([4.0, 0, 0, 0, 0, 0, 0, 0]))


def logits_of(*parts: tuple[int, dict[int, float]]) -> np.ndarray:
    """Rows of a face that is read as neutral, with something on top."""
    out = []
    for count, more in parts:
        row = np.array([4.0, 0, 0, 0, 0, 0, 0, 0])
        for column, value in more.items():
            row[column] += value
        out.append(np.tile(row, (count, 1)))
    return np.concatenate(out).astype(np.float32)


def test_half_of_what_is_the_persons_own_is_taken_off() -> None:
    logits = logits_of((20, {SADNESS: 2.0}), (10, {HAPPINESS: 8.0}))
    seconds = np.arange(30) / 10
    shift = baseline_shift(logits, seconds, "clip", AVERAGE)
    own = centred(np.eye(8)[SADNESS] * 2.0)
    assert shift == pytest.approx(-SHARE * own)
    assert baseline_shift(logits, seconds, (0.0, 1.9), AVERAGE) == pytest.approx(shift)
    assert not baseline_shift(logits, seconds, "none", AVERAGE).any()


def test_whoever_looks_like_the_average_is_left_as_they_are() -> None:
    logits = logits_of((20, {}), (10, {HAPPINESS: 8.0}))
    assert baseline_shift(logits, np.arange(30) / 10, "clip", AVERAGE) == pytest.approx(np.zeros(8))


def test_whoever_is_never_neutral_has_no_baseline() -> None:
    smiling = logits_of((30, {HAPPINESS: 8.0, SADNESS: 6.0}))
    seconds = np.arange(30) / 10
    assert not baseline_shift(smiling, seconds, "clip", AVERAGE).any()
    assert baseline_shift(smiling, seconds, (0.0, 2.0), AVERAGE).any()  # the user says that this is their neutral
    assert not baseline_shift(smiling, seconds, (5.0, 6.0), AVERAGE).any()  # not seen in the stretch
    assert not baseline_shift(smiling[:3], seconds[:3], "clip", AVERAGE).any()  # too little


def test_a_long_expression_is_no_baseline() -> None:
    """Neutral may be the likeliest in its weakest third: it must be surely so, or the expression would be lost."""
    seconds = np.arange(30) / 10
    for more, is_neutral in ((3.2, False), (3.0, False), (2.5, True), (0.5, True)):
        sad = logits_of((15, {SADNESS: more}), (15, {SADNESS: 6.0}))
        assert baseline_shift(sad, seconds, "clip", AVERAGE).any() == is_neutral


@pytest.mark.parametrize(("resting", "is_neutral"), [("surprise", True), ("sadness", False), ("happiness", False)])
def test_whoever_has_raised_brows_at_rest_is_not_surprised(resting: str, is_neutral: bool) -> None:
    """Surprise passes within seconds; a face that looks sad or pleased for a third of a clip may be so."""
    column = EMOTION_INDEX[resting]
    seconds = np.arange(30) / 10
    lively = logits_of((12, {column: 4.5}), (18, {column: 6.0, NEUTRAL: -4.0}))
    shift = baseline_shift(lively, seconds, "clip", AVERAGE)
    assert shift.any() == is_neutral
    assert not is_neutral or shift[column] == pytest.approx(-SHARE * (4.5 - 4.5 / 8))
    held = logits_of((12, {column: 4.5}), (18, {column: 6.0, NEUTRAL: -1.0}))  # it gets a little stronger
    assert not baseline_shift(held, seconds, "clip", AVERAGE).any()


def test_few_strange_rows_do_not_move_it() -> None:
    logits = logits_of((20, {SADNESS: 2.0}), (10, {HAPPINESS: 8.0}))
    spoilt = logits.copy()
    spoilt[::7] = 50 * np.eye(8)[NEUTRAL]  # three rows, the most neutral of all
    seconds = np.arange(30) / 10
    clean, robust = (baseline_shift(values, seconds, (0.0, 1.95), AVERAGE) for values in (logits, spoilt))
    assert robust == pytest.approx(clean)


def test_weights_without_the_average_are_refused() -> None:
    given = {"neutral_log_odds": dict(zip(EMOTIONS, range(8), strict=True))}
    assert neutral_log_odds(given, source=Path("a")).tolist() == list(range(8))
    with pytest.raises(WeightsError, match=r"mine\.safetensors: \[emotions\] baseline needs weights that say"):
        neutral_log_odds({}, source=Path("mine.safetensors"))
