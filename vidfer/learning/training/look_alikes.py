"""By how much labels depend on who is seen instead of what is expressed.

In FER+ a group of about a thousand faces that look alike, most of them East Asian women and children, is called angry
a third as often as all faces are, and fearful a fifth. A network learns that, too, and then reads such people so
wherever it meets them. Here faces are parted into groups that look alike, by the identity network's vectors. What is
rarely labelled in a group can then be shown more often, so that who is seen tells nothing (Idrissi et al. 2022, "Simple
data balancing achieves competitive worst-group-accuracy"). No group has a name, and nothing of them is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.cluster.vq import kmeans2, vq
from torch import Tensor
from torch.nn import functional

from vidfer.errors import DataError
from vidfer.identity.embedded import EmbeddedIdentity

_PARTINGS: Final = 6  # into groups, each begun elsewhere; their mean changes less from face to face than any of them
_SAMPLE: Final = 14_000  # faces from which the middle of each group is found
_ROUNDS: Final = 30  # of k-means
_AS_MANY: Final = 50  # average faces are added to each group, so that small ones say little
_LEAST: Final = 1e-5  # share
_AT_ONCE: Final = 2048  # faces


@dataclass(frozen=True)
class Labelled:
    """``rows`` (N,) bool: which faces are labelled in one way; ``shares`` (N, K) of the classes, unused elsewhere."""

    rows: np.ndarray
    shares: np.ndarray


def identity_vectors(faces: Tensor) -> np.ndarray:
    """Return vectors (N, D) float32 of who is seen in aligned gray faces (N, 1, S, S) uint8."""
    network = EmbeddedIdentity()
    out = []
    for part in faces.split(_AT_ONCE):
        sized = functional.interpolate(part.float() / 255, (network.size, network.size), mode="bilinear")
        out.append(network.embed(sized.expand(-1, 3, -1, -1)))
    return np.concatenate(out)


def group_ratios(vectors: np.ndarray, labelled: Sequence[Labelled], *, groups: int) -> np.ndarray:
    """Return log ratios (L, N, K): how often each class is seen in a face's group, over how often in all faces.

    Parameters
    ----------
    vectors
        (N, D), from ``identity_vectors``.
    labelled
        L ways in which some of these faces are labelled; each is counted by itself.
    groups
        Into how many groups these faces are parted. Faces that are not labelled belong to the nearest.

    Raises
    ------
    DataError
        If there are fewer labelled faces than groups.
    """
    known = np.flatnonzero(np.any([one.rows for one in labelled], axis=0))
    if len(known) < groups:
        raise DataError(f"[data] groups: expected at most as many as there are faces, {len(known)}, got {groups}")
    unlike = _without_expression(vectors, labelled)
    out = np.zeros((len(labelled), *labelled[0].shares.shape))
    for seed in range(_PARTINGS):
        sample = np.random.default_rng(seed).choice(known, min(_SAMPLE, len(known)), replace=False)
        middles, _ = kmeans2(unlike[sample], groups, iter=_ROUNDS, minit="++", seed=seed)
        group, _ = vq(unlike, middles.astype(np.float32))
        for ratio, one in zip(out, labelled, strict=True):
            average = one.shares[one.rows].mean(0)
            members = [one.rows & (group == number) for number in range(groups)]
            shares = [(one.shares[m].sum(0) + _AS_MANY * average) / (m.sum() + _AS_MANY) for m in members]
            ratio += np.log(np.maximum(shares, _LEAST) / np.maximum(average, _LEAST))[group] / _PARTINGS
    return out


def _without_expression(vectors: np.ndarray, labelled: Sequence[Labelled]) -> np.ndarray:
    """Return the vectors without the directions in which they differ by class: a vector tells expression, too."""
    found = np.concatenate([_directions(vectors[one.rows], one.shares[one.rows]) for one in labelled])
    directions = np.linalg.svd(found, full_matrices=False)[2]
    middle = vectors[labelled[0].rows].mean(0)
    return np.asarray(vectors - (vectors - middle) @ directions.T @ directions, np.float32)


def _directions(vectors: np.ndarray, shares: np.ndarray) -> np.ndarray:
    centred = shares - shares.mean(0)
    by_class = np.linalg.lstsq(centred, vectors - vectors.mean(0), rcond=None)[0]
    rank = int(np.linalg.matrix_rank(centred))
    return np.asarray(np.linalg.svd(by_class, full_matrices=False)[2][:rank])
