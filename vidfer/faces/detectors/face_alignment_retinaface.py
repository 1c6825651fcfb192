"""RetinaFace with a MobileNet 0.25 (Deng et al. 2020), with face-alignment's weights: small, five points."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from vidfer import weights as weight_files
from vidfer.faces.detectors import DETECTORS
from vidfer.faces.detectors.face_alignment_frames import CENTRE_VARIANCE, SIZE_VARIANCE, AnchorDetector, Candidates
from vidfer.faces.third_party import load_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))  # stride and anchor sides of each level, px


class RetinaFaceDetector(AnchorDetector):
    """Finds faces with RetinaFace.

    The network was trained on BGR pictures (biubug6/Pytorch_Retinaface reads them with OpenCV); face-alignment 1.5.0
    hands it RGB ones. Here it gets BGR: of 107 faces in 150 pictures of Flickr8k it finds 80 so, and 37 the other way.

    Parameters
    ----------
    network
        ``RetinaFaceNetwork`` with its weights.
    device, min_score, long_side
        As for every detector.
    """

    max_iou = 0.4  # as in face-alignment

    def find(self, frames: Tensor) -> Candidates:
        import torch

        with torch.inference_mode():
            offset, score, point = self._network(self.as_trained(frames))
            row, cell = torch.nonzero(score >= self._min_score, as_tuple=True)
            anchor = torch.from_numpy(_anchors(*frames.shape[2:])).to(frames.device)[cell]  # (N, 3)
            middle, side = anchor[:, :2], anchor[:, 2:]
            centre = middle + offset[row, cell, :2] * CENTRE_VARIANCE * side
            size = side * (offset[row, cell, 2:] * SIZE_VARIANCE).exp()
            points = middle[:, None] + point[row, cell].unflatten(1, (5, 2)) * CENTRE_VARIANCE * side[:, None]
            values = torch.cat([centre - size / 2, centre + size / 2, points.flatten(1)], 1)  # (N, 14)
        return Candidates(row.cpu().numpy(), values.cpu().numpy(), score[row, cell].cpu().numpy())


@lru_cache(maxsize=4)
def _anchors(height: int, width: int) -> np.ndarray:
    """Return centre x, centre y and side (anchors, 3) float32 px of the network's anchors, in its order."""
    levels = []
    for stride, sides in ANCHORS:
        y, x, side = np.meshgrid(
            (np.arange(height // stride) + 0.5) * stride,
            (np.arange(width // stride) + 0.5) * stride,
            sides,
            indexing="ij",
        )  # (h, w, 2)
        levels.append(np.stack([x, y, side], -1).reshape(-1, 3))
    return np.concatenate(levels).astype(np.float32)


@DETECTORS.register("retinaface")
def build_retinaface(
    *, device: str = "cpu", min_score: float = 0.5, long_side: int = 640, weights: str = ""
) -> RetinaFaceDetector:
    """Build RetinaFace with face-alignment's weights, or with the user's own file.

    Raises
    ------
    WeightsError
        If the weights are missing or of another network.
    """
    from vidfer.faces.retinaface_network import RetinaFaceNetwork

    (path,) = weight_files.locate("detector", "retinaface", weights)
    network = RetinaFaceNetwork()
    load_checkpoint(path, network)
    return RetinaFaceDetector(network, device=device, min_score=min_score, long_side=long_side)
