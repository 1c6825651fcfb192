"""Neutral faces whose mouth is moved as in speech: pictures of what FER2013 lacks.

Stills that annotators call neutral mostly have a closed mouth, so a network that learnt from them alone takes the open
mouth of a talker for surprise.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidfer.learning.datasets.face_motion import SHADOW_PER_OPENING, MouthShape, displaced, mouth_shadow, speak
from vidfer.learning.datasets.labelled_pictures import LabelledPictures

# Largest movements, in heights of the face (see MouthShape): chosen by eye, so that the pictures still look like
# talking, not like astonishment.
_OPENING, _WIDENING, _SKEW = 0.085, 0.05, 0.04
_BATCH = 256


def talking_faces(pictures: LabelledPictures, *, inner: float, seed: int) -> Tensor:
    """Return each picture with its mouth moved at random, (N, 1, S, S) uint8.

    Parameters
    ----------
    pictures
        N faces, meant to be neutral.
    inner
        Side of the face within the picture with its border, 0..1.
    seed
        Of the mouths' shapes.
    """
    random = np.random.default_rng(seed)
    moved = [_talking(face, random, inner) for face in pictures.points]
    wanted = (
        torch.from_numpy(np.stack([moved_points for moved_points, _ in moved])) if moved else torch.zeros((0, 68, 2))
    )
    depth = torch.tensor([shadow for _, shadow in moved])
    points, size = torch.from_numpy(pictures.points), pictures.faces.shape[-1]
    out = torch.empty_like(pictures.faces)
    for start in range(0, len(pictures), _BATCH):
        rows = slice(start, start + _BATCH)
        faces = displaced(pictures.faces[rows].float() / 255, points[rows], wanted[rows])
        faces = faces * mouth_shadow(wanted[rows], depth[rows], size=size)
        out[rows] = (faces * 255).round().to(torch.uint8)
    return out


def _talking(points: np.ndarray, random: np.random.Generator, inner: float) -> tuple[np.ndarray, float]:
    """Return landmarks (68, 2) of a random mouth and how dark it is inside, 0..1."""
    opening = random.uniform(0.0, _OPENING)
    shape = MouthShape(
        opening=opening * inner,
        widening=random.uniform(-_WIDENING, 0.6 * _WIDENING) * inner,
        skew=random.normal(0.0, 0.5 * _SKEW) * inner,
    )
    return speak(points, shape), opening * random.uniform(*SHADOW_PER_OPENING)
