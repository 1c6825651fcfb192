"""Networks that place the 68 landmarks, one a file, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vidfer.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class FaceLandmarker(Protocol):
    """Places 68 landmarks on given faces. Results do not depend on how faces are batched.

    One that several threads may call at once says so: it has an attribute ``is_thread_safe`` that is True.
    """

    def locate(self, images: Tensor, image_row: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return landmarks (N, 68, 2) float32 px of the images and scores (N,) float32 0..1 (is this a face?).

        ``images`` (B, H, W, 3) uint8 RGB; ``image_row`` (N,) int64; ``xyxy`` (N, 4) float32 px. N may be 0.
        """
        ...


# A factory takes keyword arguments device (str) and weights (str: the user's own file, or empty).
LandmarkerFactory = Callable[..., FaceLandmarker]
LANDMARKERS: Registry[LandmarkerFactory] = Registry("landmark network", __name__)
