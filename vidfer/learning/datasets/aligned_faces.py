"""Faces cut out of small pictures for training, by the same functions that cut them out of videos."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidfer.faces.align import TEMPLATE, box_transforms, five_points, similarity_transforms, warp_faces


def face_transforms(
    landmarks68: np.ndarray, landmarks5: np.ndarray, *, image_size: tuple[int, int], size: int, border: int
) -> np.ndarray:
    """Return the transform of one face per picture, from the best points that there are.

    Parameters
    ----------
    landmarks68, landmarks5
        (N, 68, 2) and (N, 5, 2) px of the picture, NaN where unknown. Without 68 points the five are used, without
        either the whole picture.
    image_size
        Height and width of the pictures, px.
    size, border
        The aligned face has ``size`` px, and ``border`` px of its surroundings on each side.

    Returns
    -------
    (N, 2, 3) float32, source px -> unit square of the picture of ``size + 2 * border`` px.
    """
    template = (TEMPLATE * size + border) / (size + 2 * border)
    points = five_points(np.asarray(landmarks68, np.float32))  # (N, 5, 2)
    points = np.where(np.isfinite(points).all((1, 2), keepdims=True), points, np.asarray(landmarks5, np.float32))
    transforms = similarity_transforms(points, template)
    height, width = image_size
    whole = box_transforms(np.array([[0.0, 0.0, width, height]]), margin=2 * border / size)  # (1, 2, 3)
    return np.where(np.isfinite(transforms).all((1, 2), keepdims=True), transforms, whole).astype(np.float32)


def align_pictures(images: np.ndarray, transforms: np.ndarray, *, size: int, batch: int = 512) -> Tensor:
    """Return aligned faces (N, 1, S, S) uint8 of gray pictures (N, H, W) uint8, one face each.

    The result is ``faces.align.warp_faces`` rounded to 8 bits.
    """
    out = torch.empty((len(images), 1, size, size), dtype=torch.uint8)
    for start in range(0, len(images), batch):
        part = torch.from_numpy(np.ascontiguousarray(images[start : start + batch]))[..., None]  # (B, H, W, 1)
        faces = warp_faces(part, np.arange(len(part)), transforms[start : start + batch], size=size)
        out[start : start + batch] = (faces * 255).round().to(torch.uint8)
    return out
