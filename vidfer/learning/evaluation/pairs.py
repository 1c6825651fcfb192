"""How well vectors tell whether two faces are of one person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pairs:
    """All pairs of some faces: cosine (P,) and whether both are of one person (P,) bool."""

    cosine: np.ndarray
    same: np.ndarray

    def accuracy(self) -> tuple[float, float]:
        """Return the share of pairs that the best threshold decides rightly, and that threshold.

        Same and different pairs count as much as each other, however many of each there are.
        """
        order = np.argsort(-self.cosine)
        same = self.same[order]
        accepted = np.cumsum(same) / max(int(same.sum()), 1)  # of the same pairs, at a threshold just below each pair
        refused = 1 - np.cumsum(~same) / max(int((~same).sum()), 1)
        share = (accepted + refused) / 2
        best = int(np.argmax(share))
        return float(share[best]), float(self.cosine[order][best])

    def found_at(self, false_share: float) -> tuple[float, float]:
        """Return the share of same pairs above the threshold that ``false_share`` of different ones pass, and it."""
        threshold = float(np.quantile(self.cosine[~self.same], 1 - false_share))
        return float((self.cosine[self.same] > threshold).mean()), threshold


def all_pairs(vectors: np.ndarray, person: np.ndarray) -> Pairs:
    """Return every pair of N faces with vectors (N, D) of length 1 and people (N,)."""
    first, second = np.triu_indices(len(person), 1)
    return Pairs(cosine=(vectors @ vectors.T)[first, second], same=person[first] == person[second])
