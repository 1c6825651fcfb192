"""SCRFD (Guo et al. 2021, "Sample and Computation Redistribution for Efficient Face Detection") by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer import weights as weight_files
from vidfer.errors import WeightsError
from vidfer.faces.detectors import DETECTORS
from vidfer.faces.detectors.face_alignment_frames import BatchDetector, Candidates
from vidfer.faces.third_party import import_module

if TYPE_CHECKING:
    from torch import Tensor

STRIDES = (8, 16, 32)
ANCHORS_PER_CELL = 2
SIDE = 640  # the exported network takes squares of this size


class ScrfdDetector(BatchDetector):
    """Finds faces with SCRFD, one frame at a time.

    The network takes RGB pictures (insightface swaps the channels of OpenCV's BGR); face-alignment 1.5.0 hands it
    BGR ones. Here it gets RGB.

    Parameters
    ----------
    session
        ``onnxruntime.InferenceSession`` of the model.
    min_score, long_side
        As for every detector; frames are shrunk to 640 px at most.
    """

    max_iou = 0.4  # as in face-alignment

    def __init__(self, session: Any, *, min_score: float = 0.5, long_side: int = SIDE) -> None:
        super().__init__(min_score=min_score, long_side=min(long_side or SIDE, SIDE))
        self._session = session
        self._input = session.get_inputs()[0].name

    def find(self, frames: Tensor) -> Candidates:
        count, _, height, width = frames.shape
        squares = np.zeros((count, 3, SIDE, SIDE), np.float32)  # gray beyond the picture
        squares[:, :, :height, :width] = (frames.numpy() - 127.5) / 128
        found = [decode(self._session.run(None, {self._input: square[None]}), self._min_score) for square in squares]
        rows = np.repeat(np.arange(count), [len(score) for _, score in found])
        values = np.concatenate([np.zeros((0, 14), np.float32), *(values for values, _ in found)])
        return Candidates(rows, values, np.concatenate([np.zeros(0, np.float32), *(score for _, score in found)]))


def decode(outputs: list[np.ndarray], min_score: float) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes with points (N, 14) in px of the square and scores (N,) from the network's outputs.

    ``outputs`` are the scores at each stride, then the distances to the four sides in strides, then, if the model has
    them, the offsets of the five points.
    """
    values, scores = [np.zeros((0, 14), np.float32)], [np.zeros(0, np.float32)]
    levels = len(STRIDES)
    for level, stride in enumerate(STRIDES):
        score = outputs[level].reshape(-1)
        keep = np.flatnonzero(score >= min_score)
        y, x = np.divmod(keep // ANCHORS_PER_CELL, SIDE // stride)
        anchor = np.stack([x, y], 1) * np.float32(stride)  # (N, 2): anchors lie at the cells' corners
        sides = outputs[levels + level].reshape(-1, 4)[keep] * stride
        points = np.full((len(keep), 10), np.nan, np.float32)
        if len(outputs) == 3 * levels:
            offsets = outputs[2 * levels + level].reshape(-1, 5, 2)[keep] * stride
            points = (anchor[:, None] + offsets).reshape(-1, 10)
        values.append(np.concatenate([anchor - sides[:, :2], anchor + sides[:, 2:], points], 1).astype(np.float32))
        scores.append(score[keep].astype(np.float32))
    return np.concatenate(values), np.concatenate(scores)


@DETECTORS.register("scrfd")
def build_scrfd(
    *, device: str = "cpu", min_score: float = 0.5, long_side: int = SIDE, weights: str = ""
) -> ScrfdDetector:
    """Build SCRFD (2.5 GFlops, with points) with the published weights, or with the user's own ONNX file.

    Raises
    ------
    MissingDependency
        If ONNX Runtime is not installed; vidfer does not bring it.
    WeightsError
        If the weights are missing or no SCRFD.
    """
    (path,) = weight_files.locate("detector", "scrfd", weights)
    runtime = import_module("onnxruntime", needed_for="the detector 'scrfd'")
    providers = ["CPUExecutionProvider"]
    if device.startswith("cuda") and "CUDAExecutionProvider" in runtime.get_available_providers():
        providers.insert(0, "CUDAExecutionProvider")
    return ScrfdDetector(_open(runtime, path, providers), min_score=min_score, long_side=long_side)


def _open(runtime: Any, path: Path, providers: list[str]) -> Any:
    try:
        session = runtime.InferenceSession(str(path), providers=providers)
    except Exception as error:  # onnxruntime's errors share no base class
        raise WeightsError(
            f"{path}: expected SCRFD as ONNX, ONNX Runtime says: {weight_files.in_brief(error)}"
        ) from error
    if len(session.get_outputs()) not in (2 * len(STRIDES), 3 * len(STRIDES)):
        raise WeightsError(f"{path}: expected SCRFD with 6 or 9 outputs, got {len(session.get_outputs())}")
    return session
