"""What the detectors of face-alignment share: frames shrunk and padded, in bounded batches, and boxes brought back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidfer.faces.boxes import NUM_VALUES, face_boxes
from vidfer.faces.detectors import search_side
from vidfer.faces.nms import suppress
from vidfer.types import FaceBoxes

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_BATCH_SIZE = 8  # frames at a time; SFD holds about 300 MB of activations per 640x360 frame
MAX_CANDIDATES = 400  # per frame, before suppression
BGR_MEAN = (104.0, 117.0, 123.0)  # of SFD's and RetinaFace's training pictures
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2  # how both scale their offsets


@dataclass(frozen=True)
class Candidates:
    """Boxes before suppression: image_row (N,), values (N, 14) in px of the network's input, score (N,)."""

    image_row: np.ndarray
    values: np.ndarray
    score: np.ndarray


class BatchDetector(ABC):
    """A detector whose network sees frames shrunk and padded, a few at a time.

    Parameters
    ----------
    device, min_score, long_side
        As for every detector.

    Attributes
    ----------
    max_iou
        Overlap above which two boxes are one face.
    multiple
        Height and width of what the network sees are padded to multiples of this.
    max_batch_size
        Frames per call of ``find``.
    """

    max_iou: float
    multiple = 1
    max_batch_size = MAX_BATCH_SIZE

    def __init__(self, *, device: str = "cpu", min_score: float = 0.5, long_side: int = 640) -> None:
        self._device, self._min_score, self._long_side = device, min_score, long_side

    @abstractmethod
    def find(self, frames: Tensor) -> Candidates:
        """Return the candidates of frames (b, 3, H', W') float32 RGB, 0..255, on the device.

        Beyond the picture, at the right and the bottom, they are NaN: the network's padding colour is its own affair.
        """

    def detect(self, images: Tensor) -> FaceBoxes:
        """Return the faces of images (B, H, W, 3) uint8 RGB, ordered by image, then by descending score.

        One channel is taken for gray.
        """
        boxes: list[tuple[np.ndarray, np.ndarray]] = []
        if 0 not in images.shape[:3]:
            for part in images.split(self.max_batch_size):
                inputs, scale = _prepare(part.to(self._device), self._long_side, self.multiple)
                found = self.find(inputs)
                for row in range(len(inputs)):
                    here = found.image_row == row
                    values, score = found.values[here], found.score[here]
                    kept, score = suppress(values, score, max_iou=self.max_iou, most=MAX_CANDIDATES)
                    boxes.append((kept * np.tile(np.array(scale, np.float32), NUM_VALUES // 2), score))
        return face_boxes(boxes)


class AnchorDetector(BatchDetector):
    """SFD or RetinaFace: a network with its weights that sees BGR less the mean of what it was trained on."""

    multiple = 32

    def __init__(
        self, network: nn.Module, *, device: str = "cpu", min_score: float = 0.5, long_side: int = 640
    ) -> None:
        super().__init__(device=device, min_score=min_score, long_side=long_side)
        self._network = network.to(device).eval()

    def as_trained(self, frames: Tensor) -> Tensor:
        """Return frames (b, 3, H, W), as ``find`` gets them, as the network was trained; beyond the picture 0."""
        return (frames.flip(1) - frames.new_tensor(BGR_MEAN)[:, None, None]).nan_to_num(0.0)


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
