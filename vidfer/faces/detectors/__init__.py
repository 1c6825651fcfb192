"""Face detectors, one a file, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from vidfer.registry import Registry
from vidfer.types import FaceBoxes

if TYPE_CHECKING:
    from torch import Tensor


SMALLEST_SIDE = 320  # px: pictures are searched at no less, unless the settings say so
# Large pictures are searched at this part of their size: a face of 48 px has 19 px then, of which 99 % are found; at a
# third, 89 % (benchmarks/small_faces.py).
SHRINK = 2.5
LARGEST_SIDE = 1280  # px: beyond 3200 px the time would grow without bound
MIN_SEARCHED_PX = 16  # width from which the embedded detector finds most faces, px of the picture that it searches


def search_side(long_side: int, *, height: int, width: int) -> int:
    """Return the longer side of a picture as it is searched, px; ``long_side`` is the setting."""
    return long_side or min(LARGEST_SIDE, max(SMALLEST_SIDE, math.ceil(max(height, width) / SHRINK)))


def least_face_px(long_side: int, *, height: int, width: int) -> float:
    """Return the width below which faces are hardly found in pictures of this size, px of the picture."""
    longest = max(height, width)
    return MIN_SEARCHED_PX * max(1.0, longest / search_side(long_side, height=height, width=width))


class FaceDetector(Protocol):
    """Finds faces in a batch of frames. Results do not depend on how frames are batched.

    One that several threads may call at once says so: it has an attribute ``is_thread_safe`` that is True.
    """

    def detect(self, images: Tensor) -> FaceBoxes:
        """Return the faces of images (B, H, W, 3) uint8 RGB in pixels of these images, ordered by image, then score.

        B may be 0; sizes may be odd. Only faces that score at least the detector's ``min_score`` are returned.
        """
        ...


# A factory takes keyword arguments device (str), min_score (float), long_side (int: shrink to this before detection,
# 0: see ``search_side``) and weights (str: the user's own file, or empty).
DetectorFactory = Callable[..., FaceDetector]
DETECTORS: Registry[DetectorFactory] = Registry("detector", __name__)
