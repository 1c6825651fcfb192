"""Faces that go on from frame to frame, and those that jump."""

from __future__ import annotations

import numpy as np
import torch

from vidfer.faces.continuity import JUMPED, UNKNOWN, appearance_of, best_of_each, previous_faces

BOX = np.array([10.0, 10, 60, 70], np.float32)


def portraits(people: list[int], *, seed: int = 0) -> torch.Tensor:
    """Return a picture (N, 3, 48, 48) of each person: a face of blocks that is the same each time but for noise."""
    blocks = np.random.default_rng(5).uniform(0.1, 0.9, (4, 6, 6))
    faces = blocks[people].repeat(8, 1).repeat(8, 2)[:, None].repeat(3, 1)
    return torch.from_numpy(faces + np.random.default_rng(seed).normal(0, 0.03, faces.shape)).float()


def test_a_face_goes_on_while_place_and_look_do() -> None:
    frame_row = np.arange(5)
    boxes = np.stack([BOX + 2 * k for k in range(5)]).astype(np.float32)
    previous = previous_faces(frame_row, boxes, appearance_of(portraits([0, 0, 0, 1, 1])))
    assert previous.tolist() == [UNKNOWN, 1, 1, JUMPED, 1]


def test_light_alone_is_no_jump_and_another_place_is_one() -> None:
    faces = portraits([0, 0, 0])
    faces[1] = faces[1] * 0.5 + 0.1
    boxes = np.stack([BOX, BOX, BOX + 100])
    assert previous_faces(np.arange(3), boxes, appearance_of(faces)).tolist() == [UNKNOWN, 1, JUMPED]


def test_tiles_that_swap_jump_and_the_third_does_not() -> None:
    boxes = np.tile(np.stack([BOX, BOX + 100, BOX + 200]), (3, 1))
    appearance = appearance_of(portraits([0, 1, 2, 0, 1, 2, 1, 0, 2]))
    previous = previous_faces(np.repeat([0, 1, 2], 3), boxes, appearance)
    assert previous.tolist() == [UNKNOWN] * 3 + [3, 3, 3] + [JUMPED, JUMPED, 3]


def test_a_frame_without_faces_ends_all() -> None:
    appearance = appearance_of(portraits([0, 0, 0]))
    assert previous_faces(np.array([0, 2, 3]), np.stack([BOX] * 3), appearance).tolist() == [UNKNOWN, JUMPED, 1]
    assert previous_faces(np.zeros(0, np.int64), np.zeros((0, 4)), appearance[:0]).tolist() == []


def test_each_face_that_goes_on_gives_its_best_row() -> None:
    previous = np.array([UNKNOWN, UNKNOWN, 2, 2, JUMPED, 2, 2])  # rows 0, 2 are one face, then 4, 6; 1, 3, 5 another
    quality = np.array([0.5, 0.1, 0.6, 0.8, 0.2, 0.7, 0.2], np.float32)
    assert best_of_each(previous, quality).tolist() == [2, 3, 4]
    assert best_of_each(previous[:0], quality[:0]).tolist() == []
