"""Tracks become people: alike ones do, those of one frame never."""

from __future__ import annotations

import numpy as np
import pytest

from vidfer.faces.linking import (
    LEAST_LISTED,
    LINK_MIDDLE,
    LINK_SLOPE,
    link_clips,
    link_confidence,
    link_tracks,
    seen_together,
    track_sums,
)

AXES = np.eye(8)


def cosine_of(confidence: float) -> float:
    return LINK_MIDDLE + np.log(confidence / (1 - confidence)) / LINK_SLOPE


def linked(sums: np.ndarray, *, together: tuple[tuple[int, int], ...] = (), least: float = 0.9):
    apart = np.zeros((len(sums), len(sums)), bool)
    for a, b in together:
        apart[a, b] = apart[b, a] = True
    return link_tracks(np.asarray(sums, float), apart, min_confidence=least)


def turned(cosine: float, other: int = 1) -> np.ndarray:
    return AXES[0] * cosine + AXES[other] * np.sqrt(1 - cosine**2)


def test_tracks_of_one_person_are_one_and_numbered_by_first_appearance() -> None:
    links = linked([AXES[0], AXES[1], AXES[1], AXES[0], AXES[2]])
    assert links.person.tolist() == [0, 1, 1, 0, 2]
    assert links.confidence[[0, 1, 4]].tolist() == [1, 1, 1]
    assert (links.confidence[[2, 3]] > 0.99).all()
    assert len(links.unsure) == 0


def test_two_faces_of_one_frame_are_two_people_however_alike() -> None:
    links = linked([AXES[0], AXES[0], AXES[0]], together=((0, 1),))
    assert links.person[0] != links.person[1]
    assert links.person[2] in links.person[:2]


def test_a_constraint_is_passed_on_to_what_is_joined() -> None:
    near = turned(0.97)
    links = linked([AXES[0], AXES[0], near], together=((1, 2),))  # 0 joins 1 first, and with it may not join 2
    assert links.person.tolist() == [0, 0, 1]


def test_a_doubtful_link_is_not_made_and_is_told_with_its_chance() -> None:
    doubtful, hopeless = turned(cosine_of(0.6)), turned(cosine_of(LEAST_LISTED / 2), 2)
    links = linked([AXES[0], doubtful])
    assert links.person.tolist() == [0, 1]
    assert links.unsure.tolist() == [[0, 1]]
    assert links.unsure_confidence == pytest.approx([0.6], abs=1e-6)
    assert linked([AXES[0], doubtful], least=0.5).person.tolist() == [0, 0]
    assert len(linked([AXES[0], hopeless]).unsure) == 0
    assert len(linked([AXES[0], doubtful], together=((0, 1),)).unsure) == 0  # surely two people


def test_a_track_without_vectors_is_somebody_of_their_own() -> None:
    assert linked([np.zeros(8), AXES[0], np.zeros(8), AXES[0]]).person.tolist() == [0, 1, 2, 1]
    assert linked(np.zeros((0, 8))).person.tolist() == []


def test_confidence_grows_with_likeness() -> None:
    chances = link_confidence(np.linspace(-1, 1, 50))
    assert (np.diff(chances) > 0).all()
    assert chances[0] < 0.001
    assert chances[-1] > 0.999


def test_bad_faces_count_only_where_there_are_no_others() -> None:
    track_id = np.array([0, 0, 1, -1])
    vectors = AXES[:4].astype(np.float32)
    sums = track_sums(track_id, np.arange(4), vectors, np.array([0.9, 0.1, 0.1, 0.9], np.float32))
    np.testing.assert_allclose(sums, [AXES[0] * 0.9, AXES[2] * 0.1], atol=1e-6)


def test_tracks_that_share_a_frame_are_seen_together() -> None:
    together = seen_together(np.array([0, 1, 0, -1, 2]), np.array([0, 0, 1, 1, 2]))
    assert np.argwhere(together).tolist() == [[0, 1], [1, 0]]


def test_where_two_of_one_frame_are_alike_it_takes_more_to_be_one() -> None:
    first, second = turned(0.65), turned(0.65, other=2)  # each is as like AXES[0] as that
    assert linked([AXES[0], first, AXES[5]]).person.tolist() == [0, 0, 1]
    assert linked([AXES[0], first, second], together=((0, 2),)).person.tolist() == [0, 1, 2]
    same = linked([AXES[0], AXES[0], second], together=((0, 2),))
    assert same.person.tolist() == [0, 0, 1]
    mirrored = linked([AXES[5], AXES[5], AXES[0], first], together=((0, 1),))
    assert mirrored.person.tolist() == [0, 1, 2, 2], "one person, seen twice, tells nothing of others"


def people_alike(count: int, each: int, *, shared: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors (N, 128) of people whose cosine is about ``shared`` from one to the next, and whose each is."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=128) / np.sqrt(128)
    own = rng.normal(size=(count, 1, 128)) / np.sqrt(128)
    noise = 0.3 * rng.normal(size=(count, each, 128)) / np.sqrt(128)
    sums = np.sqrt(shared) * common + np.sqrt(1 - shared) * (own + noise)
    return 5 * sums.reshape(-1, 128), np.repeat(np.arange(count), each)


def same_pairs(person: np.ndarray) -> np.ndarray:
    return person[:, None] == person[None]


@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_people_of_several_clips_are_told_apart_where_all_of_a_folder_are_alike(shared: float) -> None:
    sums, who = people_alike(10, 3, shared=shared)
    nobody_apart = np.zeros((30, 30), bool)
    links = link_clips(sums, nobody_apart, min_confidence=0.9)
    assert np.array_equal(same_pairs(links.person), same_pairs(who))
    if shared:
        assert len(set(link_tracks(sums, nobody_apart, min_confidence=0.9).person)) < 10, "by one fixed threshold"


def test_who_is_one_person_does_not_depend_on_the_order_of_clips() -> None:
    sums, _ = people_alike(8, 4, shared=0.4, seed=3)
    order = np.random.default_rng(1).permutation(len(sums))
    apart = np.zeros((32, 32), bool)
    apart[0, 1] = apart[1, 0] = True  # as two of one clip
    links = link_clips(sums, apart, min_confidence=0.9)
    assert links.person[0] != links.person[1]
    other = link_clips(sums[order], apart[np.ix_(order, order)], min_confidence=0.9)
    assert np.array_equal(same_pairs(links.person)[np.ix_(order, order)], same_pairs(other.person))


def test_one_of_very_many_must_be_more_alike() -> None:
    pair = np.stack([AXES[0], turned(0.6)])
    rng = np.random.default_rng(0)

    def joined(others: int) -> bool:
        strangers = rng.normal(size=(others, 400)) / np.sqrt(400)
        sums = np.concatenate([np.pad(pair, ((0, 0), (0, 392))), strangers])
        person = link_clips(sums, np.zeros((len(sums),) * 2, bool), min_confidence=0.9).person
        return bool(person[0] == person[1])

    assert joined(28)
    assert not joined(400)


def test_who_has_no_vector_is_linked_to_nobody_across_clips() -> None:
    sums = np.stack([AXES[0], AXES[0], np.zeros(8), np.zeros(8), AXES[1], AXES[2]])
    links = link_clips(sums, np.zeros((6, 6), bool), min_confidence=0.9)
    assert links.person.tolist() == [0, 0, 1, 2, 3, 4]
    assert not np.isin(links.unsure, [1, 2]).any()
