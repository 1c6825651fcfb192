"""Face quality: worse pictures score lower."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter, zoom
from skimage import data
from skimage.color import rgb2gray

from vidfer.faces.quality import SHARP_ENOUGH, face_quality, sharpness

GOOD = {"sharpness": 0.1, "size_px": 150.0, "pose": (3.0, -5.0, 2.0), "landmark_score": 0.99}


def face() -> np.ndarray:
    """Return the astronaut's face, 48 px, gray 0..1 (public domain, NASA)."""
    return zoom(rgb2gray(data.astronaut())[50:200, 150:300], 48 / 150, order=1)


def quality_of(**changes) -> float:
    values = GOOD | changes
    return float(face_quality(**{name: np.array([value], np.float32) for name, value in values.items()})[0])


def test_a_good_face_is_near_one():
    assert quality_of() > 0.95


@pytest.mark.parametrize(
    "changes",
    [
        {"sharpness": 0.001},
        {"size_px": 12.0},
        {"pose": (0.0, 70.0, 0.0)},
        {"pose": (-60.0, 30.0, 0.0)},
        {"landmark_score": 0.2},
    ],
)
def test_one_bad_thing_is_enough(changes):
    assert quality_of(**changes) < 0.35


def test_roll_does_not_count_because_alignment_undoes_it():
    assert quality_of(pose=(3.0, -5.0, 60.0)) == quality_of()


@pytest.mark.parametrize("name", ["sharpness", "size_px", "landmark_score"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
def test_nonsense_counts_as_zero(name, value):
    assert quality_of(**{name: value}) == 0


def test_an_unknown_pose_counts_as_zero():
    assert quality_of(pose=(np.nan, 0.0, 0.0)) == 0


def test_no_faces():
    empty = np.zeros(0, np.float32)
    result = face_quality(sharpness=empty, size_px=empty, pose=np.zeros((0, 3)), landmark_score=empty)
    assert result.shape == (0,)
    assert sharpness(np.zeros((0, 64, 64), np.float32)).shape == (0,)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="expected shapes"):
        face_quality(sharpness=np.ones(2), size_px=np.ones(1), pose=np.ones((2, 3)), landmark_score=np.ones(2))


@given(
    st.integers(0, 5).flatmap(
        lambda n: st.tuples(
            arrays(np.float32, n), arrays(np.float32, n), arrays(np.float32, (n, 3)), arrays(np.float32, n)
        )
    )
)
def test_whatever_comes_in_quality_is_between_zero_and_one(values):
    result = face_quality(sharpness=values[0], size_px=values[1], pose=values[2], landmark_score=values[3])
    assert result.dtype == np.float32
    assert ((result >= 0) & (result <= 1)).all()


def test_blur_and_lost_resolution_lower_sharpness_and_light_does_not():
    sharp = face()
    small = zoom(zoom(sharp, 0.25, order=1), 4, order=1)
    variants = [sharp, gaussian_filter(sharp, 1), gaussian_filter(sharp, 2), gaussian_filter(sharp, 4), small]
    variants += [sharp * 0.3, sharp * 0.5 + 0.4]
    clear, soft, softer, blurred, coarse, dark, pale = sharpness(np.stack(variants)).tolist()
    assert clear > soft > softer > blurred
    assert coarse < clear / 3
    np.testing.assert_allclose([dark, pale], clear, rtol=1e-3)
    assert clear > SHARP_ENOUGH > blurred


def test_noise_does_not_pass_for_detail():
    blurred = gaussian_filter(face(), 2)
    noisy = blurred + np.random.default_rng(0).normal(0, 4 / 255, blurred.shape)
    values = sharpness(np.stack([face(), noisy]))
    assert values[1] < values[0] / 2


def test_a_picture_of_nothing_has_no_sharpness():
    flat = np.stack([np.zeros((64, 64)), np.full((64, 64), 0.5)])
    assert sharpness(flat).tolist() == [0, 0]


def test_a_damaged_picture_spoils_only_its_own_value():
    pictures = np.stack([face(), face()])
    pictures[1, 3, 3] = np.nan
    values = sharpness(pictures)
    assert np.isfinite(values[0])
    assert quality_of(sharpness=values[1]) == 0


def test_colour_pictures_are_refused():
    with pytest.raises(ValueError, match="gray faces"):
        sharpness(np.zeros((1, 64, 64, 3), np.float32))
