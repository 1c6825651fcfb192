"""What holds for any times, lengths and settings: the grid of time, windows over it, and the smoothers on both."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidfer.errors import ConfigError
from vidfer.temporal import TEMPORAL_MODELS, TrackSequence
from vidfer.temporal.grid import MAX_GAP_SECONDS, STEP_SECONDS, make_grid
from vidfer.temporal.windows import plan_windows, run_windows, window_steps

STEPS = st.one_of(st.sampled_from([1 / 25, 1 / 60, 0.1, 0.2, 2.0, 1e-6]), st.floats(1e-6, 0.5), st.floats(0.5, 1e7))


@st.composite
def times(draw: st.DrawFn) -> np.ndarray:
    """Strictly increasing seconds, from microseconds to months apart."""
    start = draw(st.sampled_from([0.0, 0.033, 1e5]))
    return start + np.cumsum([0.0, *draw(st.lists(STEPS, max_size=60))])


@given(pts=times(), seed=st.integers(0, 2**32 - 1), causal=st.booleans())
def test_any_times_go_on_the_grid_and_come_back(pts: np.ndarray, seed: int, causal: bool) -> None:
    random = np.random.default_rng(seed)
    quality = random.random(len(pts)).astype(np.float32)
    grid = make_grid(pts, quality, causal=causal)
    longest = np.minimum(np.diff(pts), MAX_GAP_SECONDS).sum() / STEP_SECONDS
    assert 1 <= len(grid) <= (1 + 1 / 10) * longest + len(pts) + 3  # months of nothing cost no more than two seconds
    assert (np.diff(grid.position) >= 0).all()
    assert np.isfinite(grid.coverage).all()
    assert ((grid.coverage >= 0) & (grid.coverage <= 1)).all()
    assert (grid.seconds_since_seen >= 0).all()
    constant = np.full((len(pts), 2), 0.25, np.float32)
    np.testing.assert_allclose(grid.at_rows(grid.average(constant)), constant, atol=1e-5)
    values = random.random((len(pts), 3)).astype(np.float32)
    back = grid.at_rows(grid.average(values))
    assert back.shape == values.shape
    assert np.isfinite(back).all()


@given(pts=times(), delay=st.sampled_from([1.0, 3600.0, 1e5]))
def test_when_a_track_begins_does_not_matter(pts: np.ndarray, delay: float) -> None:
    """The same face an hour later gives the same; times are float64, so that is so up to rounding."""
    values = np.linspace(0, 1, len(pts), dtype=np.float32)[:, None]
    if len(pts) > 1 and (np.diff(pts).min() < 1e-3 or pts[-1] > 1e6):
        return  # closer than the rounding of such late times
    first, later = (make_grid(start + pts) for start in (0.0, delay))
    found = [grid.at_rows(grid.average(values)) for grid in (first, later)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)


@pytest.mark.parametrize("name", ["none", "ema", "median", "hmm"])
@given(pts=times(), seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.0, 1.0, 1e3, 1e30]))
def test_smoothers_give_probabilities_for_any_times_and_logits(
    name: str, pts: np.ndarray, seed: int, size: float
) -> None:
    random = np.random.default_rng(seed)
    track = TrackSequence(
        pts_seconds=pts,
        vectors=np.zeros((len(pts), 4), np.float32),
        logits=(size * random.normal(size=(len(pts), 8))).astype(np.float32),
        quality=random.choice([0.0, 0.5, 1.0], len(pts)).astype(np.float32),
    )
    (found,) = TEMPORAL_MODELS.get(name)(device="cpu", weights="", window_seconds=60.0, overlap_seconds=10.0).predict(
        [track]
    )
    assert found.shape == track.logits.shape
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-4)


@given(lengths=st.lists(st.integers(0, 600), max_size=4), window=st.integers(8, 200), data=st.data())
def test_windows_cover_every_step_once_in_weight(lengths: list[int], window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(max(1, window // 10), max(1, window // 2)))
    planned = plan_windows(lengths, window=window, overlap=overlap)
    for i, length in enumerate(lengths):
        mine = [piece for piece in planned if piece.sequence == i]
        assert len(mine) <= 1 + length / (window - overlap)
        assert all(0 <= piece.start < piece.stop <= length and piece.stop - piece.start <= window for piece in mine)
        assert all(before.stop - after.start >= overlap for before, after in pairwise(mine))
        if length:
            assert (mine[0].start, mine[-1].stop) == (0, length)
    sequences = [np.zeros((length, 1), np.float32) for length in lengths]
    found = run_windows(
        lambda pieces: [np.ones((len(piece), 2), np.float32) for piece in pieces],
        sequences,
        window=window,
        overlap=overlap,
        batch_steps=data.draw(st.integers(200, 5000)),
    )
    for length, result in zip(lengths, found, strict=True):
        assert len(result) == length
        np.testing.assert_allclose(result, 1, atol=1e-6)


@given(window=st.floats(1e-9, 1e12, allow_nan=False), overlap=st.floats(1e-9, 1e12, allow_nan=False))
def test_any_settings_give_windows_or_a_clear_error(window: float, overlap: float) -> None:
    if overlap >= window:
        with pytest.raises(ConfigError, match="overlap_seconds"):
            window_steps(window, overlap, STEP_SECONDS)
        return
    length, shared = window_steps(window, overlap, STEP_SECONDS)
    assert 1 <= shared < length
