"""The detector that the package carries: small, ours, no download.

``torch`` is imported when a detector is built, not with this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer import weights as weight_files
from vidfer.errors import WeightsError
from vidfer.faces.boxes import face_boxes
from vidfer.faces.detectors import DETECTORS, search_side
from vidfer.faces.nms import suppress
from vidfer.types import FaceBoxes

if TYPE_CHECKING:
    from torch import Tensor

    from vidfer.faces.detector_network import DetectorNetwork

_PADDING = 32  # the largest stride
_MAX_ENLARGEMENT = 1.5
_MAX_IOU = 0.4
_MAX_CANDIDATES = 1600  # per image, before suppression
# A lamp of one colour, as on stages, leaves next to nothing of another; blue or green light, little of the red that
# skin sends back. Such pictures are searched in gray: of faces in blue light 84 % are found so, 22 % in colour
# (benchmarks/stage_light.py). One in two hundred photographs is taken for such a picture.
_LEAST_LIGHT = 0.2  # of the weakest colour, as part of the strongest
_LEAST_RED = 0.6  # as part of the strongest
EVERY_PX = 8  # looked at to know


class EmbeddedDetector:
    """Finds faces with a ``DetectorNetwork``.

    Parameters
    ----------
    network
        Trained; its batch norms may still be there.
    device
        Where it runs.
    min_score
        0..1; 0.5 is the working point that the weights were calibrated for.
    long_side
        Frames are shrunk so that their longer side is this many px; smaller ones are enlarged, at most by half. 0: see
        ``search_side``.
    """

    is_thread_safe = True

    def __init__(self, network: DetectorNetwork, *, device: str, min_score: float, long_side: int) -> None:
        import torch

        from vidfer.device import bfloat16_is_fast
        from vidfer.faces.detector_network import fused

        self._device = torch.device(device)
        self._dtype = torch.bfloat16 if bfloat16_is_fast(self._device) else torch.float32
        self._network = fused(network.to(self._device), self._dtype)
        self._min_score, self._long_side = min_score, long_side

    def detect(self, images: Tensor) -> FaceBoxes:
        """Return the faces of images (B, H, W, 3) uint8 RGB, ordered by image, then by descending score."""
        if 0 in images.shape[:3]:
            return face_boxes([])
        return kept_boxes(len(images), *self._candidates(images))

    def _candidates(self, images: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what ``kept_boxes`` takes."""
        import torch

        from vidfer.faces.detector_network import cells, decode

        with torch.inference_mode(), torch.autocast(self._device.type, enabled=False):
            inputs, scale = self._prepare(_without_coloured_light(images.to(self._device)))
            outputs = self._network(inputs)  # (B, cells, 15)
            score = outputs[..., 0].sigmoid()
            found = score >= self._min_score
            row, cell = torch.nonzero(found, as_tuple=True)
            centres, strides = cells(inputs.shape[2], inputs.shape[3], self._device)
            xyxy, points = decode(outputs[row, cell], centres[cell], strides[cell])
            values = torch.cat([xyxy, points.flatten(1)], dim=1)  # (N, 14)
            scale_all = torch.tensor(scale, device=self._device).repeat(values.shape[1] // 2)
            return (values * scale_all).cpu().numpy(), score[found].cpu().numpy(), row.cpu().numpy()

    def _prepare(self, images: Tensor) -> tuple[Tensor, tuple[float, float]]:
        """Return the network's input (B, 3, H', W') and how many image px one of its px is, across and down."""
        import torch
        from torch.nn import functional

        count, height, width = images.shape[:3]
        size, padded = searched_size(self._long_side, height=height, width=width)
        planes = images.permute(0, 3, 1, 2)  # (B, 3, H, W), channels last in memory
        if size != (height, width):
            if self._device.type != "cpu":
                planes = planes.float()
            planes = functional.interpolate(planes, size=size, mode="bilinear", antialias=True)
        inputs = torch.empty((count, *padded, 3), dtype=self._dtype, device=self._device).permute(0, 3, 1, 2)
        inputs[:, :, size[0] :] = 0
        inputs[:, :, :, size[1] :] = 0
        inputs[:, :, : size[0], : size[1]] = planes  # (B, 3, H', W'), channels last in memory
        return inputs, (width / size[1], height / size[0])


def searched_size(long_side: int, *, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return height and width of a picture as it is searched, px, and these filled up to what the network reads."""
    factor = min(_MAX_ENLARGEMENT, search_side(long_side, height=height, width=width) / max(height, width))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    return size, (-(-size[0] // _PADDING) * _PADDING, -(-size[1] // _PADDING) * _PADDING)


def kept_boxes(num_images: int, values: np.ndarray, score: np.ndarray, row: np.ndarray) -> FaceBoxes:
    """Return the faces of a batch, given its candidates' boxes and points (N, 14) px, scores (N,) and images (N,)."""
    per_image = [row == i for i in range(num_images)]
    return face_boxes([suppress(values[m], score[m], max_iou=_MAX_IOU, most=_MAX_CANDIDATES) for m in per_image])


def is_coloured_light(light: Any, least: Any, most: Any) -> Any:
    """Return which pictures are lit by a lamp of one colour (B,), given the mean, least and most of R, G, B."""
    return (least < _LEAST_LIGHT * most) | (light[:, 0] < _LEAST_RED * most)


def _without_coloured_light(images: Tensor) -> Tensor:
    """Return images (B, H, W, 3) uint8 with those gray that are lit by a lamp of one colour, as on stages."""
    light = images[:, ::EVERY_PX, ::EVERY_PX].float().mean((1, 2))  # (B, 3)
    coloured = is_coloured_light(light, light.amin(1), light.amax(1))
    if not coloured.any():
        return images
    gray = images.float().mean(3, keepdim=True).round().byte()  # (B, H, W, 1)
    return gray.where(coloured[:, None, None, None], images)


@DETECTORS.register("embedded")
def build_embedded(
    *, device: str = "cpu", min_score: float = 0.5, long_side: int = 0, weights: str = ""
) -> EmbeddedDetector:
    """Build the embedded detector, or one with the user's own ``weights`` of ``vidfer train detector``."""
    (path,) = weight_files.locate("detector", "embedded", weights)
    tensors, metadata = weight_files.load_tensors(path)
    return EmbeddedDetector(
        network_from(tensors, metadata, source=str(path)), device=device, min_score=min_score, long_side=long_side
    )


def network_from(tensors: dict[str, Tensor], metadata: dict[str, Any], *, source: str) -> DetectorNetwork:
    """Return the network that a weight file holds.

    Raises
    ------
    WeightsError
        If the file is of another network.
    """
    import torch

    from vidfer.faces.detector_network import DetectorNetwork, DetectorShape

    bias = weight_files.finite_number(metadata, "score_bias", default=0.0, source=source)
    try:
        weight_files.check_description(metadata["network"], source=source)
        shape = DetectorShape.model_validate(metadata["network"])
        network = weight_files.fill(lambda: DetectorNetwork(shape), tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = weight_files.in_brief(error)
        raise WeightsError(f"{source}: expected weights of vidfer's detector, got: {reason}") from error
    with torch.no_grad():
        for head in network.heads:
            head.predict.bias[0] += bias  # type: ignore[union-attr, index, operator]
    return network.eval()
