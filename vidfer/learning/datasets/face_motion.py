"""Moves features of still faces by their landmarks: morphs between two pictures, talking mouths, blinks.

Coordinates are those of the picture's unit square; landmarks are the 68 of iBUG 300-W.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# How dark the inside of a mouth gets per height of the face, from the least to the most, chosen by eye: teeth are
# bright, an opening of 0.085 without them is nearly 80 % dark.
SHADOW_PER_OPENING = (3.0, 9.0)
_FIELD_SIDE = 24  # nodes of the displacement field along each side
_REACH = 0.055  # of the unit square: standard deviation of how far a landmark pulls its surroundings along
_STILLNESS = 0.02  # pull of everything else towards staying where it is
_EXACT_SIDE, _EXACT_REACH = 40, 0.06  # as these, where landmarks arrive exactly
_RIDGE = 0.005  # keeps the interpolation smooth where landmarks lie on one another
_EDGE_POINTS = 7  # on each edge of the picture
_LOWER_LIP = [55, 56, 57, 58, 59, 65, 66, 67]
_UPPER_LIP = [49, 50, 51, 52, 53, 61, 62, 63]
_RIGHT_CORNER, _LEFT_CORNER = [48, 60], [54, 64]
_CHIN, _JAW_SIDES = [6, 7, 8, 9, 10], [4, 5, 11, 12]
_INNER_MOUTH = slice(60, 68)
_LIDS = {37: 41, 38: 40, 43: 47, 44: 46}  # upper lid -> lower lid


@dataclass(frozen=True, kw_only=True)
class MouthShape:
    """How a talking mouth differs from the picture's, in heights of the face's square.

    Attributes
    ----------
    opening
        How far the lower lip sinks, about 0 to 0.12.
    widening
        How far each corner moves outwards (negative: the lips are rounded), about -0.05 to 0.03.
    skew
        How far the right corner of the mouth rises while the left one sinks, about -0.03 to 0.03.
    """

    opening: float = 0.0
    widening: float = 0.0
    skew: float = 0.0


def speak(landmarks: np.ndarray, shape: MouthShape) -> np.ndarray:
    """Return landmarks (68, 2) with the mouth moved to ``shape``."""
    moved = np.array(landmarks, np.float32)
    moved[_LOWER_LIP, 1] += shape.opening
    moved[_UPPER_LIP, 1] -= 0.12 * shape.opening
    moved[_CHIN, 1] += 0.8 * shape.opening
    moved[_JAW_SIDES, 1] += 0.4 * shape.opening
    moved[_RIGHT_CORNER, 1] += 0.4 * shape.opening - shape.skew
    moved[_LEFT_CORNER, 1] += 0.4 * shape.opening + shape.skew
    moved[_RIGHT_CORNER, 0] -= shape.widening
    moved[_LEFT_CORNER, 0] += shape.widening
    return moved


def blink(landmarks: np.ndarray, *, closed: float = 0.9) -> np.ndarray:
    """Return landmarks (68, 2) with the upper lids lowered by ``closed`` (0..1) of the eyes' opening."""
    moved = np.array(landmarks, np.float32)
    for upper, lower in _LIDS.items():
        moved[upper] += closed * (moved[lower] - moved[upper])
    return moved


def displaced(
    faces: Tensor,
    landmarks: Tensor,
    wanted: Tensor,
    *,
    view: Tensor | None = None,
    size: int | None = None,
    exact: bool = False,
) -> Tensor:
    """Return faces whose features lie where they are wanted, seen through a view, in one bilinear pass.

    Parameters
    ----------
    faces
        (N, C, S, S) float.
    landmarks, wanted
        (N, 68, 2), where they are and where they shall be.
    view
        (N, 2, 3) from the result's unit square to the moved picture's; None: the same square.
    size
        Side of the result, px; None: as it is.
    exact
        Landmarks arrive nearly where they are wanted, and the picture's edge stays; else each place follows the mean of
        the landmarks around it, so that opposite movements of near ones, as of two lids, mostly cancel.
    """
    n, side = len(faces), _EXACT_SIDE if exact else _FIELD_SIDE
    ticks = (torch.arange(side) + 0.5) / side
    nodes = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1).reshape(1, -1, 2)  # (1, M, 2), x then y
    field = (_exact_field if exact else _smooth_field)(nodes.expand(n, -1, -1), landmarks, wanted)  # (N, M, 2)
    field = field.transpose(1, 2).reshape(n, 2, side, side)
    points = _view_points(n, size or faces.shape[-1], view)  # (N, S, S, 2)
    offset = functional.grid_sample(field, points * 2 - 1, padding_mode="border", align_corners=False)
    source = points + offset.permute(0, 2, 3, 1)
    return functional.grid_sample(faces, source * 2 - 1, padding_mode="border", align_corners=False)


def mouth_shadow(landmarks: Tensor, depth: Tensor, *, view: Tensor | None = None, size: int) -> Tensor:
    """Return factors (N, 1, S, S) that darken the inside of opened mouths: 1 outside, ``1 - depth`` at the middle.

    ``landmarks`` (N, 68, 2) are the moved ones, ``depth`` is (N,) 0..1.
    """
    mouth = landmarks[:, _INNER_MOUTH]  # (N, 8, 2)
    centre = (mouth.amin(1) + mouth.amax(1)) / 2
    radius = ((mouth.amax(1) - mouth.amin(1)) / 2).clamp_min(0.005)
    points = _view_points(len(landmarks), size, view)
    away = (((points - centre[:, None, None]) / radius[:, None, None]) ** 2).sum(-1)  # (N, S, S), 1 at the lips
    inside = torch.sigmoid((0.8 - away) * 6)
    return (1 - depth[:, None, None] * inside)[:, None]


def _smooth_field(nodes: Tensor, landmarks: Tensor, wanted: Tensor) -> Tensor:
    pull = torch.exp(torch.cdist(nodes, wanted) ** 2 * (-0.5 / _REACH**2))  # (N, M, 68)
    return (pull @ (landmarks - wanted)) / (pull.sum(-1, keepdim=True) + _STILLNESS)


def _exact_field(nodes: Tensor, landmarks: Tensor, wanted: Tensor) -> Tensor:
    """Interpolate by Gaussian radial basis functions, slightly smoothed as landmarks may lie on one another."""
    ticks = torch.linspace(0, 1, _EDGE_POINTS)
    zero, one = torch.zeros(_EDGE_POINTS), torch.ones(_EDGE_POINTS)
    edge = torch.cat([torch.stack(xy, 1) for xy in ((ticks, zero), (ticks, one), (zero, ticks), (one, ticks))])
    edge = edge.expand(len(nodes), -1, -1)
    centres, moves = torch.cat([wanted, edge], 1), torch.cat([landmarks - wanted, torch.zeros_like(edge)], 1)
    between = torch.exp(torch.cdist(centres, centres) ** 2 * (-0.5 / _EXACT_REACH**2))  # (N, P, P)
    weights = torch.linalg.solve(between + _RIDGE * torch.eye(centres.shape[1]), moves)
    return torch.exp(torch.cdist(nodes, centres) ** 2 * (-0.5 / _EXACT_REACH**2)) @ weights


def _view_points(n: int, size: int, view: Tensor | None) -> Tensor:
    ticks = (torch.arange(size) + 0.5) / size
    x, y = torch.meshgrid(ticks, ticks, indexing="xy")
    if view is None:
        return torch.stack([x, y], -1).expand(n, -1, -1, -1)
    flat = torch.stack([x, y, torch.ones_like(x)], -1).reshape(1, -1, 3)
    return (flat @ view.transpose(1, 2)).reshape(n, size, size, 2)
