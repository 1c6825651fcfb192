"""Rows on the grid of time and back."""

import numpy as np
import pytest

from vidfer.temporal.grid import CAUSAL_DELAY_SECONDS, MAX_GAP_SECONDS, STEP_SECONDS, make_grid


def times(random, count, *, causal=False):
    steps = random.exponential(random.choice([0.02, 0.05, 0.3]), count) + 1e-3
    return np.cumsum(steps) + random.uniform(0, 1000)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_constant_and_bounds_survive_any_times(seed, causal):
    random = np.random.default_rng(seed)
    pts = times(random, random.integers(1, 200))
    grid = make_grid(pts, random.random(len(pts)).astype(np.float32), causal=causal)
    values = random.random((len(pts), 3)).astype(np.float32)
    nodes = grid.average(values)
    assert nodes.shape == (len(grid), 3)
    slack = 1e-6 if causal else 0.6  # bends are restored, which may overshoot a little where rows jump
    assert nodes.min() >= values.min() - slack
    assert nodes.max() <= values.max() + slack
    back = grid.at_rows(nodes)
    assert back.shape == values.shape
    assert np.allclose(grid.at_rows(grid.average(np.full((len(pts), 1), 0.25))), 0.25)
    assert 0 <= grid.coverage.min() <= grid.coverage.max() <= 1
    assert grid.seconds_since_seen[0] == 0


@pytest.mark.parametrize("fps", [10, 24, 25, 29.97, 30, 50, 60])
def test_slow_change_is_kept_at_every_frame_rate(fps):
    pts = np.arange(int(5 * fps)) / fps
    curve = np.sin(2 * np.pi * 0.3 * pts)[:, None].astype(np.float32)
    grid = make_grid(pts)
    inside = (pts > 0.25) & (pts < pts[-1] - 0.25)
    assert np.abs(grid.at_rows(grid.average(curve)) - curve)[inside].max() < 0.01
    assert np.all(grid.coverage[1:-2] > 0.95)


def test_rows_on_nodes_stay_exactly_as_they_are():
    pts = 3.7 + np.arange(50) * STEP_SECONDS
    values = np.random.default_rng(0).random((50, 2)).astype(np.float32)
    grid = make_grid(pts)
    assert len(grid) == 50
    assert np.allclose(grid.at_rows(grid.average(values)), values, atol=1e-6)


def test_long_gap_costs_no_more_than_the_longest_that_matters():
    short = make_grid(np.array([0.0, 0.04, 0.08, 0.08 + MAX_GAP_SECONDS]))
    day = make_grid(np.array([0.0, 0.04, 0.08, 86_400.0]))
    assert len(day) == len(short)
    inside = day.coverage[3:-2]
    assert np.all(inside == 0)
    assert np.all(np.diff(day.seconds_since_seen[3:-2]) > 0)


def test_better_rows_count_more():
    pts = np.array([0.0, 0.01])
    values = np.array([[0.0], [1.0]])
    trusted = make_grid(pts, np.array([0.0, 1.0], np.float32), causal=True).average(values)
    assert trusted[1, 0] == 1.0
    both = make_grid(np.array([0.0, 0.101, 0.102]), np.array([1.0, 0.0, 1.0], np.float32), causal=True)
    assert both.average(np.array([[0.0], [0.0], [1.0]]))[-1, 0] > 0.8 * (1 / (1 + 0.2 * 99))


@pytest.mark.parametrize("seed", range(5))
def test_causal_rows_know_nothing_of_later_ones(seed):
    random = np.random.default_rng(seed)
    pts = times(random, 120)
    values = random.random((120, 2))
    whole = make_grid(pts, causal=True)
    expected = whole.at_rows(whole.average(values))
    for count in range(1, 121):
        grid = make_grid(pts[:count], causal=True)
        assert np.allclose(grid.at_rows(grid.average(values[:count])), expected[:count], atol=1e-6)


def test_causal_rows_lag_by_the_delay_at_any_frame_rate_and_not_at_all_behind_a_gap():
    for fps in (10, 25, 30, 60):
        pts = np.arange(5 * fps) / fps
        grid = make_grid(pts, causal=True)
        found = grid.at_rows(grid.average(pts[:, None]))[:, 0]
        late = pts > 0.5
        assert np.allclose(found[late], pts[late] - CAUSAL_DELAY_SECONDS, atol=0.01)
    gap = np.concatenate([np.arange(30) / 30, 1.57 + np.arange(30) / 30])
    grid = make_grid(gap, causal=True)
    assert grid.at_rows(grid.average(gap[:, None]))[30, 0] == pytest.approx(1.57)


def test_empty_and_single_row():
    assert len(make_grid(np.zeros(0))) == 0
    grid = make_grid(np.array([5.0]))
    assert grid.at_rows(grid.average(np.array([[0.3, 0.7]]))) == pytest.approx(np.array([[0.3, 0.7]]))


def test_values_in_half_precision_count_as_what_they_are() -> None:
    rng = np.random.default_rng(5)
    grid = make_grid(np.cumsum(rng.uniform(0.02, 0.3, 50)))
    halves = rng.standard_normal((50, 37)).astype(np.float16)
    np.testing.assert_array_equal(grid.average(halves), grid.average(halves.astype(np.float32)))
