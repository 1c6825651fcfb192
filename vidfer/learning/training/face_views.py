"""Views of faces for training landmarks: crops turned, moved, mirrored and darkened, with the points moved along."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidfer.faces.align import landmark_boxes
from vidfer.learning.datasets.face_landmarks import LandmarkFaces
from vidfer.learning.training.augment import AugmentConfig


def random_crops(
    boxes: Tensor, moves: AugmentConfig, generator: torch.Generator, *, margin: float
) -> tuple[Tensor, Tensor]:
    """Return transforms (N, 2, 3) from the crop's unit square to that of the picture, and what is mirrored (N,).

    Without moves they are the inverses of ``faces.align.box_transforms``. Half of the faces are turned by about a
    quarter of the largest angle only, as most faces are nearly upright.
    """
    count = len(boxes)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    longer = (boxes[:, 2:] - boxes[:, :2]).amax(1)
    side = longer * (1 + margin)
    side = side * torch.exp(_uniform(count, generator) * math.log1p(moves.scale))
    shift = torch.stack([_uniform(count, generator), _uniform(count, generator)], 1) * moves.shift
    centre = centre + shift * longer[:, None]
    angle = _uniform(count, generator) * math.radians(moves.rotation_degrees)
    angle = torch.where(torch.rand(count, generator=generator) < 0.5, angle / 4, angle)
    stretch = torch.exp(_uniform(count, generator) * math.log1p(moves.stretch))
    mirrored = (torch.rand(count, generator=generator) < 0.5) & moves.flip
    flip = torch.where(mirrored, -1.0, 1.0)
    cos, sin = torch.cos(angle) * side, torch.sin(angle) * side
    linear = torch.stack(
        [torch.stack([flip * stretch * cos, -sin], 1), torch.stack([flip * stretch * sin, cos], 1)], 1
    )  # (N, 2, 2)
    shift = centre - linear.sum(2) / 2
    return torch.cat([linear, shift[:, :, None]], 2), mirrored


def sample_crops(patches: Tensor, to_patch: Tensor, *, size: int) -> Tensor:
    """Return crops (N, 1, size, size) float 0..1 from patches (N, S, S) uint8, the border repeated beyond the edge."""
    n = len(patches)
    if not n:
        return torch.zeros((0, 1, size, size))
    # affine_grid works in [-1, 1]: with u = (x + 1) / 2 on both sides the shift becomes A 1 + 2 t - 1.
    linear = to_patch[:, :, :2]
    theta = torch.cat([linear, (linear.sum(2) + 2 * to_patch[:, :, 2] - 1)[:, :, None]], 2)
    grid = functional.affine_grid(theta, [n, 1, size, size], align_corners=False)
    source = patches[:, None].float() / 255
    return functional.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)


def darkened(crops: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Make some crops as dark as a bad exposure does, down to a few gray values."""
    count = len(crops)
    dark = torch.rand(count, generator=generator) < 0.1
    factor = torch.where(dark, torch.exp(-3 * torch.rand(count, generator=generator)), torch.ones(count))
    return (crops * factor[:, None, None, None].to(crops) * 255).round() / 255


def misplaced(boxes: Tensor, generator: torch.Generator) -> Tensor:
    """Return boxes that miss their face: beside it, or around a small part of it."""
    count = len(boxes)
    centre, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    longer = sides.amax(1, keepdim=True)
    beside = torch.rand(count, 1, generator=generator) < 0.6
    angle = _uniform(count, generator) * math.pi
    direction = torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    far = 0.6 + 0.3 * torch.rand(count, 1, generator=generator)
    near = 0.3 * torch.rand(count, 1, generator=generator)
    centre = centre + direction * longer * torch.where(beside, far, near)
    small = 0.2 + 0.2 * torch.rand(count, 1, generator=generator)
    sides = sides * torch.where(beside, 0.7 + 0.5 * torch.rand(count, 1, generator=generator), small)
    return torch.cat([centre - sides / 2, centre + sides / 2], 1)


def boxes_of(faces: LandmarkFaces, *, own: bool = True) -> np.ndarray:
    """Return the boxes (N, 1 or 2, 4) that a face may come from: the detector's if known, and its landmarks' own."""
    derived = landmark_boxes(faces.landmarks)
    if not np.isfinite(faces.xyxy).all():
        return derived[:, None]
    return np.stack([faces.xyxy, derived], 1) if own else faces.xyxy[:, None]


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * 2 - 1
