"""Who is who while a stream goes on, with made-up vectors: faces at places, each somebody's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from vidfer.faces.gallery import AGAIN_SECONDS, FIRST_VECTORS, MOST_AT_ONCE, Found, Gallery
from vidfer.faces.tracking import Tracker

FPS = 10
SIZE = 64


def vector_of(person: int) -> np.ndarray:
    """Return the vector of somebody: of two people the cosine is 0 in the mean."""
    vector = np.random.default_rng(person).normal(size=SIZE)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def like(person: int, cosine: float) -> np.ndarray:
    """Return the vector of somebody who is so alike to a person."""
    own, other = vector_of(person), vector_of(person + 1)
    other = other - other @ own * own
    return cosine * own + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)


class Room:
    """A tracker and a gallery that see faces at places; time goes on by frames."""

    def __init__(self, *, max_gap_seconds: float = 1.0, most_people: int = 100, min_confidence: float = 0.9) -> None:
        self.tracker = Tracker(max_gap_seconds=max_gap_seconds)
        self.gallery = Gallery(min_confidence=min_confidence, most_people=most_people)
        self.frame = 0
        self.embedded: list[int] = []  # faces of each frame that got a vector
        self._ids = itertools.count()

    def see(self, faces: dict[int, np.ndarray], *, quality: float = 0.8, frames: int = 1) -> Found:
        """Show faces, by their place in the row; return what is said of the last frame."""
        places, vectors = list(faces), np.array(list(faces.values())).reshape(-1, SIZE)
        xyxy = np.array([[200 * place, 0, 200 * place + 100, 100] for place in places], np.float32).reshape(-1, 4)
        for _ in range(frames):
            seconds = self.frame / FPS
            found = self.tracker.advance(
                xyxy, np.ones(len(places)), frame_row=self.frame, seconds=seconds, is_cut=False
            )
            self.embedded.append(0)

            def embed(rows: np.ndarray) -> np.ndarray:
                self.embedded[-1] = len(rows)
                return vectors[rows]

            for track in found:
                if track is not None and track.num_faces >= 3 and track.face_id < 0:
                    track.face_id = next(self._ids)
            said = self.gallery.push(found, self.tracker.open, np.full(len(places), quality), seconds, embed)
            for track in said.changed:
                self.tracker.end(track)
            self.frame += 1
        return said

    def people(self, faces: dict[int, int], frames: int = 5) -> list[int]:
        """Show people, by their place; return their numbers."""
        return self.see({at: vector_of(who) for at, who in faces.items()}, frames=frames).person_id.tolist()

    def nobody(self, seconds: float = 2.0) -> None:
        self.see({}, frames=round(seconds * FPS))


def test_who_comes_back_has_the_number_of_before() -> None:
    room = Room()
    numbers = []
    for who in (7, 8, 7, 9, 8):
        numbers += room.people({0: who})
        room.nobody()
    assert numbers == [0, 1, 0, 2, 1]


def test_a_number_comes_with_the_third_vector_and_is_kept() -> None:
    room = Room()
    numbers = [room.people({0: 1}, frames=1)[0] for _ in range(20)]
    assert numbers == [-1] * (FIRST_VECTORS - 1) + [0] * (21 - FIRST_VECTORS)
    assert sum(room.embedded) == FIRST_VECTORS + 1, f"then one in {AGAIN_SECONDS} s"


def test_bad_faces_tell_nothing() -> None:
    room = Room()
    assert room.see({0: vector_of(1)}, quality=0.2, frames=20).person_id.tolist() == [-1]
    assert room.see({0: vector_of(1)}, quality=float("nan"), frames=20).person_id.tolist() == [-1]
    assert sum(room.embedded) == 0
    assert room.people({0: 1}) == [0]


def test_people_of_one_frame_are_never_joined() -> None:
    """Twins, side by side, and again each alone and together."""
    room = Room()
    assert sorted(room.people({0: 1, 3: 1})) == [0, 1]
    room.nobody()
    assert room.people({0: 1})[0] in (0, 1)
    both = room.people({0: 1, 3: 1})
    assert len(set(both)) == 2


def test_who_was_seen_beside_a_person_at_any_time_is_not_that_person() -> None:
    room = Room()
    room.people({0: 1})
    room.nobody()
    room.see({0: vector_of(1), 3: vector_of(1)}, frames=2)  # before either is known
    assert room.people({3: 1}, frames=12) == [0], "the other has gone, and one of them is the person"
    assert room.people({0: 1, 3: 1}) == [1, 0]


def test_a_track_waits_while_its_person_may_come_back() -> None:
    """The face has jumped to another place, and the track there may go on for a second."""
    room = Room()
    assert room.people({0: 1}) == [0]
    assert room.people({3: 1}, frames=9) == [-1]
    assert room.people({3: 1}, frames=4) == [0]
    assert room.people({0: 1, 3: 1}, frames=20) == [1, 0], "a twin"


def test_a_likeness_that_is_not_sure_is_told_and_not_joined() -> None:
    room = Room()
    room.people({0: 1})
    room.nobody()
    said = [room.see({0: like(1, 0.45)}) for _ in range(5)]
    assert [one.person_id.tolist() for one in said][-1] == [1]
    assert [pair for one in said for pair in one.unsure] == [(0, 1)]
    assert 0.2 < next(sure for one in said for sure in one.unsure_confidence) < 0.9
    joined = Room(min_confidence=0.5)
    joined.people({0: 1})
    joined.nobody()
    found = joined.see({0: like(1, 0.5)}, frames=5)
    assert found.person_id.tolist() == [0]
    assert 0.5 <= found.confidence[0] < 0.9


def test_a_track_that_goes_over_to_another_person_ends() -> None:
    room = Room()
    assert room.people({0: 1, 3: 2}) == [0, 1]
    later = [room.people({0: 2, 3: 1}, frames=1) for _ in range(40)]
    assert later[-1] == [1, 0]
    assert all(numbers[0] != numbers[1] or numbers[0] == -1 for numbers in later)
    known = [numbers for numbers in later if min(numbers) >= 0]
    assert known[0] == [0, 1], "what was said until it is noticed stands"
    assert [numbers for numbers, _ in itertools.groupby(known)] == [[0, 1], [1, 0]]


def test_one_strange_vector_ends_no_track() -> None:
    room = Room()
    room.people({0: 1})
    for _ in range(6):
        room.people({0: 1}, frames=9)
        assert room.people({0: 99}, frames=1) == [0]
    assert room.people({0: 1}) == [0]


def test_three_hundred_people_do_not_grow_what_is_kept() -> None:
    room = Room(most_people=20)
    for who in range(300):
        assert room.people({0: who}, frames=4) == [who]
        room.nobody(1.2)
    assert room.gallery.numbers == set(range(280, 300)), "those not seen for longest are forgotten first"
    assert room.people({0: 299}) == [299]
    room.nobody()
    assert room.people({0: 5}) == [300], "forgotten: somebody new"
    assert len(room.gallery._tracks) == 1
    assert not any(one.apart or one.beside for one in room.gallery._tracks.values())


def test_people_who_are_there_are_not_forgotten() -> None:
    room = Room(most_people=3)
    crowd: Sequence[int] = range(5)
    numbers = room.people({3 * at: who for at, who in enumerate(crowd)}, frames=20)
    assert sorted(numbers) == [0, 1, 2, 3, 4]
    assert room.people({3 * at: who for at, who in enumerate(crowd)}) == numbers


def test_a_full_room_does_not_hold_up_the_stream() -> None:
    room = Room()
    numbers = room.people({3 * at: 1000 + at for at in range(30)}, frames=60)
    assert max(room.embedded) == MOST_AT_ONCE
    assert sorted(numbers) == list(range(30))


@pytest.mark.parametrize("num_faces", [0, 1])
def test_an_empty_frame_is_no_problem(num_faces: int) -> None:
    room = Room()
    room.people({0: 1}, frames=1) if num_faces else None
    assert len(room.see({}).person_id) == 0
