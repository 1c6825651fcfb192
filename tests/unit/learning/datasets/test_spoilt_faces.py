"""Faces as bad video shows them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from vidfer.faces.pose import MEAN_FACE, head_pose
from vidfer.learning.datasets.spoilt_faces import KINDS, draw_kinds, spoilt, turned_by

SIDE = 160


def face() -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth gray picture and landmarks about 75 px wide in its middle."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    picture = (127 + 50 * np.sin(19 * x) + 50 * np.cos(23 * y)).astype(np.uint8)
    return picture, (MEAN_FACE[:, :2] * 0.5 + SIDE / 2).astype(np.float32)


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_changes_the_picture_and_the_same_draw_gives_the_same(kind: str) -> None:
    picture, points = face()
    first, again, other = (spoilt(picture, points, (kind,), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.pixels.shape == picture.shape
    assert first.pixels.dtype == np.uint8
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert (first.pixels != other.pixels).any()
    assert np.isfinite(first.landmarks).all()
    assert (first.box[2:] > first.box[:2]).all()


def test_kinds_come_as_often_as_they_say() -> None:
    assert sum(KINDS.values()) == pytest.approx(1)
    random = np.random.default_rng(0)
    draws = [draw_kinds(random) for _ in range(4000)]
    count = Counter(kinds[0] for kinds in draws)
    for kind, share in KINDS.items():
        assert count[kind] / len(draws) == pytest.approx(share, abs=0.03)
    assert all(len(set(kinds)) == len(kinds) for kinds in draws)
    assert any(len(kinds) == 2 for kinds in draws)


@pytest.mark.parametrize("kind", ["rolled", "inverted", "size"])
def test_landmarks_stay_on_what_they_mark(kind: str) -> None:
    """A bright spot at a landmark is found where the landmark has gone."""
    _, points = face()
    y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    spot = np.exp(-((x - points[54, 0]) ** 2 + (y - points[54, 1]) ** 2) / 18)
    result = spoilt((spot * 220).astype(np.uint8), points, (kind,), np.random.default_rng(3))
    bright = np.where(result.pixels > result.pixels.max() / 2, result.pixels, 0)
    found = np.array(center_of_mass(bright))[::-1] + 0.5
    assert np.linalg.norm(found - result.landmarks[54]) < 1.5


def test_a_turned_head_has_the_pose_that_was_asked_for() -> None:
    picture, points = face()
    _, moved = turned_by(picture.astype(np.float32), points, np.array([[0.0, 40.0, 0.0]]))
    before, after = (head_pose(p[None] + 240, image_size=(640, 640))[0] for p in (points, moved))
    assert after[1] - before[1] == pytest.approx(40, abs=5)
    same, unmoved = turned_by(picture.astype(np.float32), points, np.zeros((1, 3)))
    np.testing.assert_allclose(unmoved, points, atol=1e-3)
    np.testing.assert_allclose(same, picture, atol=1)
