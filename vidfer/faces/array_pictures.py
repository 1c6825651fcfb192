"""What ``faces.align`` and the detector do to pictures as tensors, to arrays: for runtimes without PyTorch."""

from __future__ import annotations

import numpy as np


def resized(picture: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """Return a picture (H, W, C) uint8 at another size (height, width, C), without aliasing; C is 1 or 3.

    Pillow's bilinear filter is the one that PyTorch computes for uint8, to the same last bit but for one pixel in a
    thousand.
    """
    from PIL import Image

    if picture.shape[:2] == (height, width):
        return picture
    one_channel = picture.shape[2] == 1
    source = Image.fromarray(np.ascontiguousarray(picture[..., 0] if one_channel else picture))
    found = np.asarray(source.resize((width, height), Image.Resampling.BILINEAR))
    return found[..., None] if one_channel else found


def sampled(patches: np.ndarray, to_patch: np.ndarray, extent: np.ndarray, size: int) -> np.ndarray:
    """Return faces (N, C, size, size) float32, sampled bilinearly; the border is repeated.

    Parameters
    ----------
    patches
        (N, C, R, R) float32.
    to_patch
        (N, 2, 3) float32, unit square of the face -> px of the patch.
    extent
        (N, 2) float32 px: how much of the patch is filled, across and down.
    size
        Side of the result, px.
    """
    count, channels, reduced = patches.shape[:3]
    ticks = (np.arange(size, dtype=np.float32) + 0.5) / size
    along, down, shift = (to_patch[:, :, i, None, None] for i in range(3))  # (N, 2, 1, 1) each
    points = along * ticks + down * ticks[:, None] + shift  # (N, 2, S, S): x and y
    points = np.minimum(np.maximum(points, 0.5), (extent - 0.5)[..., None, None]) - 0.5
    corner = points.astype(np.int32)  # they are 0 or more
    x, y = np.moveaxis(points - corner, 1, 0)[:, :, None]  # (N, 1, S, S) each, shares of the next px
    first = corner[:, 1] * reduced + corner[:, 0]  # (N, S, S)
    right = (corner[:, 0] < reduced - 1).astype(np.int32)
    below = (corner[:, 1] < reduced - 1).astype(np.int32) * reduced
    faces = np.empty((count, channels, size, size), np.float32)
    for i in range(count):
        patch = patches[i].reshape(channels, -1)
        upper = first[i]
        lower = upper + below[i]
        top, bottom = (
            left + (patch.take(row + right[i], 1) - left) * x[i]
            for row, left in ((upper, patch.take(upper, 1)), (lower, patch.take(lower, 1)))
        )
        faces[i] = top + (bottom - top) * y[i]
    return faces
