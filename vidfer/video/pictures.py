"""Photographs of faces as files: what is one, how it is decoded, and room around an aligned face."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

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
    return _decoded(path, str(path))


def decode_picture(data: bytes, *, max_pixels: float) -> np.ndarray:
    """Return a JPEG, PNG or WebP file that a stranger sent as (H, W, 3) uint8 RGB, turned upright.

    Raises
    ------
    DataError
        If it cannot be decoded, or has more than ``max_pixels``: then it is not even tried.
    """
    return _decoded(io.BytesIO(data), "picture", formats=("JPEG", "PNG", "WEBP"), max_pixels=max_pixels)


def _decoded(
    source: Path | BinaryIO, name: str, *, formats: tuple[str, ...] | None = None, max_pixels: float = float("inf")
) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(source, formats=formats) as image:
            if image.width * image.height > max_pixels:
                size = f"{image.width} x {image.height}"
                raise DataError(f"{name}: expected at most {max_pixels / 1e6:g} million pixels, got {size}")
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        is_other = formats and isinstance(error, UnidentifiedImageError)
        why = f"expected {', '.join(formats or ())}" if is_other else error
        raise DataError(f"{name}: the picture cannot be decoded: {why}") from error


def with_border(transforms: np.ndarray, *, size: int, border: int) -> np.ndarray:
    """Return transforms (N, 2, 3) to the unit square of a picture with ``border`` px around the aligned face.

    The face itself has ``size`` px, the picture ``size + 2 * border``.
    """
    whole = size + 2 * border
    moved = np.asarray(transforms, np.float64) * (size / whole)
    moved[:, :, 2] += border / whole
    return moved.astype(np.float32)
