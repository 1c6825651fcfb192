"""Photographs of faces as files: what is one, how it is decoded, and room around an aligned face."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vidfer.errors import DataError

PICTURE_SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"])


def is_picture(path: Path) -> bool:
    """Return whether a file is a picture by its suffix; everything else is taken for a video."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def read_picture(path: Path) -> np.ndarray:
    """Return a picture as (H, W, 3) uint8 RGB, turned upright.

    Raises
    ------
    DataError
        If it cannot be decoded; names it.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: the picture cannot be decoded: {error}") from error


def with_border(transforms: np.ndarray, *, size: int, border: int) -> np.ndarray:
    """Return transforms (N, 2, 3) to the unit square of a picture with ``border`` px around the aligned face.

    The face itself has ``size`` px, the picture ``size + 2 * border``.
    """
    whole = size + 2 * border
    moved = np.asarray(transforms, np.float64) * (size / whole)
    moved[:, :, 2] += border / whole
    return moved.astype(np.float32)
