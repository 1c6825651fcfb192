"""What the frames say beside a sequence model's answer."""

import numpy as np
import pytest

from vidfer.temporal import TrackSequence
from vidfer.temporal.brief import with_frames
from vidfer.temporal.probabilities import softmax

NEUTRAL, HAPPY = np.array([6.0, 0, 0]), np.array([0.0, 6, 0])
CALM = softmax(np.array([3.0, 0, 0]))


def track(fps: float, seconds: float = 4.0, quality: float = 1.0) -> TrackSequence:
    """Neutral, with a smile from 2.0 to 2.5 s."""
    pts = np.arange(round(fps * seconds)) / fps
    smiles = (pts >= 2.0 - 1e-9) & (pts < 2.5 - 1e-9)
    logits = np.where(smiles[:, None], HAPPY, NEUTRAL).astype(np.float32)
    full = np.full(len(pts), quality, np.float32)
    return TrackSequence(pts_seconds=pts, vectors=np.zeros((len(pts), 2), np.float32), logits=logits, quality=full)


def calm(one: TrackSequence) -> np.ndarray:
    return np.tile(CALM, (len(one), 1))


def test_without_a_share_the_model_answers_alone():
    one = track(25)
    assert with_frames(calm(one), one, 0.0) is not None
    np.testing.assert_array_equal(with_frames(calm(one), one, 0.0), calm(one))


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_a_brief_smile_shows_at_any_frame_rate_and_nowhere_else(fps):
    one = track(fps)
    found = with_frames(calm(one), one, 0.6)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    middle = found[int(np.argmin(np.abs(one.pts_seconds - 2.24)))]
    np.testing.assert_allclose(middle, softmax(0.4 * np.array([3.0, 0, 0]) + 0.6 * HAPPY), atol=0.02)
    away = np.abs(one.pts_seconds - 2.25) > 0.45
    assert (found[away].argmax(1) == 0).all()


def test_faces_that_are_seen_badly_do_not_count():
    one = track(25, quality=0.0)
    np.testing.assert_allclose(with_frames(calm(one), one, 1.0), calm(one), atol=1e-5)


def test_frames_far_apart_count_alone_and_nobody_is_nobody():
    one = track(2)
    np.testing.assert_allclose(with_frames(calm(one), one, 1.0), softmax(one.logits), atol=1e-5)
    empty = track(25, seconds=0.0)
    assert with_frames(calm(empty).reshape(0, 3), empty, 0.6).shape == (0, 3)
