"""The landmark network that comes with the package; see ``assets/landmarks.md`` for what it was trained on."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from vidfer.device import bfloat16_is_fast
from vidfer.errors import WeightsError
from vidfer.faces.convolution_units import fuse_norms, pack
from vidfer.faces.landmarks import LANDMARKERS
from vidfer.faces.landmarks.crops import locate_in_crops
from vidfer.faces.landmarks.point_network import build_network, halve_body
from vidfer.packed import can_pack
from vidfer.weights import finite_number, load_tensors, locate

MAX_MARGIN = 4.0  # sides of the box


@LANDMARKERS.register("embedded")
class EmbeddedLandmarker:
    """68 landmarks by ``PointNetwork``; ``weights`` is a file of ``vidfer train landmarks`` to use instead of its own.

    Raises WeightsError if the weights are missing, damaged or of another model.
    """

    is_thread_safe = True

    def __init__(self, *, device: str = "cpu", weights: str = "") -> None:
        path = locate("landmarks", "embedded", weights)[0]
        tensors, metadata = load_tensors(path)
        self._device = torch.device(device)
        network = fuse_norms(build_network(tensors, metadata, source=path))
        network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Half precision moves the points by 0.05 % of the eye distance and halves the time where the CPU has it.
        network = halve_body(network) if bfloat16_is_fast(self._device) else network
        self._network = pack(network) if can_pack(self._device) else network
        self._margin = finite_number(metadata, "margin", default=math.nan, source=path)
        if not 0 <= self._margin <= MAX_MARGIN:
            raise WeightsError(f"{path}: expected a margin of 0 to {MAX_MARGIN}, got {self._margin}: it is damaged")

    def locate(self, images: Tensor, image_row: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return landmarks and scores; see ``FaceLandmarker``. Images may be gray.

        Boxes are a detector's or ``align.landmark_boxes``; one without an area, or not finite, gives NaN and score 0.
        """
        size = self._network.size
        return locate_in_crops(self._predict, images.to(self._device), image_row, xyxy, size=size, margin=self._margin)

    @torch.inference_mode()
    def _predict(self, crops: Tensor) -> tuple[np.ndarray, np.ndarray]:
        points, logits = self._network(crops)
        return points.cpu().numpy(), logits.sigmoid().cpu().numpy()
