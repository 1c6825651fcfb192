"""How often each expression is expected: a setting of use."""

import numpy as np
import pytest

from vidfer.errors import WeightsError
from vidfer.labels import EMOTIONS
from vidfer.temporal.prior import FERPLUS_SHARES, class_shares, log_ratio, matched, shifted


def test_balanced_undoes_the_shares_of_training() -> None:
    """What a network says of a picture that tells nothing are its shares; balanced, all are as likely."""
    shares = class_shares({})
    assert shifted(shares, log_ratio("balanced", shares)) == pytest.approx(np.full(8, 1 / 8))
    table = dict(zip(EMOTIONS, [8, 1, 1, 1, 1, 1, 1, 2], strict=True))
    assert shifted(shares, log_ratio(table, shares)) == pytest.approx(np.array([*table.values()]) / 16)


def test_natural_changes_nothing_and_rows_without_a_face_stay_without() -> None:
    rows = np.array([[0.7, 0.1, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01], [np.nan] * 8], np.float32)
    shares = class_shares({})
    assert shifted(rows, log_ratio("natural", shares)) is rows
    balanced = shifted(rows, log_ratio("balanced", shares))
    assert balanced.dtype == np.float32
    assert np.isnan(balanced[1]).all()
    assert balanced[0].sum() == pytest.approx(1.0, abs=1e-6)
    assert balanced[0, 7] > rows[0, 7]


def test_a_network_may_say_its_own_shares() -> None:
    own = {**FERPLUS_SHARES, "fear": 3.0}
    assert class_shares({"class_shares": own})[EMOTIONS.index("fear")] == pytest.approx(
        3.0 / (3.0 + 1 - 0.0308), rel=1e-3
    )
    for wrong in ({"neutral": 1.0}, {**FERPLUS_SHARES, "fear": 0.0}, {**FERPLUS_SHARES, "fear": "much"}, 3):
        with pytest.raises(WeightsError, match="class_shares: expected a number above 0"):
            class_shares({"class_shares": wrong})


def test_the_ratio_is_as_sharp_as_the_probabilities() -> None:
    """Shares are taken out of the network's own answer, before its temperature makes it more certain."""
    shares, temperature = class_shares({}), 0.5
    logits = np.log(shares) + np.array([0.0, 0.2, 0, 0, 0, 0.3, 0, 0])
    certain = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    balanced = shifted(certain, log_ratio("balanced", shares, temperature=temperature))
    expected = np.exp((logits - np.log(shares)) / temperature)
    assert balanced == pytest.approx(expected / expected.sum())


def biased_answers(truth: np.ndarray, *, bias: np.ndarray) -> np.ndarray:
    """Return what a network says that knows much of each face and takes all for some classes."""
    random = np.random.default_rng(0)
    logits = 1.5 * np.eye(8)[truth] + random.normal(0, 0.7, (len(truth), 8)) + bias
    return np.asarray(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))


def test_known_shares_take_off_what_all_faces_are_taken_for() -> None:
    truth = np.repeat(np.arange(7), 40)
    bias = np.array([3.0, 0, 0, 2, 0, -2, -1, 0])
    answers = biased_answers(truth, bias=bias)
    shares = np.array([1.0] * 7 + [0])
    found = matched(answers, shares)
    assert found.sum(1) == pytest.approx(np.ones(len(truth)))
    assert found.mean(0) == pytest.approx(shares / 7, abs=2e-4)
    unbiased = (biased_answers(truth, bias=np.zeros(8)).argmax(1) == truth).mean()
    assert (answers.argmax(1) == truth).mean() < unbiased - 0.2
    assert (found.argmax(1) == truth).mean() > unbiased - 0.02


def test_what_has_the_known_shares_already_is_left_alone() -> None:
    answers = matched(biased_answers(np.arange(80) % 8, bias=np.zeros(8)), np.ones(8))
    assert matched(answers, np.ones(8)) is answers
    assert len(matched(np.zeros((0, 8)), np.ones(8))) == 0


@pytest.mark.parametrize("shares", [np.zeros(8), np.full(8, np.nan), np.array([-1.0] + [1] * 7), np.ones(7)])
def test_shares_that_are_none_are_refused(shares: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected 8 shares of at least 0"):
        matched(np.full((3, 8), 1 / 8), shares)
