"""BlazeFace (Bazarevsky et al. 2019) by face-alignment: very fast, for large faces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer import weights as weight_files
from vidfer.errors import WeightsError
from vidfer.faces.detectors import DETECTORS
from vidfer.faces.detectors.face_alignment_frames import MAX_BATCH_SIZE, BatchDetector, Candidates
from vidfer.faces.third_party import import_module, load_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

INPUT_SIDE = 128
NUM_ANCHORS = 896


class BlazeFaceDetector(BatchDetector):
    """Finds faces with BlazeFace.

    The network sees 128 px squares: frames are shrunk to that, so faces below about a tenth of the longer side are
    missed. face-alignment cuts off what lies outside the middle square; here the whole frame is looked at. Of the five
    points it gives eyes and nose; mouth corners are NaN.

    Parameters
    ----------
    network
        ``BlazeFace`` with its weights and anchors.
    device, min_score
        As for every detector.
    """

    max_iou = 0.3  # as in face-alignment
    max_batch_size = 4 * MAX_BATCH_SIZE

    def __init__(self, network: Any, *, device: str = "cpu", min_score: float = 0.5) -> None:
        super().__init__(device=device, min_score=min_score, long_side=INPUT_SIDE)
        self._network = network.to(device).eval()

    def find(self, frames: Tensor) -> Candidates:
        import torch
        from torch.nn import functional

        height, width = frames.shape[2:]
        with torch.inference_mode():
            left, top = (INPUT_SIDE - width) // 2, (INPUT_SIDE - height) // 2
            margins = (left, INPUT_SIDE - width - left, top, INPUT_SIDE - height - top)
            squares = functional.pad(
                frames / 127.5 - 1, margins, value=-1.0
            )  # (b, 3, 128, 128) RGB, -1..1; black beyond
            offset, logit = self._network(squares)  # (b, 896, 16), (b, 896, 1)
            score = logit[..., 0].sigmoid()
            row, cell = torch.nonzero(score >= self._min_score, as_tuple=True)
            # ymin, xmin, ymax, xmax, then x and y of right eye, left eye, nose, mouth, right ear, left ear, in 0..1
            found = self._network._decode_boxes(offset, self._network.anchors)[row, cell] * INPUT_SIDE
            values = found[:, [1, 0, 3, 2, *range(4, 10)]].cpu().numpy()  # (N, 10)
        values -= np.tile(np.array([left, top], np.float32), 5)
        no_mouth = np.full((len(values), 4), np.nan, np.float32)
        return Candidates(row.cpu().numpy(), np.concatenate([values, no_mouth], 1), score[row, cell].cpu().numpy())


@DETECTORS.register("blazeface")
def build_blazeface(
    *, device: str = "cpu", min_score: float = 0.5, long_side: int = INPUT_SIDE, weights: str = ""
) -> BlazeFaceDetector:
    """Build BlazeFace's front-camera model; ``long_side`` does not matter to it.

    The user's own ``weights`` file is read with an ``anchors.npy`` beside it.

    Raises
    ------
    MissingDependency
        If face-alignment, or OpenCV that it imports, is not usable.
    WeightsError
        If weights or anchors are missing or of another network.
    """
    paths = weight_files.locate("detector", "blazeface", weights)
    path, anchors = paths if len(paths) == 2 else (paths[0], paths[0].with_name("anchors.npy"))
    module = import_module("face_alignment.detection.blazeface.net_blazeface", needed_for="the detector 'blazeface'")
    network = module.BlazeFace()
    load_checkpoint(path, network)
    network.load_anchors_from_npy(_read_anchors(anchors), device)
    return BlazeFaceDetector(network, device=device, min_score=min_score)


def _read_anchors(path: Path) -> np.ndarray:
    try:
        anchors: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: expected BlazeFace's anchors, got: {error}") from error
    if anchors.shape != (NUM_ANCHORS, 4):
        raise WeightsError(f"{path}: expected BlazeFace's anchors ({NUM_ANCHORS}, 4), got {anchors.shape}")
    return anchors
