"""What the detectors of face-alignment share: frames shrunk and padded, in bounded batches, and boxes brought back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidfer.faces.detectors import search_side
from vidfer.faces.nms import suppress
from vidfer.types import FaceBoxes

if TYPE_CHECKING:
    from torch import Tensor

MAX_BATCH_SIZE = 8  # frames at a time; SFD holds about 300 MB of activations per 640x360 frame
MAX_CANDIDATES = 400  # per frame, before suppression
NUM_VALUES = 14  # xyxy and five points


@dataclass(frozen=True)
class Candidates:
    """Boxes before suppression: image_row (N,), values (N, 14) in px of the network's input, score (N,)."""

    image_row: np.ndarray
    values: np.ndarray
    score: np.ndarray


def detect_in_batches(
    images: Tensor,
    find: Callable[[Tensor], Candidates],
    *,
    device: str,
    long_side: int,
    multiple: int,
    max_iou: float,
    max_batch_size: int = MAX_BATCH_SIZE,
) -> FaceBoxes:
    """Run a network over frames and return their faces in px of the frames.

    Parameters
    ----------
    images
        (B, H, W, 3) uint8 RGB; one channel is taken for gray.
    find
        Maps frames (b, 3, H', W') float32 RGB, 0..255, on ``device`` to candidates. Beyond the picture, at the right
        and the bottom, the frames are NaN: the network's padding colour is its own affair.
    device
        Where the network runs.
    long_side
        Longer frames are shrunk to this, px.
    multiple
        H' and W' are padded to multiples of this.
    max_iou
        Overlap above which two boxes are one face.
    max_batch_size
        Frames per call of ``find``.
    """
    count = len(images)
    values: list[np.ndarray] = []
    scores: list[np.ndarray] = []
    if 0 not in images.shape[:3]:
        for start in range(0, count, max_batch_size):
            inputs, scale = _prepare(images[start : start + max_batch_size].to(device), long_side, multiple)
            found = find(inputs)
            for row in range(len(inputs)):
                here = found.image_row == row
                kept, score = _suppressed(found.values[here], found.score[here], max_iou)
                values.append(kept * np.tile(np.array(scale, np.float32), NUM_VALUES // 2))
                scores.append(score)
    return _pack(values, scores)


def _prepare(images: Tensor, long_side: int, multiple: int) -> tuple[Tensor, tuple[float, float]]:
    """Return frames (b, 3, H', W') padded with NaN, and how many px of the frame one of theirs is, across and down."""
    import torch
    from torch.nn import functional

    count, height, width = images.shape[:3]
    shrink = min(1.0, search_side(long_side, height=height, width=width) / max(height, width))
    size = max(1, round(height * shrink)), max(1, round(width * shrink))
    planes = images.permute(0, 3, 1, 2).float()  # (b, C, H, W)
    if size != (height, width):
        planes = functional.interpolate(planes, size=size, mode="bilinear", antialias=True)
    padded = [-(-side // multiple) * multiple for side in size]
    inputs = torch.full((count, 3, *padded), torch.nan, device=images.device)
    inputs[:, :, : size[0], : size[1]] = planes
    return inputs, (width / size[1], height / size[0])


def _suppressed(values: np.ndarray, score: np.ndarray, max_iou: float) -> tuple[np.ndarray, np.ndarray]:
    if len(score) > MAX_CANDIDATES:
        best = np.argsort(-score, kind="stable")[:MAX_CANDIDATES]
        values, score = values[best], score[best]
    return suppress(values, score, max_iou=max_iou)


def _pack(values: list[np.ndarray], scores: list[np.ndarray]) -> FaceBoxes:
    joined = np.concatenate([np.zeros((0, NUM_VALUES), np.float32), *values]).astype(np.float32)
    return FaceBoxes(
        image_row=np.repeat(np.arange(len(scores)), [len(score) for score in scores]).astype(np.int64),
        xyxy=np.ascontiguousarray(joined[:, :4]),
        score=np.concatenate([np.zeros(0, np.float32), *scores]).astype(np.float32),
        points5=joined[:, 4:].reshape(-1, 5, 2),
    )
