"""How likely a face's expression label is what it would be if the face were clean, frontal and large.

A small network looks at the aligned face and at what is known of it (size, pose, landmark score); see
``assets/quality.md`` for what it was fitted on. It speaks of the embedded backbone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.errors import WeightsError
from vidfer.faces.align import to_gray
from vidfer.weights import load_tensors, locate

if TYPE_CHECKING:
    from torch import Tensor

QUALITY_SIZE = 48  # px of the aligned face that is judged
# Larger faces hold nothing more once they are aligned at QUALITY_SIZE.
LARGE_ENOUGH_PX = 80.0
_SMALLEST_PX = 6.0
_FACES_AT_ONCE = 64  # bounds memory


def quality_features(*, size_px: np.ndarray, pose: np.ndarray, landmark_score: np.ndarray) -> np.ndarray:
    """Return the network's second input, (N, 6) float32; NaN where something is not known.

    Parameters
    ----------
    size_px
        (N,) longer side of the face's box in px of the source frame.
    pose
        (N, 3) degrees: pitch, yaw, roll.
    landmark_score
        (N,) 0..1.

    Raises
    ------
    ValueError
        If the lengths differ or ``pose`` is not (N, 3).
    """
    count = len(size_px)
    shapes = [np.shape(values) for values in (size_px, pose, landmark_score)]
    if shapes != [(count,), (count, 3), (count,)]:
        raise ValueError(f"quality_features: expected shapes (N,), (N, 3), (N,), got {shapes}")
    pitch, yaw, roll = np.asarray(pose, np.float64).T
    with np.errstate(invalid="ignore"):
        size = np.log2(np.clip(size_px, _SMALLEST_PX, LARGE_ENOUGH_PX) / LARGE_ENOUGH_PX)
        score = np.clip(landmark_score, 1e-3, 1 - 1e-3)
        # A face and its mirror image are as good as each other.
        columns = [size, np.log(score / (1 - score)) / 4, pitch / 45, np.abs(yaw) / 45]
        columns += [np.cos(np.radians(roll)), np.abs(np.sin(np.radians(roll)))]
    return np.stack(columns, 1).astype(np.float32)  # (N, 6)


class FaceQuality:
    """The quality network; ``weights`` is a file of ``vidfer train quality`` to use instead of its own.

    Raises WeightsError if the weights are missing, damaged or of another model.
    """

    def __init__(self, *, device: str = "cpu", weights: str = "") -> None:
        import torch

        from vidfer.faces.convolution_units import fuse_norms
        from vidfer.faces.quality_network import build_quality_network

        path = locate("quality", "embedded", weights)[0]
        tensors, metadata = load_tensors(path)
        self._device = torch.device(device)
        self._network = fuse_norms(build_quality_network(tensors, metadata, source=path)).to(self._device)

    def judge(self, faces: Tensor, *, size_px: np.ndarray, pose: np.ndarray, landmark_score: np.ndarray) -> np.ndarray:
        """Return the quality (N,) float32, 0..1, of aligned faces; 0 where something is not finite.

        Parameters
        ----------
        faces
            (N, 1 or 3, QUALITY_SIZE, QUALITY_SIZE) float 0..1 from ``faces.align.warp_faces``.
        size_px, pose, landmark_score
            See ``quality_features``.
        """
        features = quality_features(size_px=size_px, pose=pose, landmark_score=landmark_score)
        if faces.shape[2:] != (QUALITY_SIZE, QUALITY_SIZE) or len(faces) != len(features):
            raise ValueError(f"expected {len(features)} faces of {QUALITY_SIZE} px, got {tuple(faces.shape)}")
        known = np.isfinite(features).all(1) & np.isfinite(size_px) & np.isfinite(landmark_score)
        quality = np.zeros(len(features), np.float32)
        rows = np.flatnonzero(known)
        for start in range(0, len(rows), _FACES_AT_ONCE):
            part = rows[start : start + _FACES_AT_ONCE]
            quality[part] = self._run(to_gray(faces[part]), features[part])
        if not np.isfinite(quality).all():
            raise WeightsError("the quality network gives no numbers: its weights are damaged")
        return quality

    def _run(self, gray: Any, features: np.ndarray) -> np.ndarray:
        """Return the quality (N,) of gray faces (N, 1, S, S) and their features (N, 6)."""
        import torch

        with torch.inference_mode():
            given = torch.from_numpy(features).to(self._device)
            quality: np.ndarray = self._network(gray.to(self._device), given).sigmoid().cpu().numpy()
        return quality
