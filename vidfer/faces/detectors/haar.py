"""Cascades of boosted features (Viola and Jones 2001): the face detector of most tutorials, for comparison.

OpenCV's Haar features where an OpenCV with ``CascadeClassifier`` and its files is there (version 4; 5 has none), else
scikit-image's ``Cascade`` with local binary patterns (Liao et al. 2007), whose frontal face file it ships. Both read
gray, upright, frontal faces.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vidfer.errors import MissingDependency, WeightsError
from vidfer.faces.boxes import NUM_VALUES
from vidfer.faces.detectors import DETECTORS
from vidfer.faces.detectors.face_alignment_frames import BatchDetector, Candidates
from vidfer.faces.third_party import import_module

if TYPE_CHECKING:
    from torch import Tensor

SCALE_STEP = 1.1  # from one size of faces to the next: OpenCV's default
MIN_SIDE = 24  # px of the picture that is searched: the size on which both cascades were trained
_FINDS_AT_HALF = (
    8  # overlapping finds that make a face, a score of 0.5; with 3 (OpenCV's default) or 4 more false ones pass
)
_FILE = "haarcascade_frontalface_default.xml"


class Cascade(Protocol):
    """Finds faces in one picture (H, W, 3) uint8; gives xyxy (N, 4) px, and how many finds were joined in each (N,)."""

    def __call__(self, picture: np.ndarray, least_finds: int) -> tuple[np.ndarray, np.ndarray]: ...


class HaarDetector(BatchDetector):
    """Finds faces with a cascade, on the CPU.

    A cascade says yes or no. The score is made of how many overlapping finds n a face was joined from: n / (n + 8). Of
    scikit-image it is the least that was asked for, as it does not tell n. Points are NaN.

    Parameters
    ----------
    cascade
        Of OpenCV or scikit-image.
    min_score, long_side
        As for every detector.
    """

    max_iou = 0.3

    def __init__(self, cascade: Cascade, *, min_score: float = 0.5, long_side: int = 0) -> None:
        super().__init__(min_score=min_score, long_side=long_side)
        self._cascade = cascade
        share = min(min_score, 0.99)
        self._least_finds = max(1, int(np.ceil(_FINDS_AT_HALF * share / (1 - share) - 1e-9)))

    def find(self, frames: Tensor) -> Candidates:
        pictures = frames.nan_to_num(0.0).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        if pictures.shape[3] == 1:
            pictures = pictures.repeat(3, 3)
        found = [
            self._cascade(picture, self._least_finds)
            if min(picture.shape[:2]) > MIN_SIDE
            else (np.zeros((0, 4)), np.zeros(0))
            for picture in pictures
        ]
        values = np.full((sum(len(finds) for _, finds in found), NUM_VALUES), np.nan, np.float32)
        values[:, :4] = np.concatenate([boxes for boxes, _ in found])
        finds = np.concatenate([finds for _, finds in found])
        rows = np.repeat(np.arange(len(found)), [len(finds) for _, finds in found])
        return Candidates(rows, values, (finds / (finds + _FINDS_AT_HALF)).astype(np.float32))


def opencv_cascade(cv2: Any, path: Path) -> Cascade:
    """Return OpenCV's cascade of a file; raises WeightsError if it is none."""
    try:
        classifier = cv2.CascadeClassifier(str(path))
        empty = classifier.empty()
    except Exception as error:  # OpenCV's errors and, for odd files, others
        raise WeightsError(f"{path}: expected a cascade as XML, OpenCV says: {error}") from error
    if empty:
        raise WeightsError(f"{path}: expected a cascade as XML, as OpenCV ships them")

    def run(picture: np.ndarray, least_finds: int) -> tuple[np.ndarray, np.ndarray]:
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        boxes, finds = classifier.detectMultiScale2(
            gray, scaleFactor=SCALE_STEP, minNeighbors=least_finds, minSize=(MIN_SIDE, MIN_SIDE)
        )
        corner_size = np.asarray(boxes, np.float64).reshape(-1, 4)
        return np.concatenate([corner_size[:, :2], corner_size[:, :2] + corner_size[:, 2:]], 1), np.ravel(finds)

    return run


def skimage_cascade(feature: Any, path: Path) -> Cascade:
    """Return scikit-image's cascade of a file; raises WeightsError if it is none."""
    try:
        cascade = feature.Cascade(str(path))
    except Exception as error:  # its XML reader fails in many ways
        raise WeightsError(f"{path}: expected a cascade of local binary patterns as XML, got: {error}") from error

    def run(picture: np.ndarray, least_finds: int) -> tuple[np.ndarray, np.ndarray]:
        largest = min(picture.shape[:2])
        found = cascade.detect_multi_scale(
            img=picture, scale_factor=SCALE_STEP, step_ratio=1, min_size=(MIN_SIDE, MIN_SIDE),
            max_size=(largest, largest), min_neighbor_number=least_finds,
        )  # fmt: skip
        boxes = [(one["c"], one["r"], one["c"] + one["width"], one["r"] + one["height"]) for one in found]
        return np.array(boxes, np.float64).reshape(-1, 4), np.full(len(boxes), least_finds)

    return run


@DETECTORS.register("haar")
def build_haar(*, device: str = "cpu", min_score: float = 0.5, long_side: int = 0, weights: str = "") -> HaarDetector:
    """Build the detector with the cascade that OpenCV or scikit-image ships, or with the user's own XML file.

    Raises
    ------
    MissingDependency
        If neither package is usable.
    WeightsError
        If the user's file is missing or no cascade.
    """
    if weights and not Path(weights).expanduser().is_file():
        raise WeightsError(f"weights for the detector 'haar': {weights} does not exist")
    own = Path(weights).expanduser() if weights else None
    try:
        cv2 = import_module("cv2", needed_for="the detector 'haar'")
        shipped = Path(cv2.data.haarcascades) / _FILE
        if hasattr(cv2, "CascadeClassifier") and (own or shipped).is_file():
            return HaarDetector(opencv_cascade(cv2, own or shipped), min_score=min_score, long_side=long_side)
    except (MissingDependency, AttributeError):
        pass  # scikit-image has one, too
    try:
        feature = import_module("skimage.feature", needed_for="the detector 'haar'")
        data = import_module("skimage.data", needed_for="the detector 'haar'")
    except MissingDependency as error:
        raise MissingDependency(
            "scikit-image", needed_for="the detector 'haar', which takes OpenCV 4's cascades or scikit-image's"
        ) from error
    path = own or Path(data.lbp_frontal_face_cascade_filename())
    return HaarDetector(skimage_cascade(feature, path), min_score=min_score, long_side=long_side)
