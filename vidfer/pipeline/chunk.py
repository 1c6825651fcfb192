"""A few consecutive frames on the device, the aligned faces that frame stages share, and who was there before them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

from vidfer.faces.align import warp_faces
from vidfer.types import FrameBatch

if TYPE_CHECKING:
    import torch
    from torch import Tensor


# Results depend on both (detection is spread over a chunk): change them only with the version of the stage "faces".
CHUNK_FRAMES = 16
MAX_CHUNK_BYTES = 108 << 20  # 16 frames of 2048x1080; 4 of 3840x2160; 1 of 7680x4320


def chunk_frames(frame_bytes: int) -> int:
    """Return how many frames of this size a chunk holds: CHUNK_FRAMES, or a power of two below for large frames."""
    frames = CHUNK_FRAMES
    while frames > 1 and frames * frame_bytes > MAX_CHUNK_BYTES:
        frames //= 2
    return frames


def no_boxes() -> np.ndarray:
    """Return boxes (0, 4) float32: those of a frame without faces."""
    return np.zeros((0, 4), np.float32)


class Relay:
    """Hands the faces of each chunk's last frame on to the next chunk, which another thread may have.

    Parameters
    ----------
    before
        Waits for the boxes (M, 4) of the frame before this chunk and returns them. Called only where there are more
        faces than may be followed.
    """

    def __init__(self, before: Callable[[], np.ndarray] = no_boxes) -> None:
        self.before = before
        self._last: Future[np.ndarray] = Future()

    def tell(self, boxes: np.ndarray) -> None:
        """Give the boxes of this chunk's last frame; only the first call counts."""
        if not self._last.done():
            self._last.set_result(boxes)

    def next(self) -> Relay:
        """Return the next chunk's. Chunks must begin in order, or one could wait for another that has no thread yet."""
        return Relay(self._last.result)


class FrameChunk:
    """Up to ``chunk_frames`` sampled frames of one video.

    Attributes
    ----------
    batch
        The frames as they were read.
    images
        (B, H, W, 3) uint8 on the device; without one the batch's array stands in for the tensor, for networks that are
        run by ONNX Runtime (``pipeline.exported``).
    boxes_before
        Gives the boxes (M, 4) px of the faces in the frame before.
    """

    def __init__(
        self, batch: FrameBatch, device: torch.device | None, *, boxes_before: Callable[[], np.ndarray] = no_boxes
    ) -> None:
        self.batch, self.boxes_before = batch, boxes_before
        self.images: Tensor = batch.images if device is None else _on(device, batch.images)  # type: ignore[assignment]
        self._aligned: dict[int, tuple[np.ndarray, Tensor]] = {}

    def images_of(self, rows: np.ndarray, *, inverted: bool = False) -> Tensor:
        """Return the pictures of some frames, turned by 180 degrees if wanted."""
        images = self.images
        if isinstance(images, np.ndarray):
            images = images if len(rows) == len(images) else images[rows]
            return images[:, ::-1, ::-1] if inverted else images
        if inverted or len(rows) < len(images):
            import torch

            images = images.index_select(0, torch.from_numpy(rows).to(images.device))
        return images.flip(1, 2) if inverted else images

    def aligned_faces(self, image_row: np.ndarray, transforms: np.ndarray, size: int) -> Tensor:
        """Return faces (N, 3, S, S) float 0..1; asked again for the same faces and size, nothing is computed."""
        known = self._aligned.get(size)
        if known is not None and np.array_equal(known[0], transforms, equal_nan=True):
            return known[1]
        faces = warp_faces(self.images, image_row, transforms, size=size)
        self._aligned[size] = (transforms, faces)
        return faces


def _on(device: torch.device, images: np.ndarray) -> Tensor:
    import torch

    tensor = torch.from_numpy(np.require(images, requirements="W"))  # PyTorch warns of read-only arrays
    if device.type == "cuda":  # a copy that the CPU need not wait for
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
