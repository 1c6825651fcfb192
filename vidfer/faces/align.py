"""Aligned faces: the one preprocessing function of training and inference.

Coordinates are continuous: pixel i covers [i, i + 1), its centre is i + 0.5. The unit square of an aligned face
has (0, 0) at its top left and (1, 1) at its bottom right, whatever size in pixels it is then sampled at.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vidfer.faces.array_pictures import resized, sampled

if TYPE_CHECKING:
    from torch import Tensor

Pictures = TypeVar("Pictures", "Tensor", np.ndarray)  # of PyTorch, or of NumPy where networks run without it

# Five points of the canonical aligned face in the unit square: right eye, left eye, nose tip, right and left mouth
# corner of the person. The mean over the faces of FER2013 (measured on the 68 points of 35,338 faces, then made
# symmetric), so that a FER2013 picture is, on average, its own aligned face and nothing has to be invented around it.
TEMPLATE = np.array([[0.311, 0.396], [0.689, 0.396], [0.5, 0.594], [0.339, 0.779], [0.661, 0.779]], np.float32)

# Which of the 68 landmarks each becomes in a mirror: jaw, brows, nose bridge and wings, eyes, outer and inner lips.
MIRRORED_LANDMARKS = np.array(
    [
        *(*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65),
    ]
)

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Return the five points (N, 5, 2) that 68 landmarks (N, 68, 2) imply: eye centres, nose tip, mouth corners."""
    return np.stack(
        [
            landmarks[:, 36:42].mean(1),
            landmarks[:, 42:48].mean(1),
            landmarks[:, 30],
            landmarks[:, 48],
            landmarks[:, 54],
        ],
        axis=1,
    )  # (N, 5, 2)


def similarity_transforms(points: np.ndarray, template: np.ndarray = TEMPLATE) -> np.ndarray:
    """Return the least-squares similarity from each face's points to the template.

    Parameters
    ----------
    points
        (N, P, 2) source pixels.
    template
        (P, 2) in the unit square.

    Returns
    -------
    (N, 2, 3) float32, source px -> unit square; NaN where the points are NaN or all the same.
        Umeyama (1991) without reflection, in its closed form for the plane.
    """
    source = np.asarray(points, np.float64)
    target = np.asarray(template, np.float64)
    source_mean, target_mean = source.mean(1), target.mean(0)
    p = source - source_mean[:, None]  # (N, P, 2)
    t = target - target_mean
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (p**2).sum((1, 2))
        spread = np.where(spread > 1e-12, spread, np.nan)
        a = (p * t).sum((1, 2)) / spread
        b = (p[..., 0] * t[:, 1] - p[..., 1] * t[:, 0]).sum(1) / spread
    linear = np.stack([np.stack([a, -b], -1), np.stack([b, a], -1)], 1)  # (N, 2, 2)
    shift = target_mean - np.einsum("nij,nj->ni", linear, source_mean)
    return np.concatenate([linear, shift[..., None]], -1).astype(np.float32)


def box_transforms(xyxy: np.ndarray, *, margin: float = 0.0) -> np.ndarray:
    """Return the transforms (N, 2, 3) from source px to the unit square of each box's square surroundings.

    The square has the box's centre and its longer side, enlarged by ``margin`` (0.25 adds a quarter in all).
    """
    xyxy = np.asarray(xyxy, np.float64)
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    side = (xyxy[:, 2:] - xyxy[:, :2]).max(1) * (1 + margin)
    scale = 1 / np.maximum(side, 1e-6)
    transforms = np.zeros((len(xyxy), 2, 3))
    transforms[:, 0, 0] = transforms[:, 1, 1] = scale
    transforms[:, :, 2] = 0.5 - centre * scale[:, None]
    return transforms.astype(np.float32)


# How a face's box follows from its 68 landmarks: the brows are moved up by half the way from the mouth's centre to
# the eyes', and the box around all points is moved by these shares of its width and height (left, top, right,
# bottom). Fitted to the detections of 9,900 training faces in faces_in_scenes.h5 (score >= 0.6, disagreement of the
# teachers < 0.05, at least 40 px wide) and made symmetric; median overlap with the detector's box: IoU 0.905.
_FOREHEAD = 0.5
_BOX_MOVES = np.array([0.02, -0.10, -0.02, -0.02])


def landmark_boxes(landmarks: np.ndarray) -> np.ndarray:
    """Return the box (N, 4) float32 px that a detector would put around each face's 68 landmarks (N, 68, 2).

    It follows the face's roll: the forehead is looked for above the eyes as the face sees it. NaN where a landmark is.
    """
    landmarks = np.asarray(landmarks, np.float64)
    up = landmarks[:, 36:48].mean(1) - landmarks[:, 48:68].mean(1)  # (N, 2)
    forehead = landmarks[:, 17:27] + _FOREHEAD * up[:, None]  # (N, 10, 2)
    points = np.concatenate([landmarks, forehead], 1)
    box = np.concatenate([points.min(1), points.max(1)], 1)  # (N, 4)
    sides = np.tile(box[:, 2:] - box[:, :2], (1, 2))
    return (box + sides * _BOX_MOVES).astype(np.float32)


def invert_transforms(transforms: np.ndarray) -> np.ndarray:
    """Return the inverses (N, 2, 3) of affine transforms (N, 2, 3)."""
    (a, b), (c, d) = np.asarray(transforms[:, :, :2], np.float64).transpose(1, 2, 0)  # (N,) each
    inverse = np.empty((len(transforms), 2, 2))
    inverse[:, 0, 0], inverse[:, 0, 1], inverse[:, 1, 0], inverse[:, 1, 1] = d, -b, -c, a
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse /= (a * d - b * c)[:, None, None]
    shift = -np.einsum("nij,nj->ni", inverse, transforms[:, :, 2])
    return np.concatenate([inverse, shift[..., None]], -1).astype(np.float32)


def apply_transforms(transforms: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points (N, P, 2) moved by transforms (N, 2, 3), float32."""
    moved = np.einsum("nij,npj->npi", transforms[:, :, :2], points) + transforms[:, None, :, 2]
    return moved.astype(np.float32)


def warp_faces(
    images: Pictures, image_row: np.ndarray, transforms: np.ndarray, *, size: int, gray: bool = False
) -> Pictures:
    """Sample faces from frames at a fixed size, without aliasing and without converting whole frames.

    Each face's surroundings are shrunk (or enlarged) once by an antialiased resize to about 1.5 times the wanted
    size and turned upright by bilinear sampling from there, so that the same face gives the same picture whether it
    comes from 48 or 1080 pixels. Beyond the frame's edge its border is repeated.

    Parameters
    ----------
    images
        (B, H, W, C) uint8, a tensor on any device or an array; C is 1 or 3.
    image_row
        (N,) which image each face is in.
    transforms
        (N, 2, 3) source px -> unit square, e.g. from ``similarity_transforms``.
    size
        Side S of the result in pixels.
    gray
        Give the luma alone, for a third of the time of colours.

    Returns
    -------
    (N, C, S, S) float32, 0..1, of the images' kind and device; C is 1 for ``gray``. A face whose transform is not
    finite comes out black.
    """
    to_source = invert_transforms(np.asarray(transforms))  # unit square -> source px
    reduced = math.ceil(size * 1.5)
    usable, corner, extent, shrunk = _patch_boxes(to_source, images.shape[2], images.shape[1], reduced)
    boxes = zip(np.asarray(image_row)[usable].tolist(), corner.tolist(), extent.tolist(), shrunk.tolist(), strict=True)
    numbered = zip(usable.tolist(), boxes, strict=True)
    scale = (shrunk / extent).astype(np.float32)  # (M, 2)
    to_patch = np.zeros((len(to_source), 2, 3), np.float32)
    to_patch[usable, :, :2] = to_source[usable, :, :2] * scale[:, :, None]
    to_patch[usable, :, 2] = (to_source[usable, :, 2] - corner.astype(np.float32)) * scale
    limits = np.ones((len(to_source), 2), np.float32)
    limits[usable] = shrunk
    if isinstance(images, np.ndarray):
        shape = len(to_source), images.shape[3], reduced, reduced
        found = _array_patches(images, numbered, shape).astype(np.float32)
        found = to_gray(found) if gray else found
        found /= 255
        return sampled(found, to_patch, limits, size)
    import torch

    patches = _patches(images, numbered, (len(to_source), images.shape[3], reduced, reduced))
    patches = to_gray(patches.float()) if gray else patches.float()
    return _sample(patches.div_(255), torch.from_numpy(to_patch), torch.from_numpy(limits), size)


def _patches(images: Tensor, boxes: Any, shape: tuple[int, ...]) -> Tensor:
    import torch
    from torch.nn import functional

    device = images.device
    # Only the CPU resizes uint8 without conversion.
    dtype = torch.uint8 if device.type == "cpu" else torch.float32
    patches = torch.zeros(shape, dtype=dtype, device=device)
    for i, (row, (left, top), (width, height), (to_width, to_height)) in boxes:
        patch = images[row, top : top + height, left : left + width].permute(2, 0, 1)[None].to(dtype)  # (1, C, h, w)
        patches[i, :, :to_height, :to_width] = functional.interpolate(
            patch, size=(to_height, to_width), mode="bilinear", antialias=True
        )[0]
    return patches


def _array_patches(images: np.ndarray, boxes: Any, shape: tuple[int, ...]) -> np.ndarray:
    patches = np.zeros(shape, np.uint8)
    for i, (row, (left, top), (width, height), (to_width, to_height)) in boxes:
        patch = resized(images[row, top : top + height, left : left + width], width=to_width, height=to_height)
        patches[i, :, :to_height, :to_width] = patch.transpose(2, 0, 1)
    return patches


def _patch_boxes(
    to_source: np.ndarray, width: int, height: int, reduced: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what part of the image each of the M faces with finite transforms covers, and how small it is made.

    Returns
    -------
    Which they are (M,); left and top, width and height of the part (M, 2) px; its size in the patch (M, 2) px. All int.
    """
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    quads = apply_transforms(to_source, np.broadcast_to(corners, (len(to_source), 4, 2)))  # (N, 4, 2)
    usable = np.flatnonzero(np.isfinite(quads).all((1, 2)))
    low, high = quads[usable].min(1), quads[usable].max(1)  # (M, 2)
    shape = np.array([width, height], np.float32)
    # A face beyond the edge keeps one row or column, the border that is repeated.
    first = np.clip(np.floor(low), 0, shape - 1).astype(np.int64)
    extent = np.clip(np.ceil(high), first + 1, shape).astype(np.int64) - first
    side = np.maximum((high - low).max(1, initial=1.0).astype(np.float64), extent.max(1, initial=1))  # (M,)
    shrunk = np.clip(np.rint(extent * reduced / side[:, None]), 1, reduced).astype(np.int64)
    return usable, first, extent, shrunk


def to_gray(pictures: Pictures) -> Pictures:
    """Return pictures (N, 1 or 3, H, W) as gray (N, 1, H, W)."""
    if pictures.shape[1] == 1:
        return pictures
    red, green, blue = LUMA
    if isinstance(pictures, np.ndarray):
        return pictures[:, 0:1] * red + pictures[:, 1:2] * green + pictures[:, 2:3] * blue
    gray = pictures[:, 0:1] * red
    return gray.add_(pictures[:, 1:2], alpha=green).add_(pictures[:, 2:3], alpha=blue)


def _sample(patches: Tensor, to_patch: Tensor, extent: Tensor, size: int) -> Tensor:
    import torch
    from torch.nn import functional

    device = patches.device
    to_patch, extent = to_patch.to(device), extent.to(device)
    reduced = patches.shape[-1]
    ticks = (torch.arange(size, device=device) + 0.5) / size
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    grid = torch.stack([x, y, torch.ones_like(x)], -1)  # (S, S, 3)
    points = torch.einsum("hwk,njk->nhwj", grid, to_patch)  # (N, S, S, 2) px of the patch
    limit = (extent - 0.5)[:, None, None]
    points = torch.minimum(points.clamp_min(0.5), limit)
    return functional.grid_sample(
        patches, points * (2 / reduced) - 1, mode="bilinear", padding_mode="border", align_corners=False
    )  # (N, C, S, S)
