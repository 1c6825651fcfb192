"""The baselines: what each does to flicker, steps and gaps."""

import numpy as np
import pytest
from fixtures.tracks import noisy_track

from vidfer.errors import ConfigError
from vidfer.labels import EMOTION_INDEX, EMOTIONS, NUM_EMOTIONS
from vidfer.temporal import TEMPORAL_MODELS, TrackSequence
from vidfer.temporal.ema import ExponentialAverage
from vidfer.temporal.hmm import HiddenMarkov, Transitions, default_transitions, estimate_transitions
from vidfer.temporal.median import RunningMedian

SMOOTHERS = {"ema": ExponentialAverage, "median": RunningMedian, "hmm": HiddenMarkov}
NEUTRAL, HAPPINESS = EMOTION_INDEX["neutral"], EMOTION_INDEX["happiness"]


def track_of(labels, *, fps=25.0, strength=3.0):
    logits = np.zeros((len(labels), NUM_EMOTIONS), np.float32)
    logits[np.arange(len(labels)), labels] = strength
    return TrackSequence(
        pts_seconds=np.arange(len(labels)) / fps,
        vectors=np.zeros((len(labels), 4), np.float32),
        logits=logits,
        quality=np.ones(len(labels), np.float32),
    )


@pytest.mark.parametrize("name", SMOOTHERS)
def test_one_wrong_frame_does_not_change_the_label(name):
    labels = np.full(100, NEUTRAL)
    labels[50] = HAPPINESS
    (found,) = SMOOTHERS[name]().predict([track_of(labels)])
    assert np.all(found.argmax(1) == NEUTRAL)


@pytest.mark.parametrize("name", SMOOTHERS)
def test_a_real_change_is_found_where_it_is(name):
    labels = np.where(np.arange(150) < 75, NEUTRAL, HAPPINESS)
    (found,) = SMOOTHERS[name]().predict([track_of(labels)])
    changes = np.flatnonzero(np.diff(found.argmax(1))) + 1
    assert len(changes) == 1
    assert abs(changes[0] - 75) / 25 <= 0.12


@pytest.mark.parametrize("name", SMOOTHERS)
def test_flicker_is_reduced(name):
    track = noisy_track(20, 25, noise=1.0)
    (found,) = SMOOTHERS[name]().predict([track])
    before, after = (int((np.diff(values.argmax(1)) != 0).sum()) for values in (track.logits, found))
    assert after < before / 4


@pytest.mark.parametrize("name", SMOOTHERS)
def test_causal_variant_ignores_what_comes_later(name):
    track = noisy_track(10, 25)
    logits = track.logits.copy()
    logits[150:] = 0
    other = TrackSequence(pts_seconds=track.pts_seconds, vectors=track.vectors, logits=logits, quality=track.quality)
    model = TEMPORAL_MODELS.get(name)(causal=True)
    first, second = model.predict([track, other])
    assert np.allclose(first[:147], second[:147], atol=1e-6)
    assert not np.allclose(first[160:], second[160:], atol=1e-2)


def test_none_is_softmax_of_each_row():
    track = noisy_track(2, 25)
    (found,) = TEMPORAL_MODELS.get("none")().predict([track])
    powers = np.exp(track.logits.astype(np.float64))
    assert np.allclose(found, powers / powers.sum(1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("name", ["none", "ema", "median", "hmm"])
def test_weights_are_refused_where_there_are_none(name):
    with pytest.raises(ConfigError, match="has none; leave it empty"):
        TEMPORAL_MODELS.get(name)(weights="my.safetensors")


def test_hmm_agrees_with_enumerating_all_paths():
    random = np.random.default_rng(0)
    size, steps = 3, 6
    matrix = random.random((size, size))
    transitions = Transitions(matrix=matrix / matrix.sum(1, keepdims=True), start=np.array([0.5, 0.3, 0.2]))
    model = HiddenMarkov(transitions=transitions, evidence_weight=1.0, prior_weight=0.0)
    evidence = random.random((steps, size))
    evidence /= evidence.sum(1, keepdims=True)

    class Covered:
        coverage = np.ones(steps, np.float32)

    expected = np.zeros((steps, size))
    for path in np.ndindex(*[size] * steps):
        weight = transitions.start[path[0]] * evidence[0, path[0]]
        for i in range(1, steps):
            weight *= transitions.matrix[path[i - 1], path[i]] * evidence[i, path[i]]
        for i in range(steps):
            expected[i, path[i]] += weight
    expected /= expected.sum(1, keepdims=True)
    model._likelihood = lambda p, coverage: p  # evidence as it is: only the recursion is compared here
    assert np.allclose(model.smooth(evidence, Covered()), expected, atol=1e-9)


def test_hmm_fills_a_short_loss_with_what_was_before_and_after():
    labels = np.full(100, HAPPINESS)
    track = track_of(labels)
    keep = np.ones(100, bool)
    keep[40:60] = False
    gapped = TrackSequence(
        pts_seconds=track.pts_seconds[keep],
        vectors=track.vectors[keep],
        logits=track.logits[keep],
        quality=track.quality[keep],
    )
    (found,) = HiddenMarkov().predict([gapped])
    assert np.all(found.argmax(1) == HAPPINESS)


def test_transitions_are_estimated_from_labels():
    random = np.random.default_rng(0)
    chain = default_transitions()
    sequences = []
    for _ in range(40):
        labels = [NEUTRAL]
        while len(labels) < 2000:
            labels.append(int(random.choice(NUM_EMOTIONS, p=chain.matrix[labels[-1]])))
        sequences.append(np.array(labels))
    found = estimate_transitions(sequences)
    assert np.allclose(found.matrix, chain.matrix, atol=0.02)
    assert np.allclose(found.matrix.sum(1), 1.0)
    assert len(found.start) == len(EMOTIONS)


def test_transitions_must_be_probabilities():
    with pytest.raises(ValueError, match="sum to 1"):
        Transitions(matrix=np.eye(3) * 2, start=np.full(3, 1 / 3))
    with pytest.raises(ValueError, match=r"expected \(3, 3\)"):
        Transitions(matrix=np.eye(2), start=np.full(3, 1 / 3))
