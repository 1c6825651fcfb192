"""YuNet (Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector") through OpenCV, five points.

face-alignment offers it too, but throws its points away and limits it to a score of 0.5, so OpenCV is asked directly.
"""

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


class YuNetDetector(BatchDetector):
    """Finds faces with ``cv2.FaceDetectorYN``, which takes one BGR frame at a time and runs on the CPU only.

    Parameters
    ----------
    cv2
        The module.
    path
        The ONNX file.
    min_score, long_side
        As for every detector.
    """

    max_iou = 0.3  # as in OpenCV
    multiple = 32

    def __init__(self, cv2: Any, path: Path, *, min_score: float = 0.5, long_side: int = 640) -> None:
        super().__init__(min_score=min_score, long_side=long_side)
        try:
            # Suppression is left to BatchDetector: OpenCV's keeps boxes that overlap less than 1.
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), min_score, 1.0, 400)
        except cv2.error as error:
            raise _not_yunet(path, error) from error
        self._path, self._error = path, cv2.error

    def find(self, frames: Tensor) -> Candidates:
        # OpenCV pads with black to a multiple of 32 itself; done here, so that every size takes the same path.
        pictures = frames.nan_to_num(0.0).round().byte().flip(1).permute(0, 2, 3, 1).contiguous().numpy()  # BGR
        self._network.setInputSize((pictures.shape[2], pictures.shape[1]))
        try:
            found = [self._network.detect(picture)[1] for picture in pictures]
        except self._error as error:  # OpenCV looks at some parts of a file only when they are used
            raise _not_yunet(self._path, error) from error
        faces = [np.zeros((0, 15), np.float32) if face is None else face for face in found]
        # x, y, width, height, then right eye, left eye, nose, right and left mouth corner, then the score
        table = np.concatenate([np.zeros((0, 15), np.float32), *faces])
        values = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4], table[:, 4:14]], axis=1)
        rows = np.repeat(np.arange(len(faces)), [len(face) for face in faces])
        return Candidates(rows, values, np.clip(table[:, 14], 0, 1))


def _not_yunet(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path}: expected YuNet as ONNX, OpenCV says: {weight_files.in_brief(error)}")


@DETECTORS.register("yunet")
def build_yunet(
    *, device: str = "cpu", min_score: float = 0.5, long_side: int = 640, weights: str = ""
) -> YuNetDetector:
    """Build YuNet with OpenCV's weights, or with the user's own ONNX file; always on the CPU.

    Raises
    ------
    MissingDependency
        If OpenCV is not usable.
    WeightsError
        If the weights are missing or no YuNet.
    """
    (path,) = weight_files.locate("detector", "yunet", weights)
    cv2 = import_module("cv2", needed_for="the detector 'yunet'")
    return YuNetDetector(cv2, path, min_score=min_score, long_side=long_side)
