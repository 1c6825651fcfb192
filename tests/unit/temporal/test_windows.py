"""Long sequences in windows: complete, bounded, and without visible joins."""

from itertools import pairwise

import numpy as np
import pytest

from vidfer.errors import ConfigError
from vidfer.temporal.windows import plan_windows, run_windows, window_steps


@pytest.mark.parametrize("seed", range(30))
def test_windows_cover_every_step_and_overlap_enough(seed):
    random = np.random.default_rng(seed)
    window = int(random.integers(2, 80))
    overlap = int(random.integers(1, window))
    lengths = random.integers(0, 600, 5)
    planned = plan_windows(lengths, window=window, overlap=overlap)
    for i, length in enumerate(lengths):
        mine = [w for w in planned if w.sequence == i]
        covered = np.zeros(length, bool)
        for w in mine:
            assert 0 <= w.start < w.stop <= length
            assert w.stop - w.start <= window
            covered[w.start : w.stop] = True
        assert covered.all()
        for before, after in pairwise(mine):
            assert before.start < after.start
            assert before.stop - after.start >= overlap


def moving_average(radius):
    def run(pieces):
        kernel = np.ones(2 * radius + 1) / (2 * radius + 1)
        return [np.stack([np.convolve(c, kernel, "full")[radius : radius + len(c)] for c in p.T], 1) for p in pieces]

    return run


@pytest.mark.parametrize("seed", range(20))
def test_a_model_of_bounded_reach_gives_the_same_as_in_one_pass(seed):
    random = np.random.default_rng(seed)
    radius = int(random.integers(0, 8))
    overlap = int(random.integers(5 * (radius + 1), 60))
    window = overlap + int(random.integers(1, 100))
    sequences = [random.random((int(n), 3)).astype(np.float32) for n in random.integers(1, 900, 4)]
    run = moving_average(radius)
    found = run_windows(run, sequences, window=window, overlap=overlap, batch_steps=int(random.integers(1, 900)))
    for got, whole in zip(found, run(sequences), strict=True):
        assert got.shape == whole.shape
        assert np.abs(got - whole).max() < 1e-5


@pytest.mark.parametrize("seed", range(10))
def test_weights_of_windows_sum_to_one(seed):
    random = np.random.default_rng(seed)
    window = int(random.integers(3, 50))
    found = run_windows(
        lambda pieces: [np.ones((len(p), 2), np.float32) for p in pieces],
        [np.zeros((int(n), 1), np.float32) for n in random.integers(1, 400, 6)],
        window=window,
        overlap=int(random.integers(1, window)),
    )
    assert all(np.allclose(values, 1.0, atol=1e-6) for values in found)


def test_windows_that_disagree_fade_into_each_other():
    calls = iter(range(100))

    def run(pieces):
        return [np.full((len(p), 1), float(next(calls) % 2), np.float32) for p in pieces]

    (found,) = run_windows(run, [np.zeros((1000, 1), np.float32)], window=200, overlap=100, batch_steps=1)
    assert np.abs(np.diff(found[:, 0])).max() < 0.1  # a jump would be 1


def test_batches_are_bounded_and_order_is_kept():
    sizes = []

    def run(pieces):
        sizes.append(len(pieces) * max(map(len, pieces)) / 50)
        return pieces

    sequences = [np.full((n, 1), n, np.float32) for n in (5, 300, 1, 77)]
    found = run_windows(run, sequences, window=50, overlap=10, batch_steps=150)
    assert max(sizes) <= 3
    assert all(np.allclose(a, b) for a, b in zip(found, sequences, strict=True))


def test_overlap_as_long_as_the_window_is_refused():
    with pytest.raises(ConfigError, match=r"overlap_seconds.*less than window_seconds"):
        window_steps(10.0, 10.0, 0.1)
    assert window_steps(60.0, 10.0, 0.1) == (600, 100)
