"""How labels depend on who is seen."""

import numpy as np
import pytest
import torch

from vidfer.errors import DataError
from vidfer.learning.training.look_alikes import Labelled, group_ratios, identity_vectors

NEUTRAL, ANGRY = 0, 1
FACES = 4000
GROUPS = 6
RARELY, OFTEN = 0.1, 0.5  # how often members of the first group and all others are called angry


@pytest.fixture(scope="module")
def group() -> np.ndarray:
    return np.random.default_rng(0).integers(0, GROUPS, FACES)


@pytest.fixture(scope="module")
def member(group: np.ndarray) -> np.ndarray:
    return group == 0


@pytest.fixture(scope="module")
def shares(member: np.ndarray) -> np.ndarray:
    angry = np.random.default_rng(1).random(FACES) < np.where(member, RARELY, OFTEN)
    return np.eye(2)[angry.astype(int)]


def vectors_of(group: np.ndarray, shares: np.ndarray, *, expression: float = 0) -> np.ndarray:
    random = np.random.default_rng(2)
    vectors = random.normal(0, 1, (GROUPS, 16))[group] + random.normal(0, 0.1, (FACES, 16))
    vectors[:, 1] += expression * shares[:, ANGRY]  # what identity vectors tell besides
    return vectors.astype(np.float32)


def test_says_by_how_much_a_group_is_labelled_differently(
    group: np.ndarray, member: np.ndarray, shares: np.ndarray
) -> None:
    vectors = vectors_of(group, shares)
    (ratio,) = group_ratios(vectors, [Labelled(np.ones(FACES, bool), shares)], groups=GROUPS)
    average = shares[:, ANGRY].mean()
    assert ratio[member, ANGRY].mean() == pytest.approx(np.log(RARELY / average), abs=0.2)
    assert ratio[~member, ANGRY].mean() == pytest.approx(np.log(OFTEN / average), abs=0.2)
    assert ratio[member, NEUTRAL].mean() > 0 > ratio[~member, NEUTRAL].mean()


def test_expressions_make_no_group() -> None:
    """Faces of one group, whose vectors tell how they are labelled: that is what is to be learnt, and stays."""
    shares = np.eye(2)[(np.random.default_rng(3).random(FACES) < 0.3).astype(int)]
    vectors = vectors_of(np.zeros(FACES, int), shares, expression=3)
    (ratio,) = group_ratios(vectors, [Labelled(np.ones(FACES, bool), shares)], groups=GROUPS)
    assert np.abs(ratio).max() < 0.15


def test_faces_without_a_label_belong_to_the_nearest_group(
    group: np.ndarray, member: np.ndarray, shares: np.ndarray
) -> None:
    labelled = np.arange(FACES) < FACES // 2
    unlabelled = np.where(labelled[:, None], shares, np.nan)
    vectors = vectors_of(group, shares)
    (ratio,) = group_ratios(vectors, [Labelled(labelled, unlabelled)], groups=GROUPS)
    assert np.isfinite(ratio).all()
    assert ratio[~labelled & member, ANGRY].max() < -0.5
    assert ratio[~labelled & ~member, ANGRY].min() > -0.1


def test_each_way_of_labelling_counts_by_itself(group: np.ndarray, member: np.ndarray, shares: np.ndarray) -> None:
    first = np.arange(FACES) < FACES // 2
    alike = np.tile([0.5, 0.5], (FACES, 1))
    alike[::2] = [1, 0]  # in both groups alike
    ways = [Labelled(first, shares), Labelled(~first, alike)]
    vectors = vectors_of(group, shares)
    people, other = group_ratios(vectors, ways, groups=GROUPS)
    assert people[member, ANGRY].mean() < -0.5
    assert np.abs(other).max() < 0.15


def test_more_groups_than_faces_are_refused(group: np.ndarray, shares: np.ndarray) -> None:
    few = Labelled(np.arange(FACES) < 5, shares)
    with pytest.raises(DataError, match="groups: expected at most as many as there are faces, 5, got 6"):
        group_ratios(vectors_of(group, shares), [few], groups=GROUPS)


def test_identity_vectors_are_of_faces_of_any_size() -> None:
    faces = torch.randint(0, 255, (3, 1, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    vectors = identity_vectors(faces)
    assert vectors.shape[0] == 3
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(identity_vectors(faces[1:2]), vectors[1:2], atol=1e-5)
