"""Face detectors, one a file, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from vidfer.registry import Registry
from vidfer.types import FaceBoxes

if TYPE_CHECKING:
    from torch import Tensor


class FaceDetector(Protocol):
    """Finds faces in a batch of frames. Results do not depend on how frames are batched.

    One that several threads may call at once says so: it has an attribute ``is_thread_safe`` that is True.
    """

    def detect(self, images: Tensor) -> FaceBoxes:
        """Return the faces of images (B, H, W, 3) uint8 RGB in pixels of these images, ordered by image, then score.

        B may be 0; sizes may be odd. Only faces that score at least the detector's ``min_score`` are returned.
        """
        ...


# A factory takes keyword arguments device (str), min_score (float), long_side (int: shrink to this before detection)
# and weights (str: the user's own file, or empty).
DetectorFactory = Callable[..., FaceDetector]
DETECTORS: Registry[DetectorFactory] = Registry("detector", __name__)
