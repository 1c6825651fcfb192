"""Which faces of one frame go on in the next: the same place, and no sudden other look.

Where a call swaps the people of two tiles, a face is where one was and yet another's. Its picture jumps then, while a
face that moves, talks or blinks changes little from frame to frame. A jump says nothing about who is who: it says where
that has to be asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vidfer.faces.align import to_gray
from vidfer.faces.boxes import pair_up, pairwise_iou

if TYPE_CHECKING:
    from torch import Tensor

APPEARANCE_SIDE = 12  # px of what is compared
MIN_OVERLAP = 0.3  # of a face's boxes in frames next to each other
MIN_ALIKE = 0.9
JUMPED, UNKNOWN = 0, -1


def appearance_of(aligned: Tensor | np.ndarray) -> np.ndarray:
    """Return what is compared (N, K) float32 of aligned faces (N, 1 or 3, S, S): small, gray, of one contrast.

    Of arrays S must be a multiple of ``APPEARANCE_SIDE``.
    """
    if isinstance(aligned, np.ndarray):
        share = aligned.shape[-1] // APPEARANCE_SIDE
        parts = to_gray(aligned).reshape(len(aligned), APPEARANCE_SIDE, share, APPEARANCE_SIDE, share)
        found: np.ndarray = parts.mean((2, 4)).reshape(len(aligned), APPEARANCE_SIDE**2)
        found -= found.mean(1, keepdims=True)
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return found
    from torch.nn import functional

    small = functional.adaptive_avg_pool2d(to_gray(aligned), APPEARANCE_SIDE).flatten(1)  # (N, K)
    small = small - small.mean(1, keepdim=True)
    appearance: np.ndarray = functional.normalize(small, dim=1).cpu().numpy()
    return appearance


def previous_faces(frame_row: np.ndarray, xyxy: np.ndarray, appearance: np.ndarray) -> np.ndarray:
    """Return by how many rows before each face (N,) int32 the same face is in the frame before.

    ``JUMPED`` where a face is new or looks otherwise all of a sudden, ``UNKNOWN`` in the first frame.

    Parameters
    ----------
    frame_row
        (N,) ascending, from 0: which frame.
    xyxy
        (N, 4) px.
    appearance
        (N, K), see ``appearance_of``.
    """
    previous = np.where(frame_row == 0, UNKNOWN, JUMPED).astype(np.int32)
    num_frames = int(frame_row[-1]) + 1 if len(frame_row) else 0
    ends = np.searchsorted(frame_row, np.arange(num_frames + 1))  # first row of each frame
    for first, middle, last in zip(ends[:-2], ends[1:-1], ends[2:], strict=True):
        if first == middle or middle == last:
            continue
        overlap = np.nan_to_num(pairwise_iou(xyxy[first:middle], xyxy[middle:last]))
        before, now = pair_up(-overlap)
        before, now, overlap = before + first, now + middle, overlap[before, now]
        goes_on = (overlap >= MIN_OVERLAP) & ((appearance[before] * appearance[now]).sum(1) >= MIN_ALIKE)
        previous[now[goes_on]] = (now - before)[goes_on]
    return previous


def best_of_each(previous: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Return the row of best quality of each face that goes on, ascending; ``previous`` as ``previous_faces`` gives it.

    A face that jumps has a row before the jump, and one behind it.
    """
    rows = np.arange(len(previous))
    start = rows.copy()  # the row that the face begins with
    for row in np.flatnonzero(previous > 0):
        start[row] = start[row - previous[row]]
    order = np.lexsort((rows, -quality, start))
    best: np.ndarray = np.sort(order[np.unique(start[order], return_index=True)[1]])
    return best
