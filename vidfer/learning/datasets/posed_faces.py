"""Neutral faces moved as the Facial Action Coding System describes expressions: pictures of what the corpora lack.

Few labelled faces that may be learnt from show fear or contempt. What these look like is known: which muscles move,
and where they pull the skin (Ekman, Friesen and Hager 2002, "Facial Action Coding System"). Landmarks of neutral faces
are moved so, each muscle ("action unit") by an amount drawn at random, and the picture with them. Wrinkles and teeth do
not appear, so such faces teach shape alone.

At rest, brows and mouths of different people differ as much as a weak expression moves them. So that a network does
not take one for the other, each face is also given the resting shape of somebody else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from vidfer.faces.align import (
    TEMPLATE,
    apply_transforms,
    five_points,
    invert_transforms,
    similarity_transforms,
)
from vidfer.labels import EMOTION_INDEX, NUM_EMOTIONS
from vidfer.learning.datasets.action_units import ACTION_UNITS, unit_movement
from vidfer.learning.datasets.face_motion import SHADOW_PER_OPENING, displaced, mouth_shadow
from vidfer.learning.datasets.labelled_pictures import LabelledPictures

_OPENING: Final = {25: 0.026, 26: 0.085}  # what counts of it, in sides of the face, for how dark the mouth is inside
_DARKEST = 0.85

Amounts = dict[int, tuple[float, float]]  # of action units: from the least to the most, 1 as in ACTION_UNITS

# Ways of each expression: the prototypes and major variants of FACS's guide, contempt's units on one side.
_WAYS: Final[dict[str, tuple[Amounts, ...]]] = {
    "fear": (
        {1: (0.6, 1.1), 2: (0.3, 1.0), 4: (0.3, 0.8), 5: (0.6, 1.4), 20: (0.5, 1.1), 25: (0.2, 1.3)},
        {1: (0.6, 1.1), 2: (0.5, 1.0), 4: (0.2, 0.7), 5: (0.6, 1.4), 20: (0.4, 1.0), 26: (0.2, 0.9)},
        {1: (0.7, 1.2), 2: (0.2, 0.8), 4: (0.4, 0.9), 5: (0.5, 1.3), 20: (0.3, 0.8)},
    ),
    "contempt": ({14: (0.9, 1.8)}, {12: (0.5, 1.0)}, {14: (0.6, 1.1), 12: (0.3, 0.6)}),
    "anger": (
        {4: (0.7, 1.4), 5: (0.0, 0.8), 7: (0.4, 1.2), 23: (0.4, 1.1), 17: (0.0, 0.7)},
        {4: (0.7, 1.4), 7: (0.4, 1.2), 5: (0.2, 0.9), 25: (0.3, 1.0)},
    ),
    "sadness": (
        {1: (0.5, 1.1), 4: (0.4, 1.0), 15: (0.4, 1.1), 17: (0.1, 0.9)},
        {1: (0.4, 1.1), 4: (0.4, 1.0), 15: (0.2, 0.7), 7: (0.0, 0.6)},
        {4: (0.2, 0.6), 15: (0.6, 1.2), 17: (0.4, 1.0)},
    ),
    "disgust": (
        {9: (0.7, 1.4), 10: (0.3, 0.9), 17: (0.2, 1.0), 7: (0.3, 1.0), 4: (0.0, 0.4)},
        {9: (0.6, 1.3), 10: (0.7, 1.3), 25: (0.3, 1.2), 7: (0.3, 1.0)},
        {10: (0.9, 1.4), 9: (0.5, 1.0), 15: (0.2, 0.8), 17: (0.3, 1.0), 7: (0.2, 0.9)},
    ),
    "surprise": (
        {1: (0.6, 1.2), 2: (0.6, 1.2), 5: (0.5, 1.4), 26: (0.5, 1.3)},
        {1: (0.5, 1.1), 2: (0.5, 1.1), 5: (0.3, 1.0), 25: (0.3, 1.0)},
    ),
}
_ONE_SIDED = "contempt"
_WEAK_SIDE = 0.25  # at most, of the amount of the other side
_SIDES = (0.85, 1.15)  # how much more or less than its amount each half of a face does
# How often each is shown; neutral: a few weak units, either way, as faces differ at rest, and half of the time a mouth
# that is open as in talk, so that brows raised in talk are no fear.
_SHARES: Final = {
    **{"fear": 0.22, "contempt": 0.1, "anger": 0.12, "sadness": 0.1, "disgust": 0.1, "surprise": 0.06},
    "neutral": 0.3,
}
_AT_REST = (-0.4, 0.35)  # amount of each of these
_UNITS_AT_REST = 4
_TALKING: Final[Amounts] = {25: (0.0, 1.2), 26: (0.0, 0.6), 1: (-0.3, 0.6), 2: (-0.3, 0.6)}
_TALKING_SHARE = 0.5
_STRENGTH = (0.55, 1.2)  # of the whole expression
_LABEL_PER_STRENGTH, _LABEL_SHARE = 0.85, (0.4, 0.9)  # of the target; the rest is what the face was labelled before
_SHAPES = 14  # principal components of where neutral faces have their landmarks; they hold 98 % of the variance
_OTHER_SHAPE = 0.8  # standard deviations by which a face is moved along each
_TURNED = 0.05  # sides: with the nose's tip farther from between the eyes a face is not seen from the front
_VERSIONS = 3  # of each face
_BATCH = 256


def resting_shapes(pictures: LabelledPictures, *, inner: float) -> np.ndarray:
    """Return (K, 68, 2): how neutral faces differ from their mean, principal components times standard deviations.

    ``pictures`` are neutral faces; only those that are seen from the front count. ``inner`` as for ``posed_faces``.
    """
    points = pictures.points[_from_the_front(pictures.points, inner)].reshape(-1, 136)
    _, spread, components = np.linalg.svd(points - points.mean(0), full_matrices=False)
    scaled = components * (spread / np.sqrt(max(1, len(points))))[:, None]
    return np.asarray(scaled[:_SHAPES].reshape(-1, 68, 2), np.float32)


def posed_faces(pictures: LabelledPictures, shapes: np.ndarray, *, inner: float, seed: int) -> LabelledPictures:
    """Return versions of those pictures that are seen from the front, each with an expression drawn at random.

    Parameters
    ----------
    pictures
        N faces, meant to be neutral.
    shapes
        From ``resting_shapes``.
    inner
        Side of the face within the picture with its border, 0..1.
    seed
        Of the expressions and their amounts.

    Returns
    -------
    Three pictures of each face. ``target`` gives the expression the more, the stronger it is; ``label`` is the
    expression that was drawn; ``points`` are where the landmarks went.
    """
    random = np.random.default_rng(seed)
    pictures = pictures.take(np.tile(_from_the_front(pictures.points, inner), _VERSIONS))
    names = random.choice(list(_SHARES), len(pictures), p=list(_SHARES.values()))
    at_rest = names == "neutral"
    strength = np.where(at_rest, 1.0, random.uniform(*_STRENGTH, len(pictures))).astype(np.float32)
    drawn = [_drawn(name, random) for name in names]
    moves = np.stack([move for move, _ in drawn]) if drawn else np.zeros((0, 68, 2), np.float32)
    wanted = _with_other_shapes(pictures.points, shapes, random) + inner * strength[:, None, None] * moves
    opening = strength * np.array([opening for _, opening in drawn], np.float32)
    depth = np.minimum(_DARKEST, opening * random.uniform(*SHADOW_PER_OPENING, len(pictures))).astype(np.float32)
    label = np.array([EMOTION_INDEX[name] for name in names], np.int64)
    share = np.where(at_rest, 0.0, np.clip(_LABEL_PER_STRENGTH * strength, *_LABEL_SHARE))[:, None]
    target = (1 - share) * pictures.target + share * np.eye(NUM_EMOTIONS)[label]
    faces, points = _moved(pictures, wanted, depth, inner)
    return LabelledPictures(
        faces=faces, points=points, target=target.astype(np.float32), label=label, person=pictures.person
    )


def reshaped_faces(pictures: LabelledPictures, shapes: np.ndarray, *, inner: float, seed: int) -> LabelledPictures:
    """Return the pictures with the resting shape of somebody else, labelled as they were; arguments as above."""
    wanted = _with_other_shapes(pictures.points, shapes, np.random.default_rng(seed))
    faces, points = _moved(pictures, wanted, np.zeros(len(pictures), np.float32), inner)
    return replace(pictures, faces=faces, points=points, person=np.full(len(pictures), -1))


def _with_other_shapes(points: np.ndarray, shapes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    amounts = random.normal(0, _OTHER_SHAPE, (len(points), len(shapes))).astype(np.float32)
    return points + np.einsum("nk,kpc->npc", amounts, shapes)


def _from_the_front(points: np.ndarray, inner: float) -> np.ndarray:
    right_eye, left_eye, nose = five_points(points)[:, :3, 0].T
    return np.flatnonzero(np.abs(nose - (right_eye + left_eye) / 2) < _TURNED * inner)


def _drawn(name: str, random: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return how landmarks (68, 2) move, and by how much the mouth opens, in sides of the face."""
    if name == "neutral":
        units = random.choice(list(ACTION_UNITS), _UNITS_AT_REST, replace=False).tolist()
        amounts = dict(zip(units, random.uniform(*_AT_REST, len(units)), strict=True))
        if random.random() < _TALKING_SHARE:
            amounts |= {unit: random.uniform(*least_to_most) for unit, least_to_most in _TALKING.items()}
    else:
        ways = _WAYS[name]
        way = ways[random.integers(len(ways))]
        amounts = {unit: random.uniform(*least_to_most) for unit, least_to_most in way.items()}
    moves, opening = np.zeros((68, 2), np.float32), 0.0
    of_the_right = random.random() < 0.5
    for unit, amount in amounts.items():
        one, other = (1.0, random.uniform(0, _WEAK_SIDE)) if name == _ONE_SIDED else random.uniform(*_SIDES, 2)
        right, left = (one, other) if of_the_right else (other, one)
        moves += unit_movement(unit, amount * right, amount * left)
        opening += max(0.0, amount) * _OPENING.get(unit, 0.0)
    return moves, opening


def _moved(
    pictures: LabelledPictures, wanted: np.ndarray, depth: np.ndarray, inner: float
) -> tuple[Tensor, np.ndarray]:
    """Return the pictures with their landmarks where they are wanted, aligned anew as a detector's face would be."""
    template = TEMPLATE * inner + (1 - inner) / 2
    transforms = similarity_transforms(five_points(wanted), template)
    size, out = pictures.faces.shape[-1], torch.empty_like(pictures.faces)
    points, goal, shadow = (torch.from_numpy(a) for a in (pictures.points, wanted, depth))
    views = torch.from_numpy(invert_transforms(transforms))
    for start in range(0, len(out), _BATCH):
        rows = slice(start, start + _BATCH)
        faces = displaced(
            pictures.faces[rows].float() / 255, points[rows], goal[rows], view=views[rows], size=size, exact=True
        )
        faces = faces * mouth_shadow(goal[rows], shadow[rows], view=views[rows], size=size)
        out[rows] = (faces * 255).round().to(torch.uint8)
    return out, apply_transforms(transforms, wanted)
