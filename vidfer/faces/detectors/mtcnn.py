"""MTCNN (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks").

The files pnet.pt, rnet.pt and onet.pt lie in the wheel of facenet-pytorch (MIT), which need not be installed:
``pip download --no-deps facenet-pytorch``, unpack it, and set ``faces.detector_weights`` to ``data/pnet.pt`` in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidfer import weights as weight_files
from vidfer.errors import WeightsError
from vidfer.faces.boxes import pairwise_iou
from vidfer.faces.detectors import DETECTORS
from vidfer.faces.detectors.face_alignment_frames import BatchDetector, Candidates
from vidfer.faces.third_party import load_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from vidfer.faces.mtcnn_network import CascadeNetwork

PROPOSED, REFINED = 0.6, 0.7  # scores that the first two networks must give, as published
PYRAMID_STEP = 0.709  # from one size to the next, as published: half the area
LEAST_FACE_PX = 20  # of the picture that is searched, as published
_CELL, _STRIDE = 12, 2  # px that P-Net sees at a place, and between two places
_MAX_BOXES = 600  # boxes of one size, the best by score


class MtcnnDetector(BatchDetector):
    """Finds faces with three networks, each of which looks closer at what the one before let pass.

    Parameters
    ----------
    networks
        P-Net, R-Net and O-Net.
    device, min_score, long_side
        As for every detector.
    """

    max_iou = 0.5

    def __init__(
        self,
        networks: tuple[CascadeNetwork, CascadeNetwork, CascadeNetwork],
        *,
        device: str = "cpu",
        min_score: float = 0.5,
        long_side: int = 640,
    ) -> None:
        super().__init__(device=device, min_score=min_score, long_side=long_side)
        self._propose, self._refine, self._decide = (network.to(device).eval() for network in networks)

    def find(self, frames: Tensor) -> Candidates:
        import torch

        with torch.inference_mode():
            found = [self._of_frame((frame.nan_to_num(127.5) - 127.5) / 128) for frame in frames]
        rows = np.repeat(np.arange(len(found)), [len(score) for _, score in found])
        values, scores = (np.concatenate([one[k] for one in found]) for k in (0, 1))
        return Candidates(rows, values.reshape(-1, 14), scores)

    def _of_frame(self, frame: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes with points (N, 14) and scores (N,) of one frame (3, H, W), -1..1."""
        from vidfer.faces.mtcnn_network import moved, squares

        nobody = np.zeros((0, 14), np.float32), np.zeros(0, np.float32)
        boxes = self._proposals(frame)
        if not len(boxes):
            return nobody
        score, offsets = self._refine(_cut(frame, boxes, 24))
        boxes, offsets, score = (one[score > REFINED] for one in (boxes, offsets, score))
        kept = _separate(boxes, score, 0.7)
        boxes = squares(moved(boxes[kept], offsets[kept]))
        if not len(boxes):
            return nobody
        score, offsets, points = self._decide(_cut(frame, boxes, 48))
        sure = score >= self._min_score
        boxes, offsets, points, score = (one[sure] for one in (boxes, offsets, points, score))
        side = (boxes[:, 2:] - boxes[:, :2])[:, None]  # (N, 1, 2)
        five = boxes[:, None, :2] + points.view(-1, 2, 5).transpose(1, 2) * side  # five x, then five y
        boxes = moved(boxes, offsets)
        kept = _separate(boxes, score, 0.7, of_smaller=True)
        values = np.concatenate([boxes[kept].cpu().numpy(), five[kept].flatten(1).cpu().numpy()], 1)
        return values.astype(np.float32), score[kept].cpu().numpy()

    def _proposals(self, frame: Tensor) -> Tensor:
        """Return squares (N, 4) px of the frame in which P-Net sees a face."""
        import torch
        from torch.nn import functional

        from vidfer.faces.mtcnn_network import moved, squares

        height, width = frame.shape[1:]
        scale, found, scores = _CELL / LEAST_FACE_PX, [frame.new_zeros((0, 4))], [frame.new_zeros(0)]
        while min(height, width) * scale >= _CELL:
            size = int(height * scale + 1), int(width * scale + 1)
            score, offsets = self._propose(functional.interpolate(frame[None], size=size, mode="area"))
            y, x = (score[0] > PROPOSED).nonzero(as_tuple=True)
            corner = torch.stack([x, y], 1) * _STRIDE / scale
            boxes, of_box = torch.cat([corner, corner + _CELL / scale], 1), score[0, y, x]
            kept = _separate(boxes, of_box, 0.5)
            found.append(moved(boxes[kept], offsets[0, :, y, x].T[kept]))
            scores.append(of_box[kept])
            scale *= PYRAMID_STEP
        boxes = torch.cat(found)
        return squares(boxes[_separate(boxes, torch.cat(scores), 0.7)])


def _cut(frame: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Return the pictures (N, 3, side, side) in squares of a frame; gray beyond it."""
    import torch
    from torch.nn import functional

    height, width = frame.shape[1:]
    cut = []
    for left, top, right, bottom in boxes.round().long().tolist():
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        x, y = slice(max(left, 0), min(right, width)), slice(max(top, 0), min(bottom, height))
        whole = frame.new_zeros((3, bottom - top, right - left))
        if x.start < x.stop and y.start < y.stop:
            whole[:, y.start - top : y.stop - top, x.start - left : x.stop - left] = frame[:, y, x]
        cut.append(functional.interpolate(whole[None], size=(side, side), mode="area"))
    return torch.cat(cut)


def _separate(boxes: Tensor, score: Tensor, most: float, *, of_smaller: bool = False) -> Tensor:
    """Return which boxes (N, 4) stay, best first: none shares more than ``most`` with a better one.

    What they share is the intersection over union, or over the smaller box.
    """
    import torch

    order = score.argsort(descending=True, stable=True)[:_MAX_BOXES]
    corners = boxes[order].cpu().numpy()
    shared = pairwise_iou(corners, corners)
    if of_smaller:
        area = (corners[:, 2:] - corners[:, :2]).clip(0).prod(1)
        both = shared / (1 + shared) * (area[:, None] + area)
        shared = both / np.maximum(np.minimum(area[:, None], area), 1e-9)
    free, kept = np.ones(len(corners), bool), []
    for place in range(len(corners)):
        if free[place]:
            kept.append(place)
            free &= shared[place] <= most
    return order[torch.tensor(kept, dtype=torch.long, device=order.device)]


@DETECTORS.register("mtcnn")
def build_mtcnn(
    *, device: str = "cpu", min_score: float = 0.5, long_side: int = 640, weights: str = ""
) -> MtcnnDetector:
    """Build MTCNN with facenet-pytorch's weights, or with the user's own.

    The user's own ``weights`` are P-Net's file; those of the others, rnet.pt and onet.pt, are read from beside it.

    Raises
    ------
    WeightsError
        If a file is missing or of another network.
    """
    from vidfer.faces.mtcnn_network import mtcnn_networks

    paths = weight_files.locate("detector", "mtcnn", weights)
    if len(paths) == 1:
        paths = [Path(paths[0]), *(Path(paths[0]).with_name(name) for name in ("rnet.pt", "onet.pt"))]
    networks = mtcnn_networks()
    for path, network in zip(paths, networks, strict=True):
        if not path.is_file():
            raise WeightsError(f"weights for the detector 'mtcnn': {path} does not exist: it belongs beside pnet.pt")
        load_checkpoint(path, network)
    return MtcnnDetector(networks, device=device, min_score=min_score, long_side=long_side)
