"""A track is parted where it goes over to another person, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from vidfer.faces.continuity import JUMPED, UNKNOWN
from vidfer.faces.track_changes import LEAST_QUALITY, Sightings, parts_of_track

CHUNK = 16
PEOPLE = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0][:4].astype(np.float32)


def one_face(
    people: list[int],
    *,
    jumps: tuple[int, ...] = (),
    cuts: tuple[int, ...] = (),
    bad: tuple[int, ...] = (),
    moves: tuple[int, ...] = (),
    seed: int = 0,
) -> Sightings:
    """Return a face per frame, whose person is known; it has a vector in each chunk and behind each jump."""
    count = len(people)
    previous = np.ones(count, np.int32)
    previous[::CHUNK] = UNKNOWN
    previous[[jump for jump in jumps if jump % CHUNK]] = JUMPED
    noise = np.random.default_rng(seed).normal(0, 0.08, (count, 64))
    vectors = PEOPLE[people] + noise
    vectors[list(bad)] = PEOPLE[3]
    has_vector = previous != 1
    quality = np.full(count, 0.9, np.float32)
    quality[list(bad)] = LEAST_QUALITY / 2
    boxes = np.tile(np.array([10.0, 10, 60, 60], np.float32), (count, 1))
    for move in moves:
        boxes[move:] += 40
    return Sightings(
        previous=previous,
        vector_of=np.where(has_vector, np.cumsum(has_vector) - 1, -1),
        vectors=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))[has_vector].astype(np.float32),
        quality=quality,
        scene=np.cumsum(np.isin(np.arange(count), cuts)),
        xyxy=boxes,
    )


def parted_at(seen: Sightings) -> list[int]:
    parts = parts_of_track(np.arange(len(seen.quality)), seen)
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(len(seen.quality)))
    return [int(part[0]) for part in parts[1:]]


@pytest.mark.parametrize("swap", [40, 48, 55, 3, 97])
def test_it_ends_at_the_very_frame_in_which_the_person_changes(swap: int) -> None:
    seen = one_face([0] * swap + [1] * (100 - swap), jumps=(swap,))
    assert parted_at(seen) == [swap]


def test_a_short_visit_of_another_person_is_a_track_of_its_own() -> None:
    assert parted_at(one_face([0] * 40 + [1] * 9 + [0] * 51, jumps=(40, 49))) == [40, 49]


def test_jumps_of_the_same_person_end_nothing() -> None:
    assert parted_at(one_face([0] * 200, jumps=(20, 21, 22, 90, 130))) == []


def test_a_bad_picture_of_somebody_ends_nothing() -> None:
    assert parted_at(one_face([0] * 100, jumps=(50, 52), bad=(50, 51))) == []


def test_a_new_background_ends_nothing_while_the_face_goes_on() -> None:
    assert parted_at(one_face([0] * 100, cuts=(40, 48, 80))) == []  # 48 and 80 begin chunks: there it is asked


@pytest.mark.parametrize("cut", [40, 48])
def test_a_cut_to_another_person_ends_it(cut: int) -> None:
    assert parted_at(one_face([0] * cut + [1] * (100 - cut), jumps=(cut,), cuts=(cut,))) == [cut]


def test_a_cut_to_another_picture_of_the_same_person_ends_it() -> None:
    assert parted_at(one_face([0] * 100, jumps=(40,), cuts=(40,))) == [40]
    assert parted_at(one_face([0] * 100, cuts=(48,), moves=(48,))) == [48]


def test_where_nothing_is_known_of_a_face_only_cuts_end_it() -> None:
    seen = one_face([0] * 100, jumps=(20,), cuts=(40,), bad=tuple(range(100)))
    assert parted_at(seen) == []  # the face goes on through the cut in the middle of a chunk
    seen = one_face([0] * 100, jumps=(40,), cuts=(40,), bad=tuple(range(100)))
    assert parted_at(seen) == [40]
