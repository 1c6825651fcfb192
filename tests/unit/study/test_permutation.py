"""Permutation tests against scipy's, against all permutations by hand, and against what they promise: alpha."""

import itertools

import numpy as np
import pytest
from scipy import stats

from vidfer.study.permutation import cluster_test, group_permutations, p_values, sign_permutations, t_paired, t_unpaired


def test_t_is_that_of_scipy() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(5, 1, (9, 4)), rng.normal(5.3, 2, (12, 4))
    is_second = (np.arange(21) >= 9)[None] * 1.0
    assert t_paired(first - 5, np.ones((1, 9)))[0] == pytest.approx(stats.ttest_1samp(first, 5).statistic)
    assert t_unpaired(np.concatenate([first, second]), is_second)[0] == pytest.approx(
        stats.ttest_ind(second, first).statistic
    )


@pytest.mark.parametrize("people", [6, 8])
def test_all_sign_changes_give_the_p_value_of_scipy(people: int) -> None:
    difference = np.random.default_rng(people).normal(0.4, 1, people)
    permutations = sign_permutations(people, 9999, np.random.default_rng(0))
    assert permutations.is_exact
    expected = stats.permutation_test(
        (difference,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert p_values(difference[:, None], permutations, paired=True)[0] == pytest.approx(expected.pvalue)


def test_all_ways_to_deal_out_two_groups_give_the_p_value_of_scipy() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(0, 1, 5), rng.normal(1, 1, 6)
    permutations = group_permutations(5, 6, 9999, rng)
    assert permutations.is_exact
    assert len(permutations.drawn) == 462
    expected = stats.permutation_test(
        (second, first),
        lambda x, y, axis: np.abs(stats.ttest_ind(x, y, axis=axis).statistic),
        permutation_type="independent",
        alternative="greater",  # of |t|: two-sided; scipy's own two-sided doubles the smaller side
        n_resamples=np.inf,
    )
    got = p_values(np.concatenate([first, second])[:, None], permutations, paired=False)
    assert got[0] == pytest.approx(expected.pvalue)


def test_drawn_permutations_come_near_to_all_of_them() -> None:
    rng = np.random.default_rng(4)
    difference = rng.normal(0.35, 1, (12, 5))
    every = p_values(difference, sign_permutations(12, 9999, rng), paired=True)
    drawn = p_values(difference, sign_permutations(12, 3000, rng), paired=True)
    assert drawn == pytest.approx(every, abs=0.04)
    assert (drawn > 0).all()


@pytest.mark.parametrize("paired", [True, False])
def test_without_an_effect_one_in_twenty_is_found(paired: bool) -> None:
    """Skewed values, as shares of time are: Student's t-test would not hold its level with them."""
    rng = np.random.default_rng(8)
    studies = 600
    values = rng.exponential(1, (14, studies))
    values = values - rng.exponential(1, (14, studies)) if paired else values
    permutations = sign_permutations(14, 499, rng) if paired else group_permutations(7, 7, 499, rng)
    share = float((p_values(values, permutations, paired=paired) <= 0.05).mean())
    assert share == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / studies))


def _runs(t: np.ndarray, bound: float) -> list[tuple[int, int, int, float]]:
    """Return (emotion, first, stop, mass) of each cluster, step by step."""
    found = []
    for emotion, values in enumerate(t):
        signs = np.where(values > bound, 1, np.where(values < -bound, -1, 0))
        for sign, steps in itertools.groupby(range(len(values)), key=lambda step: signs[step]):
            places = list(steps)
            if sign:
                found.append((emotion, places[0], places[-1] + 1, float(values[places].sum())))
    return found


def test_clusters_are_those_of_a_plain_loop_over_all_permutations() -> None:
    rng = np.random.default_rng(11)
    values = rng.normal(0, 1, (7, 2, 30))
    values[:, 1, 10:16] += 1.5
    permutations = sign_permutations(7, 9999, rng)
    bound = stats.t.isf(0.025, 6)
    observed = _runs(stats.ttest_1samp(values, 0).statistic, bound)
    largest = []
    for signs in itertools.product((1, -1), repeat=7):
        t = stats.ttest_1samp(values * np.array(signs)[:, None, None], 0).statistic
        largest.append(max((abs(mass) for *_, mass in _runs(t, bound)), default=0.0))
    got = cluster_test(values, permutations, paired=True, alpha=0.05)
    assert [(c.emotion, c.first, c.stop) for c in got] == [run[:3] for run in observed]
    expected = [np.mean(np.array(largest) >= abs(mass) * (1 - 1e-9)) for *_, mass in observed]
    assert [c.p for c in got] == pytest.approx(expected)
    assert min(c.p for c in got if c.emotion == 1 and 9 <= c.first <= 11) < 0.05


def test_cluster_test_keeps_its_level_over_all_emotions() -> None:
    rng = np.random.default_rng(12)
    studies, found = 200, 0
    for _ in range(studies):
        noise = rng.normal(0, 1, (10, 3, 40)).cumsum(axis=2)  # neighbouring steps are alike, as frames are
        permutations = sign_permutations(10, 199, rng)
        found += any(one.p <= 0.05 for one in cluster_test(noise, permutations, paired=True, alpha=0.05))
    assert found / studies == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / studies))


def test_what_is_the_same_for_all_gives_no_p_below_one() -> None:
    assert p_values(np.zeros((8, 1)), sign_permutations(8, 999, np.random.default_rng(0)), paired=True)[0] == 1.0
