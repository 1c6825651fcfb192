"""SFD (Zhang et al. 2017, "S3FD: Single Shot Scale-invariant Face Detector") by face-alignment: accurate, slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vidfer import weights as weight_files
from vidfer.faces.detectors import DETECTORS
from vidfer.faces.detectors.face_alignment_frames import CENTRE_VARIANCE, SIZE_VARIANCE, AnchorDetector, Candidates
from vidfer.faces.third_party import import_module, load_checkpoint

if TYPE_CHECKING:
    from torch import Tensor


class SfdDetector(AnchorDetector):
    """Finds faces with SFD; gives boxes without points.

    Parameters
    ----------
    network
        ``s3fd`` with its weights.
    device, min_score, long_side
        As for every detector.
    """

    max_iou = 0.3  # as in face-alignment

    def find(self, frames: Tensor) -> Candidates:
        import torch

        with torch.inference_mode():
            outputs = self._network(self.as_trained(frames))
        rows, values, scores = [], [], []
        for level in range(len(outputs) // 2):
            stride = 2 ** (level + 2)
            score = outputs[2 * level].softmax(1)[:, 1]  # (b, h, w)
            row, y, x = torch.nonzero(score >= self._min_score, as_tuple=True)
            offset = outputs[2 * level + 1][row, :, y, x]  # (N, 4)
            anchor = torch.stack([x, y], 1) * stride + stride / 2
            centre = anchor + offset[:, :2] * CENTRE_VARIANCE * (4 * stride)
            size = 4 * stride * (offset[:, 2:] * SIZE_VARIANCE).exp()
            rows.append(row)
            values.append(torch.cat([centre - size / 2, centre + size / 2], 1))
            scores.append(score[row, y, x])
        boxes = torch.cat(values).cpu().numpy()  # (N, 4)
        points = np.full((len(boxes), 10), np.nan, np.float32)
        return Candidates(
            torch.cat(rows).cpu().numpy(), np.concatenate([boxes, points], 1), torch.cat(scores).cpu().numpy()
        )


@DETECTORS.register("sfd")
def build_sfd(*, device: str = "cpu", min_score: float = 0.5, long_side: int = 640, weights: str = "") -> SfdDetector:
    """Build SFD with face-alignment's weights, or with the user's own file.

    Raises
    ------
    MissingDependency
        If face-alignment, or OpenCV that it imports, is not usable.
    WeightsError
        If the weights are missing or of another network.
    """
    (path,) = weight_files.locate("detector", "sfd", weights)
    module = import_module("face_alignment.detection.sfd.net_s3fd", needed_for="the detector 'sfd'")
    network = module.s3fd()
    load_checkpoint(path, network)
    return SfdDetector(network, device=device, min_score=min_score, long_side=long_side)
