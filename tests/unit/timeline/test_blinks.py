"""Blinks in curves of known times: at many frame rates, with winks, long closures and looks downwards."""

from __future__ import annotations

import numpy as np
import pytest

from vidfer.timeline.blinks import find_blinks


def curve(
    fps: float, blinks: list[tuple[float, float, float]], *, seconds: float = 12.0, usual: float = 0.8
) -> np.ndarray:
    """Return an opening (T,) that falls by a depth around each (time, duration, depth)."""
    at = np.arange(round(seconds * fps)) / fps
    opening = np.full(len(at), usual)
    for middle, lasts, depth in blinks:
        opening = np.minimum(opening, usual * (1 - depth * np.clip(2.2 - 4.4 * np.abs(at - middle) / lasts, 0, 1)))
    return opening + np.random.default_rng(3).normal(0, 0.015, len(at))


def both(opening: np.ndarray) -> np.ndarray:
    return np.stack([opening, opening], 1)


def times(opening: np.ndarray, fps: float) -> np.ndarray:
    return np.arange(len(opening)) / fps


BLINKS = [(1.3, 0.2, 0.95), (3.1, 0.25, 0.8), (5.02, 0.3, 1.0), (7.77, 0.2, 0.9), (10.4, 0.3, 0.85)]


@pytest.mark.parametrize("fps", [15, 24, 25, 29.97, 30, 50, 60, 120])
def test_blinks_are_found_when_they_are_at_every_rate(fps: float) -> None:
    opening = curve(fps, BLINKS)
    found, count = find_blinks(times(opening, fps), both(opening), track_id=3)
    assert [blink.track_id for blink in found] == [3] * 5
    assert {blink.side for blink in found} == {"both"}
    np.testing.assert_allclose(
        [b.closed_seconds for b in found], [t for t, _, _ in BLINKS], atol=1 / fps + 0.09
    )  # closed for a third of it
    for blink, (middle, lasts, depth) in zip(found, BLINKS, strict=True):
        assert middle - lasts < blink.start_seconds < blink.closed_seconds < blink.end_seconds < middle + lasts
        assert blink.depth == pytest.approx(depth, abs=0.3)
    assert count.count == 5
    assert count.share == pytest.approx(1)
    assert count.per_minute == pytest.approx(25, rel=0.02)


@pytest.mark.parametrize("fps", [5, 10, 14])
def test_below_fifteen_frames_a_second_nothing_is_counted(fps: float) -> None:
    opening = curve(fps, BLINKS)
    found, count = find_blinks(times(opening, fps), both(opening), track_id=0)
    assert found == []
    assert count.count is None
    assert count.per_minute is None
    assert count.share == 0


def test_a_look_down_a_slow_close_and_an_eye_that_stays_closed_are_no_blinks() -> None:
    opening = curve(30, [(2.0, 0.6, 0.35), (5.0, 4.0, 1.0)])
    opening[-45:] = 0.05
    found, count = find_blinks(times(opening, 30), both(opening), track_id=0)
    assert found == []
    assert count.count == 0


@pytest.mark.parametrize(("column", "side"), [(0, "left"), (1, "right")])
def test_a_wink_has_a_side(column: int, side: str) -> None:
    opening = both(curve(30, []))
    opening[:, column] = curve(30, [(4.0, 0.3, 0.95)])
    found, _ = find_blinks(times(opening, 30), opening, track_id=0)
    assert [blink.side for blink in found] == [side]


def test_one_eye_that_is_never_seen_does_not_hinder() -> None:
    opening = both(curve(30, BLINKS))
    opening[:, 0] = np.nan
    found, count = find_blinks(times(opening, 30), opening, track_id=0)
    assert len(found) == count.count == 5


def test_time_that_is_not_seen_is_not_measured_and_no_blink_lies_across_it() -> None:
    opening = both(curve(30, BLINKS))
    opening[60:120] = np.nan  # 2 to 4 s: hides the second
    found, count = find_blinks(times(opening, 30), opening, track_id=0)
    assert len(found) == 4
    assert count.share == pytest.approx(10 / 12, abs=0.02)
    seconds = np.delete(times(opening, 30), np.s_[60:120])
    again, missing = find_blinks(seconds, np.delete(opening, np.s_[60:120], axis=0), track_id=0)
    assert again == found
    assert missing.share == pytest.approx(1, abs=0.02)  # of the time in which the face was seen


def test_a_person_with_narrow_eyes_blinks_too() -> None:
    opening = curve(30, BLINKS, usual=0.4)
    assert len(find_blinks(times(opening, 30), both(opening), track_id=0)[0]) == 5


def test_nobody_and_a_single_frame_are_fine() -> None:
    for count in (0, 1, 2):
        found, measured = find_blinks(np.arange(count) / 30, np.full((count, 2), 0.8), track_id=0)
        assert found == []
        assert measured.count is None


def test_a_shallow_fall_is_a_blink_only_if_it_is_short_and_of_both_eyes() -> None:
    opening = curve(30, [(2.0, 0.25, 0.45), (6.0, 1.0, 0.45)])
    found, _ = find_blinks(times(opening, 30), both(opening), track_id=0)
    assert [round(blink.closed_seconds) for blink in found] == [2]
    alone = both(curve(30, []))
    alone[:, 0] = opening
    assert find_blinks(times(opening, 30), alone, track_id=0)[0] == []


def test_a_blink_whose_lids_go_on_rising_slowly_is_one_and_ends() -> None:
    at = np.arange(240) / 30
    tail = 0.55 * np.exp(-(at - 3.1).clip(0) / 0.8) * (at >= 3.1)
    opening = 0.8 * (1 - np.maximum(tail, np.clip(2 - 20 * np.abs(at - 3), 0, 1)))
    (blink,), _ = find_blinks(at, both(opening), track_id=0)
    assert blink.closed_seconds == pytest.approx(3, abs=0.06)
    assert 2.8 < blink.start_seconds < 3 < blink.end_seconds < 3.5
