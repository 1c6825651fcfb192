"""How often each expression is expected: a setting of use, applied to probabilities by Bayes' rule.

A network's probabilities hold the class shares that it was fitted to ("natural": FER+'s, mostly neutral and
happiness). Where others are expected, the probabilities are multiplied by the ratio of the two and made to sum to 1.
The shares are in what the network gave before its temperature made it more certain, so the ratio is sharpened with it:
on posed faces that no network learnt from this finds more than the bare ratio.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np

from vidfer.errors import WeightsError
from vidfer.labels import EMOTIONS
from vidfer.temporal.probabilities import log_softmax

_MATCHING_STEPS: Final = 1000  # at most; a few dozen are enough where every class is at all likely somewhere
_MATCHED_WITHIN: Final = 1e-4

Prior = Literal["natural", "balanced"] | float | Mapping[str, float]

# Of the votes for the 28,385 pictures of FER+'s usage Training, for networks whose file does not say its own.
FERPLUS_SHARES: Final = {
    "neutral": 0.3327,
    "happiness": 0.2647,
    "surprise": 0.1227,
    "sadness": 0.1416,
    "anger": 0.0869,
    "disgust": 0.0103,
    "fear": 0.0308,
    "contempt": 0.0104,
}


def class_shares(metadata: Mapping[str, Any]) -> np.ndarray:
    """Return the class shares (8,) that a weight file's network was fitted to; raises WeightsError for wrong ones."""
    given = metadata.get("class_shares", FERPLUS_SHARES)
    try:
        shares = np.array([float(given[name]) for name in EMOTIONS])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"class_shares: expected a number above 0 for each class, got {given!r}") from error
    if not (np.isfinite(shares).all() and (shares > 0).all()):
        raise WeightsError(f"class_shares: expected a number above 0 for each class, got {given!r}")
    return shares / shares.sum()


def log_ratio(prior: Prior, shares: np.ndarray, *, temperature: float = 1.0) -> np.ndarray:
    """Return (8,) what to add to log-probabilities so that ``prior`` is expected; 0 for ``natural``.

    A number of 0 to 1 is a power of the ratio: 0 is natural, 1 balanced. ``shares`` (8,) are those that the network was
    fitted to, ``temperature`` is what its logits were divided by.
    """
    if prior == "natural":
        return np.zeros(len(EMOTIONS))
    if isinstance(prior, int | float):
        return prior * log_ratio("balanced", shares, temperature=temperature)
    wanted = np.ones(len(EMOTIONS)) if isinstance(prior, str) else np.array([prior[name] for name in EMOTIONS])
    return np.asarray((np.log(np.maximum(wanted / wanted.sum(), 1e-9)) - np.log(shares)) / temperature)


def shifted(probabilities: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return probabilities (..., 8) with (8,) added to their logarithms, in their dtype; NaN rows stay NaN."""
    if not shift.any():
        return probabilities
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-9)) + shift
    return np.asarray(np.exp(log_softmax(logs)), probabilities.dtype)


def matched(probabilities: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return probabilities of faces that were read together, as it is known how often each label occurs among them.

    The logarithms of all rows are shifted alike until the mean of the rows is ``shares``: the balancing of a matrix
    with given sums (Sinkhorn and Knopp 1967, Pacific Journal of Mathematics 21(2):343). For sets of posed stimuli,
    whose design is known: what a network takes all their people for, whatever they show, is taken off. Wrong where
    the shares are a guess.

    Parameters
    ----------
    probabilities
        (N, 8), each row sums to 1.
    shares
        (8,), their sum is above 0; a label that does not occur has 0.

    Raises
    ------
    ValueError
        A share is below 0 or no number, or all are 0.
    """
    shares = np.asarray(shares, np.float64)
    if shares.shape != probabilities.shape[1:] or not (shares.min() >= 0 and 0 < shares.sum() < np.inf):
        raise ValueError(f"expected {probabilities.shape[1]} shares of at least 0, not all 0, got {shares.tolist()}")
    shares = shares / shares.sum()
    out, shift = probabilities, np.zeros(len(shares))
    for _ in range(_MATCHING_STEPS if len(probabilities) else 0):
        mean = out.mean(0, dtype=np.float64)
        if np.abs(mean - shares).max() < _MATCHED_WITHIN:
            break
        shift += np.log(np.maximum(shares, 1e-9)) - np.log(np.maximum(mean, 1e-12))
        out = shifted(probabilities, shift - shift.max())
    return out
