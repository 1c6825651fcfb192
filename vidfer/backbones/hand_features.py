"""Features designed by hand, as this field used them before it trained networks: functions of gray faces of 48 px.

Textures are scikit-image's. Each function takes faces (N, 1, 48, 48) float 0..1 and returns (N, F) float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidfer.faces.landmarks.embedded import EmbeddedLandmarker
from vidfer.faces.landmarks.frontal import EYE_DISTANCE_MM, frontal_landmarks

SIZE: Final = 48  # px
CELLS: Final = 6  # to a side: cells of 8 px, as of Dalal and Triggs 2005 and, for patterns, Shan et al. 2009
PATTERNS: Final = 59  # uniform patterns of 8 neighbours, and one for all others
SCALES: Final = 5
ORIENTATIONS: Final = 8
_STRIDE = 4  # px between the places where Gabor filters are looked at
_GABOR_RADIUS = 12  # px
# Where the landmark network looks: the box, in sides of the aligned face, that ``faces.align.landmark_boxes`` puts
# around the mean of PublicTest's aligned landmarks. The points found lie 4 % of the eye distance from the teacher's.
_BOX: Final = (0.13, -0.023, 0.882, 0.997)
_INNER: Final = slice(17, 68)  # brows, nose, eyes, mouth; the jaw says less and lies outside of many aligned faces
_EYES: Final = 0.378  # distance of the eye centres of an aligned face, in its sides: ``faces.align.TEMPLATE``
_CONTOURS: Final = ((17, 22, False), (22, 27, False), (36, 42, True), (42, 48, True), (48, 60, True), (60, 68, True))


@dataclass(frozen=True)
class HandFeature:
    """``extract`` gives (N, ``count``) float32 of faces (N, 1, 48, 48) float 0..1."""

    extract: Callable[[Tensor], Tensor]
    count: int


def local_binary_patterns(faces: Tensor) -> Tensor:
    """Return the square roots of histograms of uniform local binary patterns in a grid (Ojala et al. 2002).

    The grid is what makes it a description of a face (Ahonen et al. 2006).
    """
    from skimage.feature import local_binary_pattern

    cell = np.arange(SIZE) * CELLS // SIZE
    place = (cell[:, None] * CELLS + cell) * PATTERNS  # (48, 48): where each pixel's cell begins
    out = np.empty((len(faces), CELLS * CELLS * PATTERNS), np.float32)
    for i, picture in enumerate(_bytes(faces)):
        codes = local_binary_pattern(picture, 8, 1, method="nri_uniform").astype(np.int64)
        out[i] = np.bincount((place + codes).ravel(), minlength=out.shape[1])
    return torch.from_numpy(np.sqrt(out / (SIZE // CELLS) ** 2))


def oriented_gradients(faces: Tensor) -> Tensor:
    """Return histograms of oriented gradients: 9 directions, blocks of 2 x 2 cells (Dalal and Triggs 2005)."""
    from skimage.feature import hog

    size = SIZE // CELLS
    rows = [hog(picture, 9, (size, size), (2, 2), block_norm="L2-Hys") for picture in _bytes(faces)]
    return torch.from_numpy(np.array(rows, np.float32).reshape(len(faces), FEATURES["hog"].count))


def gabor_magnitudes(faces: Tensor) -> Tensor:
    """Return the mean magnitudes, in a grid, of 40 Gabor filters (Lyons et al. 1998; Littlewort et al. 2006)."""
    real, imaginary = _gabor_bank()
    faces = faces - faces.mean((2, 3), keepdim=True)
    faces = functional.pad(faces, (_GABOR_RADIUS,) * 4, mode="reflect")
    parts = [functional.conv2d(faces, bank, stride=_STRIDE) for bank in (real, imaginary)]
    magnitude = torch.hypot(*parts)  # (N, 40, 12, 12)
    return functional.avg_pool2d(magnitude, magnitude.shape[-1] // CELLS).flatten(1)


def face_geometry(faces: Tensor) -> Tensor:
    """Return distances, in eye distances, between all of 51 landmarks, and the angles, in radians, of their contours.

    Distances and angles of points as by Michel and El Kaliouby 2003 and Ghimire and Lee 2013; the points are those that
    the embedded landmark network finds in the aligned face.
    """
    return distances_and_angles(_points(faces) / (SIZE * _EYES))


def frontal_geometry(faces: Tensor) -> Tensor:
    """Return ``face_geometry`` of the landmarks as they would lie if the face looked ahead (``frontal_landmarks``).

    Features of landmarks that are turned back to the front, as by Rudovic, Pantic and Patras 2013, "Coupled Gaussian
    processes for pose-invariant facial expression recognition", here by a mean face in three dimensions.
    """
    return distances_and_angles(frontal_landmarks(_points(faces)) / EYE_DISTANCE_MM)


FEATURES: Final = {
    "lbp": HandFeature(local_binary_patterns, CELLS * CELLS * PATTERNS),
    "gabor": HandFeature(gabor_magnitudes, SCALES * ORIENTATIONS * CELLS * CELLS),
    "hog": HandFeature(oriented_gradients, 9 * 4 * (CELLS - 1) ** 2),
    "geometry": HandFeature(face_geometry, 51 * 50 // 2 + 38),
    "geometry3d": HandFeature(frontal_geometry, 51 * 50 // 2 + 38),
}


def _bytes(faces: Tensor) -> np.ndarray:
    """Return (N, 48, 48) uint8 of faces (N, 1, 48, 48) float 0..1."""
    return (faces[:, 0] * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def _points(faces: Tensor) -> np.ndarray:
    """Return the landmarks (N, 68, 2), px, of faces (N, 1, 48, 48) float 0..1."""
    pictures = torch.from_numpy(_bytes(faces))[..., None]  # (N, 48, 48, 1)
    boxes = np.tile(np.array(_BOX, np.float32) * SIZE, (len(pictures), 1))
    return _landmarker().locate(pictures, np.arange(len(pictures)), boxes)[0]


def distances_and_angles(points: np.ndarray) -> Tensor:
    """Return features (N, F) float32 of points (N, 68, 2) in eye distances."""
    first, second = np.array(list(combinations(range(_INNER.stop - _INNER.start), 2))).T
    inner = points[:, _INNER]
    distances = np.linalg.norm(inner[:, first] - inner[:, second], axis=-1)
    return torch.from_numpy(np.concatenate([distances, _angles(points)], 1).astype(np.float32))


def _angles(points: np.ndarray) -> np.ndarray:
    """Return the angle (N, 38) at each point of the contours of brows, eyes and lips; the ends of a brow have none."""
    found = []
    for start, stop, closed in _CONTOURS:
        line = points[:, start:stop]
        line = np.concatenate([line[:, -1:], line, line[:, :1]], 1) if closed else line
        before, after = line[:, :-2] - line[:, 1:-1], line[:, 2:] - line[:, 1:-1]
        lengths = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
        cosine = (before * after).sum(-1) / np.maximum(lengths, 1e-9)
        found.append(np.arccos(cosine.clip(-1, 1)))
    return np.concatenate(found, 1)


@cache
def _gabor_bank() -> tuple[Tensor, Tensor]:
    """Return real and imaginary parts (40, 1, 25, 25): waves of 4 px and longer, half an octave apart."""
    from skimage.filters import gabor_kernel

    side = 2 * _GABOR_RADIUS + 1
    bank = np.zeros((SCALES * ORIENTATIONS, 1, side, side), np.complex64)
    for i in range(len(bank)):
        scale, orientation = divmod(i, ORIENTATIONS)
        kernel = gabor_kernel(0.25 / 2 ** (scale / 2), theta=np.pi * orientation / ORIENTATIONS, bandwidth=1)
        cut = [slice(max(0, n // 2 - _GABOR_RADIUS), n // 2 + _GABOR_RADIUS + 1) for n in kernel.shape]
        kernel = kernel[cut[0], cut[1]]
        top, left = ((side - n) // 2 for n in kernel.shape)
        bank[i, 0, top : top + kernel.shape[0], left : left + kernel.shape[1]] = kernel
    bank = bank - bank.mean((2, 3), keepdims=True)  # even light gives nothing
    return torch.from_numpy(bank.real.copy()), torch.from_numpy(bank.imag.copy())


@cache
def _landmarker() -> EmbeddedLandmarker:
    return EmbeddedLandmarker()
