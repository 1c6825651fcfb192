"""A person's own neutral while a stream goes on: what the whole clip so far would tell, from few rows."""

from __future__ import annotations

import numpy as np
import pytest

from vidfer.labels import EMOTION_INDEX, EMOTIONS
from vidfer.temporal.baseline import SHARE, baseline_shift
from vidfer.temporal.online_baseline import MOST_ROWS, OnlineBaseline

AVERAGE = np.zeros(8)
FPS = 25
TRACK, OTHER = "track", "other"


def own_of(rows: np.ndarray) -> np.ndarray:
    return baseline_shift(rows, np.zeros(len(rows)), "clip", AVERAGE)


def follow(baseline: OnlineBaseline, logits: np.ndarray, *, start: int = 0, owner: object = TRACK) -> np.ndarray:
    """Return what is said of one face's rows, a frame each."""
    said = [
        baseline.push((start + number) / FPS, row[None], [TRACK], [owner], {TRACK, owner})[0]
        for number, row in enumerate(logits)
    ]
    return np.array(said)


def restless(count: int, seed: int = 0) -> np.ndarray:
    """Logits of somebody who looks sad at rest, and smiles in between."""
    rng = np.random.default_rng(seed)
    logits = np.tile(4 * np.eye(8)[EMOTION_INDEX["neutral"]] + 3 * np.eye(8)[EMOTION_INDEX["sadness"]], (count, 1))
    logits[:, EMOTION_INDEX["happiness"]] += 8 * (np.sin(np.arange(count) / 40) > 0.3)
    return (logits + rng.normal(size=logits.shape)).astype(np.float32)


def test_it_is_that_of_the_clip_so_far_however_long() -> None:
    logits = restless(6000)
    said = follow(OnlineBaseline("clip", own_of, np.zeros(8)), logits)
    assert not said[:FPS].any(), "nothing in the first second"
    for number in (2 * FPS, 200, 1000, 5999):
        assert said[number] == pytest.approx(own_of(logits[: number + 1]), abs=SHARE * (0.7 if number < 1000 else 0.3))
    changes = np.flatnonzero(np.abs(np.diff(said, axis=0)).max(1)) + 1
    assert np.diff(changes).min() >= FPS, "brought up to date once a second"


def test_what_is_kept_is_bounded_and_spread_over_the_whole_time() -> None:
    baseline = OnlineBaseline("clip", lambda rows: rows[:, 0].copy(), np.zeros(8))
    kept = []
    baseline._neutral = lambda rows: kept.append(rows[:, 0]) or np.zeros(8)
    logits = np.zeros((20_000, 8), np.float32)
    logits[:, 0] = np.arange(len(logits))
    follow(baseline, logits)
    assert max(map(len, kept)) <= MOST_ROWS
    steps = np.diff(kept[-1])
    assert set(steps) == {128.0}
    assert kept[-1][0] == 0
    assert kept[-1][-1] > 19_800


def test_a_stretch_is_known_when_it_is_over() -> None:
    logits = restless(500)
    said = follow(OnlineBaseline((2.0, 8.0), own_of, np.zeros(8)), logits, start=1000)
    assert not said[: 8 * FPS + 1].any()
    whole = own_of(logits[2 * FPS : 8 * FPS + 1])
    assert np.allclose(said[8 * FPS + 1 :], whole)


def test_a_track_brings_what_is_known_of_it_to_its_person() -> None:
    baseline = OnlineBaseline("clip", own_of, np.zeros(8))
    logits = restless(600)
    follow(baseline, logits[:300])
    said = follow(baseline, logits[300:], start=300, owner=5)
    assert said[0] == pytest.approx(own_of(logits[:300]), abs=0.6 * SHARE), "not anew"
    assert said[-1] == pytest.approx(own_of(logits), abs=0.6 * SHARE)
    assert set(baseline._known) == {5}


def test_a_person_who_comes_back_is_known_and_one_who_is_forgotten_is_not() -> None:
    baseline = OnlineBaseline("clip", own_of, np.zeros(8))
    follow(baseline, restless(200), owner=5)
    again = baseline.push(60.0, restless(1), [OTHER], [5], {OTHER, 5})
    assert again.any()
    baseline.push(61.0, np.zeros((0, 8), np.float32), [], [], set())
    assert baseline._known == {}
    assert not baseline.push(62.0, restless(1), [OTHER], [5], {OTHER, 5}).any()


def test_faces_of_nobody_have_none() -> None:
    baseline = OnlineBaseline("clip", own_of, np.full(len(EMOTIONS), np.nan))
    assert np.isnan(baseline.push(0.0, restless(2), [None, None], [None, None], set())).all()
    assert baseline._known == {}
