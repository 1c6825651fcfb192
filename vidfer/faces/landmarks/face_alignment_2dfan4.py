"""2DFAN-4 (Bulat and Tzimiropoulos 2017, "How far are we from solving the 2D & 3D Face Alignment problem?").

The network and its weights are face-alignment's. Cropping is done here, for all faces at once and with antialiasing;
points keep their fraction of a pixel, which face-alignment 1.5.0 cuts off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from vidfer import weights as weight_files
from vidfer.faces.align import MIRRORED_LANDMARKS, apply_transforms, invert_transforms, warp_faces
from vidfer.faces.landmarks import LANDMARKERS
from vidfer.faces.third_party import import_module, load_checkpoint
from vidfer.types import NUM_LANDMARKS

if TYPE_CHECKING:
    from torch import Tensor, nn

CROP_SIDE = 256
# The crop's side per sum of the box's width and height, and how far its centre lies above the box's, in box heights:
# what face-alignment uses with SFD's boxes (200 / reference_scale, CENTER_Y_OFFSET).
CROP_PER_BOX = 200 / 195
CENTRE_ABOVE = 0.12
MAX_BATCH_SIZE = 8  # faces at a time; about 400 MB of activations


class Fan4Landmarker:
    """68 landmarks by 2DFAN-4.

    Parameters
    ----------
    network
        ``FAN(4)`` with its weights.
    device
        ``cpu``, ``cuda`` or ``cuda:i``.
    flip
        Also look at each face mirrored and add the heatmaps: twice the time, a little more accurate.
    max_batch_size
        Faces per pass.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        device: str = "cpu",
        flip: bool = True,
        max_batch_size: int = MAX_BATCH_SIZE,
    ) -> None:
        self._network = network.to(device).eval()
        self._device, self._flip, self._max_batch_size = device, flip, max_batch_size

    def locate(self, images: Tensor, image_row: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return landmarks and scores; see ``FaceLandmarker``. Images may be gray.

        The score is the mean height of the heatmaps' peaks; about 0.5 and more on clear faces. For a box that is not
        finite the landmarks are NaN and the score is 0.
        """
        landmarks, scores = self._in_batches(lambda crops, points: None, images, image_row, xyxy)
        return np.ascontiguousarray(landmarks[..., :2]), scores

    def _in_batches(
        self, depth: Callable[[Tensor, Tensor], Tensor | None], images: Tensor, image_row: np.ndarray, xyxy: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what ``locate`` does, and as a third coordinate what ``depth`` says, if it says something.

        ``depth`` gets crops (M, 3, 256, 256) and points (M, 68, 2) in their unit squares, and gives (M, 68) px of the
        crops.
        """
        import torch

        xyxy = np.asarray(xyxy, np.float32).reshape(-1, 4)
        image_row = np.asarray(image_row)
        if len(image_row) != len(xyxy):
            raise ValueError(f"expected one image_row per box, got {len(image_row)} for {len(xyxy)} boxes")
        landmarks = np.full((len(xyxy), NUM_LANDMARKS, 3), np.nan, np.float32)
        scores = np.zeros(len(xyxy), np.float32)
        rows = np.flatnonzero(np.isfinite(xyxy).all(1))
        for start in range(0, len(rows), self._max_batch_size):
            part = rows[start : start + self._max_batch_size]
            transforms = crop_transforms(xyxy[part])
            back = invert_transforms(transforms)
            with torch.inference_mode():
                crops = warp_faces(images.to(self._device), image_row[part], transforms, size=CROP_SIDE)
                crops = crops.expand(-1, 3, -1, -1)  # (M, 3, 256, 256) RGB, 0..1
                points, score = self._predict(crops)
                found = depth(crops, points)
            landmarks[part, :, :2] = apply_transforms(back, points.cpu().numpy())
            if found is not None:
                landmarks[part, :, 2] = found.float().cpu().numpy() * back[:, :1, 0] / CROP_SIDE
            scores[part] = score.cpu().numpy()
        return landmarks, scores

    def _predict(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (N, 68, 2) in the unit square of each crop, and scores (N,)."""
        heatmaps = self._network(crops)[-1]  # (N, 68, 64, 64), of the last of the four hourglasses
        if self._flip:
            mirrored = self._network(crops.flip(3))[-1]
            heatmaps = (heatmaps + mirrored.flip(3)[:, MIRRORED_LANDMARKS]) / 2
        points, heights = peaks(heatmaps.float())
        return points, heights.mean(1).clamp(0, 1)


def crop_transforms(xyxy: np.ndarray) -> np.ndarray:
    """Return the transforms (N, 2, 3) from px to the unit square of each box's crop."""
    boxes = np.asarray(xyxy, np.float64)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    scale = 1 / np.maximum((width + height) * CROP_PER_BOX, 1e-6)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.stack([np.zeros_like(height), CENTRE_ABOVE * height], 1)
    transforms = np.zeros((len(boxes), 2, 3))
    transforms[:, 0, 0] = transforms[:, 1, 1] = scale
    transforms[:, :, 2] = 0.5 - centre * scale[:, None]
    return transforms.astype(np.float32)


def peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the peaks (N, P, 2) of heatmaps (N, P, S, S), in the unit square, and their heights (N, P).

    A peak is the highest cell's centre, moved by a quarter of a cell towards the higher neighbour on each axis
    (Newell et al. 2016, "Stacked Hourglass Networks").
    """
    import torch

    side = heatmaps.shape[-1]
    heights, cell = heatmaps.flatten(2).max(2)  # (N, P)
    y, x = cell // side, cell % side

    def value(row: Tensor, column: Tensor) -> Tensor:
        return heatmaps.flatten(2).gather(2, (row * side + column)[..., None])[..., 0]

    inside = (x > 0) & (x < side - 1) & (y > 0) & (y < side - 1)
    low_x, high_x = (x - 1).clamp_min(0), (x + 1).clamp_max(side - 1)
    low_y, high_y = (y - 1).clamp_min(0), (y + 1).clamp_max(side - 1)
    move_x = (value(y, high_x) - value(y, low_x)).sign() * inside
    move_y = (value(high_y, x) - value(low_y, x)).sign() * inside
    points = torch.stack([x + 0.5 + 0.25 * move_x, y + 0.5 + 0.25 * move_y], -1) / side
    return points, heights


def fan4(name: str, weights: str) -> nn.Module:
    """Return face-alignment's network of four hourglasses with the weights of the landmark network ``name``."""
    (path,) = weight_files.locate("landmarks", name, weights)
    network: nn.Module = import_module("face_alignment.models.fan", needed_for=f"the landmark network {name!r}").FAN(4)
    load_checkpoint(path, network)
    return network


@LANDMARKERS.register("2dfan4")
def build_2dfan4(*, device: str = "cpu", weights: str = "", flip: bool = True) -> Fan4Landmarker:
    """Build 2DFAN-4 with face-alignment's weights, or with the user's own file.

    Raises
    ------
    MissingDependency
        If face-alignment, or OpenCV that it imports, is not usable.
    WeightsError
        If the weights are missing or of another network.
    """
    return Fan4Landmarker(fan4("2dfan4", weights), device=device, flip=flip)
