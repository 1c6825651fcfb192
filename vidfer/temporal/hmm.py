"""Hidden Markov model over the per-frame probabilities: forward-backward (Rabiner 1989)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidfer.labels import EMOTION_INDEX, NUM_EMOTIONS
from vidfer.temporal import TEMPORAL_MODELS, TemporalModel
from vidfer.temporal.grid import STEP_SECONDS, TimeGrid
from vidfer.temporal.probabilities import MIN_PROBABILITY, ProbabilitySmoother, refuse_weights

# Defaults: how the training sequences go (datasets.face_sequences): how long a label lasts on average, and what
# comes next. ``estimate_transitions`` gives the same from labelled sequences.
NEUTRAL_SECONDS = 5.0
EMOTION_SECONDS = 3.0
NEUTRAL_SHARE_NEXT = 0.9  # of the changes from one emotion, to neutral
# Neighbouring frames err alike, so a node's evidence counts less than if it were independent of its neighbours'.
# Chosen on validation sequences (benchmarks/temporal.py --sweep) by frame UAR.
EVIDENCE_WEIGHT = 0.8
# How far the per-frame network's own preference for frequent labels is divided out (0 not at all, 1 wholly).
PRIOR_WEIGHT = 0.6
# Shares of the labels among FER+'s training pictures with a majority: the network's own prior.
FRAME_PRIOR = np.array([8733, 7284, 3136, 3022, 2098, 116, 536, 120]) / 25045


@dataclass(frozen=True, kw_only=True)
class Transitions:
    """A Markov chain over the labels with one step every ``STEP_SECONDS``.

    Attributes
    ----------
    matrix
        (K, K), row = from; each sums to 1.
    start
        (K,), sums to 1.
    """

    matrix: np.ndarray
    start: np.ndarray

    def __post_init__(self) -> None:
        size = len(self.start)
        if self.matrix.shape != (size, size) or size < 1:
            raise ValueError(f"Transitions.matrix: expected ({size}, {size}), got {self.matrix.shape}")
        for name, rows in (("matrix", self.matrix), ("start", self.start[None])):
            if np.any(rows < 0) or not np.allclose(rows.sum(1), 1.0, atol=1e-6):
                raise ValueError(f"Transitions.{name}: expected probabilities that sum to 1")


def default_transitions() -> Transitions:
    """Return transitions with the durations above; changes from neutral go to all emotions alike."""
    neutral = EMOTION_INDEX["neutral"]
    matrix = np.zeros((NUM_EMOTIONS, NUM_EMOTIONS))
    for label in range(NUM_EMOTIONS):
        others = np.ones(NUM_EMOTIONS)
        others[label] = 0.0
        if label != neutral:
            others *= (1 - NEUTRAL_SHARE_NEXT) / (NUM_EMOTIONS - 2)
            others[neutral] = NEUTRAL_SHARE_NEXT
        leave = STEP_SECONDS / (NEUTRAL_SECONDS if label == neutral else EMOTION_SECONDS)
        matrix[label] = leave * others / others.sum()
        matrix[label, label] = 1 - leave
    start = np.full(NUM_EMOTIONS, 0.5 / (NUM_EMOTIONS - 1))
    start[neutral] = 0.5
    return Transitions(matrix=matrix, start=start)


def estimate_transitions(labels: list[np.ndarray]) -> Transitions:
    """Count transitions in label sequences (G,) with one step every ``STEP_SECONDS``; each cell starts at 0.1."""
    counts = np.full((NUM_EMOTIONS, NUM_EMOTIONS), 0.1)
    start = np.full(NUM_EMOTIONS, 0.1)
    for sequence in labels:
        np.add.at(counts, (sequence[:-1], sequence[1:]), 1.0)
        if len(sequence):
            start[sequence[0]] += 1
    return Transitions(matrix=counts / counts.sum(1, keepdims=True), start=start / start.sum())


class HiddenMarkov(ProbabilitySmoother):
    """Posterior probability of each label given all frames of the track (causal: all frames so far).

    Parameters
    ----------
    transitions
        None: ``default_transitions``.
    evidence_weight, prior_weight
        See ``EVIDENCE_WEIGHT`` and ``PRIOR_WEIGHT``.
    causal
        Forward pass only.
    """

    in_logs = True

    def __init__(
        self,
        *,
        transitions: Transitions | None = None,
        evidence_weight: float = EVIDENCE_WEIGHT,
        prior_weight: float = PRIOR_WEIGHT,
        causal: bool = False,
    ) -> None:
        self.causal = causal
        self._transitions = transitions or default_transitions()
        self._evidence_weight, self._prior_weight = evidence_weight, prior_weight

    def smooth(self, probabilities: np.ndarray, grid: TimeGrid) -> np.ndarray:
        """Return posteriors (G, K); nodes without a face carry no evidence."""
        likelihood = self._likelihood(probabilities, grid.coverage)
        matrix = self._transitions.matrix
        forward = np.empty_like(likelihood)
        belief = self._transitions.start
        for i, evidence in enumerate(likelihood):
            belief = evidence * (belief @ matrix if i else belief)
            belief = belief / belief.sum()
            forward[i] = belief
        if self.causal:
            return forward
        posterior = forward.copy()
        ahead = np.ones(likelihood.shape[1])
        for i in range(len(likelihood) - 2, -1, -1):
            ahead = matrix @ (likelihood[i + 1] * ahead)
            ahead = ahead / ahead.sum()
            posterior[i] = forward[i] * ahead
        return np.asarray(posterior / posterior.sum(1, keepdims=True))

    def _likelihood(self, probabilities: np.ndarray, coverage: np.ndarray) -> np.ndarray:
        """Return P(node | label) up to a factor, (G, K) float64, at most 1."""
        log_p = np.log(np.maximum(probabilities.astype(np.float64), MIN_PROBABILITY))
        log_p -= self._prior_weight * np.log(FRAME_PRIOR)
        log_p *= self._evidence_weight * coverage[:, None]
        return np.asarray(np.exp(log_p - log_p.max(1, keepdims=True)))


@TEMPORAL_MODELS.register("hmm")
def make_hmm(*, weights: str = "", causal: bool = False, **_: object) -> TemporalModel:
    """Return the model with its default transitions."""
    refuse_weights("hmm", weights)
    return HiddenMarkov(causal=causal)
