"""Encoded images packed one after another: image i is ``data[offset[i]:offset[i + 1]]``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from PIL import Image, UnidentifiedImageError

from vidfer.errors import DataError
from vidfer.learning.datasets.hdf5 import opened

ColourMode = Literal["gray", "rgb"]


@dataclass(frozen=True)
class EncodedImages:
    """Images kept as encoded bytes (JPEG, WebP, ...) and decoded when asked for.

    Attributes
    ----------
    data
        (bytes in all,) uint8.
    offset
        (images + 1,) int64, ascending from 0.
    mode
        What they are decoded to.
    source
        Where they come from, for messages.
    """

    data: np.ndarray
    offset: np.ndarray
    mode: ColourMode
    source: str = "encoded images"

    def __post_init__(self) -> None:
        if self.offset.ndim != 1 or len(self.offset) < 1 or np.any(np.diff(self.offset) < 0):
            raise DataError(
                f"{self.source}: offset must be one ascending row of numbers, got shape {self.offset.shape}"
            )
        if int(self.offset[-1]) > len(self.data):
            raise DataError(f"{self.source}: offset ends at {self.offset[-1]}, but there are {len(self.data)} bytes")

    def __len__(self) -> int:
        return len(self.offset) - 1

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: Sequence[int] | np.ndarray) -> list[np.ndarray]: ...

    def __getitem__(self, index: Any) -> np.ndarray | list[np.ndarray]:
        """Return image ``index`` as (H, W) or (H, W, 3) uint8; a list of them for several indices.

        Raises
        ------
        DataError
            If the bytes are no image.
        """
        if np.ndim(index) > 0:
            return [self[int(i)] for i in index]
        i = int(index)
        if not 0 <= i < len(self):
            raise IndexError(f"{self.source}: image {i} of {len(self)}")
        raw = self.data[self.offset[i] : self.offset[i + 1]].tobytes()
        try:
            with Image.open(io.BytesIO(raw)) as image:
                return np.array(image.convert("L" if self.mode == "gray" else "RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"{self.source}: image {i} cannot be decoded: {error}") from error


def as_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Return a picture (H, W) or (H, W, 3) uint8 as JPEG of this quality, 1..95, leaves it."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.array(image)


def read_encoded_images(path: Path, *, dataset: str, mode: ColourMode) -> EncodedImages:
    """Read the encoded bytes of all images of an HDF5 file into memory.

    Parameters
    ----------
    path
        HDF5 file with ``offset`` (images + 1,) and the bytes.
    dataset
        Name of the dataset with the bytes, e.g. ``"jpeg"`` or ``"webp"``.
    mode
        What the images are decoded to.

    Raises
    ------
    DataError
        If the file is missing, is no HDF5 file or lacks these datasets.
    """
    with opened(path, expected=f"an HDF5 file with {dataset!r} and 'offset'") as file:
        return EncodedImages(file[dataset][:], file["offset"][:], mode, source=str(path))
