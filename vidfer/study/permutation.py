"""Permutation tests over participants: of single figures, and of time courses by clusters.

Maris, E., Oostenveld, R. (2007). Nonparametric statistical testing of EEG- and MEG-data. J. Neurosci. Methods 164.
Phipson, B., Smyth, G. K. (2010). Permutation p-values should never be zero. Stat. Appl. Genet. Mol. Biol. 9 (1).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, stats

_AT_ONCE = 256  # permutations: bounds memory
_TIES = 1e-9  # statistics of the same values added in another order


@dataclass(frozen=True, kw_only=True)
class Permutations:
    """Rearrangements of participants: (R, N) signs of differences, or whether each is in the second group.

    ``is_exact``: these are all there are, the one that was observed first; else they are drawn, and it is added.
    """

    drawn: np.ndarray
    is_exact: bool

    def p(self, reached: np.ndarray) -> np.ndarray:
        """Return the p-value for how many permutations reached what was observed."""
        more = 0 if self.is_exact else 1
        return (reached + more) / (len(self.drawn) + more)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A stretch [first, stop) of steps of one emotion in which t has one sign and is large; ``mass``: its sum."""

    emotion: int
    first: int
    stop: int
    mass: float
    p: float


def sign_permutations(count: int, permutations: int, rng: np.random.Generator) -> Permutations:
    """Return signs for ``count`` differences: all 2**count if these are no more than ``permutations``."""
    if 2**count <= permutations + 1:
        return Permutations(drawn=np.array(list(itertools.product((1.0, -1.0), repeat=count))), is_exact=True)
    return Permutations(drawn=rng.integers(0, 2, (permutations, count)) * 2.0 - 1.0, is_exact=False)


def group_permutations(first: int, second: int, permutations: int, rng: np.random.Generator) -> Permutations:
    """Return who is in the second of two groups, those of the first coming first."""
    count = first + second
    if math.comb(count, second) <= permutations + 1:
        chosen = list(itertools.combinations(range(count - 1, -1, -1), second))  # what was observed comes first
        drawn = np.zeros((len(chosen), count))
        np.put_along_axis(drawn, np.array(chosen), 1.0, axis=1)
        return Permutations(drawn=drawn, is_exact=True)
    return Permutations(
        drawn=rng.permuted(np.tile(np.arange(count) >= first, (permutations, 1)), axis=1) * 1.0, is_exact=False
    )


def t_paired(values: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Return t of the mean difference for each choice of signs.

    Parameters
    ----------
    values
        (N, M) differences of N participants.
    signs
        (R, N) of +1 and -1.

    Returns
    -------
    (R, M).
    """
    count = len(values)
    mean = signs @ values / count
    variance = ((values**2).sum(axis=0) - count * mean**2) / (count - 1)
    return _ratio(mean, variance / count)


def t_unpaired(values: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Student's t (pooled variance) of second against first group, (R, M), for (N, M) values, (R, N) in 0, 1."""
    n2 = second.sum(axis=1, keepdims=True)  # (R, 1)
    n1 = len(values) - n2
    values = values - values.mean(axis=0)  # for the accuracy of the squares
    sum2, total = second @ values, values.sum(axis=0)
    mean1, mean2 = (total - sum2) / n1, sum2 / n2
    within = (values**2).sum(axis=0) - n1 * mean1**2 - n2 * mean2**2
    return _ratio(mean2 - mean1, within / (n1 + n2 - 2) * (1 / n1 + 1 / n2))


def _ratio(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return t; 0 where nothing differs, and infinite where all differ by the same."""
    variance = np.where(variance < 1e-24, 0.0, variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(mean / np.sqrt(variance), nan=0.0, posinf=np.inf, neginf=-np.inf))


def p_values(values: np.ndarray, permutations: Permutations, *, paired: bool) -> np.ndarray:
    """Return two-sided p-values, (M,), of (N, M) differences (paired) or values of both groups."""
    statistic = t_paired if paired else t_unpaired
    observed = np.abs(statistic(values, _observed_arrangement(values, permutations, paired=paired)))
    reached = np.zeros(values.shape[1])
    for start in range(0, len(permutations.drawn), _AT_ONCE):
        got = np.abs(statistic(values, permutations.drawn[start : start + _AT_ONCE]))
        reached += (got >= observed * (1 - _TIES)).sum(axis=0)
    return permutations.p(reached)


def _observed_arrangement(values: np.ndarray, permutations: Permutations, *, paired: bool) -> np.ndarray:
    if paired:
        return np.ones((1, len(values)))
    second = round(float(permutations.drawn[0].sum()))
    return (np.arange(len(values)) >= len(values) - second)[None] * 1.0


def cluster_test(values: np.ndarray, permutations: Permutations, *, paired: bool, alpha: float) -> list[Cluster]:
    """Find the stretches in which time courses differ.

    Parameters
    ----------
    values
        (N, C, T): N participants, C emotions, T steps; differences, or of both groups.
    permutations
        As for ``p_values``.
    paired
        Which of the two.
    alpha
        Of the t-test whose bound decides which steps are joined to clusters.

    Returns
    -------
    All clusters, by emotion and time. Each is compared with the largest of all emotions in every permutation, so the
    p-values hold over all of them.
    """
    count, emotions, steps = values.shape
    flat = values.reshape(count, emotions * steps)
    statistic = t_paired if paired else t_unpaired
    bound = float(stats.t.isf(alpha / 2, count - 1 if paired else count - 2))
    observed = statistic(flat, _observed_arrangement(flat, permutations, paired=paired)).reshape(emotions, steps)
    found = _clusters(observed[None], bound)
    masses = np.array([abs(cluster[-1]) for cluster in found])
    reached = np.zeros(len(found))
    for start in range(0, len(permutations.drawn), _AT_ONCE):
        part = permutations.drawn[start : start + _AT_ONCE]
        t = statistic(flat, part).reshape(len(part), emotions, steps)
        largest = np.zeros(len(part))
        for place, _, _, _, mass in _clusters(t, bound):
            largest[place] = max(largest[place], abs(mass))
        reached += (largest[:, None] >= masses * (1 - _TIES)).sum(axis=0)
    p = permutations.p(reached)
    return [
        Cluster(emotion=emotion, first=first, stop=stop, mass=mass, p=float(p[place]))
        for place, (_, emotion, first, stop, mass) in enumerate(found)
    ]


def _clusters(t: np.ndarray, bound: float) -> list[tuple[int, int, int, int, float]]:
    """Return (permutation, emotion, first, stop, sum of t) of each run of steps of one sign beyond the bound."""
    beside = np.zeros((3, 3, 3))
    beside[1, 1] = 1  # steps are neighbours in time only
    found = []
    for beyond in (t > bound, t < -bound):
        labels, count = ndimage.label(beyond, structure=beside)
        if count:
            masses = ndimage.sum_labels(t, labels, np.arange(1, count + 1))
            for where, mass in zip(ndimage.find_objects(labels), masses, strict=True):
                permutation, emotion, steps = where
                found.append((permutation.start, emotion.start, steps.start, steps.stop, float(mass)))
    return sorted(found)
