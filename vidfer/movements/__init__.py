"""Movements of the face: how far eyes are open, where they look, what mouth and brows do. This file imports no torch.

They are named as movements and are no action units of FACS: those are coded by trained people. Left and right are the
person's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from vidfer.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

# 0..1 each, in the order in which networks give them. The first two come from the eyes alone.
EYES: Final = ("eye_open_left", "eye_open_right")
MOUTH: Final = ("smile_left", "smile_right", "mouth_open", "mouth_pucker", "mouth_press", "corners_down", "lip_raise")
BROWS: Final = ("brow_raise_inner", "brow_raise_outer", "brow_lower")
LIDS: Final = ("eye_wide", "eye_squint")
MOVEMENTS: Final = (*EYES, *MOUTH, *BROWS, *LIDS)
# Those that people get: the others do not reach a correlation of 0.7 with the teacher on held-back faces (see
# assets/movements.md), so that a longer training may bring them back.
LEFT_OUT: Final = ("mouth_press", "corners_down", "eye_wide")
REPORTED: Final = tuple(name for name in MOVEMENTS if name not in LEFT_OUT)
REPORTED_COLUMNS: Final = {name: MOVEMENTS.index(name) for name in REPORTED}
EYE_COLUMNS: Final = tuple(MOVEMENTS.index(name) for name in (*EYES, *LIDS))
# Which movement each becomes in the mirror.
MIRRORED: Final = tuple(
    MOVEMENTS.index(name.replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right"))
    for name in MOVEMENTS
)

# A face whose box is smaller, px of the source frame, gives no numbers: see assets/movements.md.
LEAST_FACE_PX: Final = 24.0
LEAST_EYES_PX: Final = 40.0  # below it eyes and gaze are left out


# Expected of the values of a face where ``movement_quality`` is a half: of people who were not learnt from the mean
# error is 0.15 there, for networks expect too little of them (assets/movements.md).
TRUSTED_ERROR: Final = 0.13


def trust(error: np.ndarray) -> np.ndarray:
    """Return ``movement_quality`` (N,) float32, 0..1, of the errors (N, len(MOVEMENTS)) that are expected.

    It halves with every ``TRUSTED_ERROR`` of the mean expected error of the eyes' opening, or of the other movements
    that are reported, whichever is larger.
    """
    reported = error[:, list(REPORTED_COLUMNS.values())]
    eyes, others = reported[:, : len(EYES)].mean(1), reported[:, len(EYES) :].mean(1)
    quality: np.ndarray = np.exp2(-np.maximum(eyes, others) / TRUSTED_ERROR)
    return quality.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Movements:
    """What a network sees in N faces.

    Attributes
    ----------
    values
        (N, len(MOVEMENTS)) float32, 0..1.
    iris
        (N, 2, 2) float32: of the right eye and the left, how far the iris's centre lies from the middle between the
        corners of the eye, x and y in sides of the aligned face (``faces.align.TEMPLATE``).
    error
        (N, len(MOVEMENTS)) float32, 0..1: the error that is expected of each value.
    """

    values: np.ndarray
    iris: np.ndarray
    error: np.ndarray


class MovementNetwork(Protocol):
    """Sees movements in aligned faces. Results do not depend on how faces are batched; threads may share it."""

    face_size: int
    eye_size: int

    def predict(self, faces: Tensor, eyes: Tensor) -> Movements:
        """Return the movements of N faces.

        Parameters
        ----------
        faces
            (N, 3, face_size, face_size) float 0..1, aligned by ``FaceDetections.transform``.
        eyes
            (N, 2, 1, eye_size, eye_size) float 0..1 gray: the right eye, and the left one mirrored, cut out by
            ``movements.eyes.eye_transforms``.
        """
        ...


# A factory takes keyword arguments device (str) and weights (str: the user's own file, or empty).
MovementFactory = Callable[..., MovementNetwork]
MOVEMENT_NETWORKS: Registry[MovementFactory] = Registry("movement network", __name__)
