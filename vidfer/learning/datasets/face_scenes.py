"""Photographs with the faces in them, and photographs without any: what the face detector learns from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vidfer.errors import DataError
from vidfer.learning.datasets.encoded_images import EncodedImages

SCENES_FILE = "faces_in_scenes.h5"
NO_FACES_FILE = "no_faces.h5"
Split = Literal["train", "val"]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One photograph and every face that the teacher saw in it.

    Attributes
    ----------
    name, source
        Of the photograph; sources are ``lfw``, ``flickr8k`` and ``no_faces``.
    pixels
        (H, W, 3) uint8 RGB.
    xyxy
        (N, 4) float32 px; may reach beyond the edge.
    points5
        (N, 5, 2) float32 px.
    score
        (N,) float32, the teacher's; from 0.3 to 0.6 neither face nor background.
    disagreement
        (N,) float32, of two landmark networks, relative to the face; NaN for small faces. High on many animals.
    """

    name: str
    source: str
    pixels: np.ndarray
    xyxy: np.ndarray
    points5: np.ndarray
    score: np.ndarray
    disagreement: np.ndarray

    def is_clear(self, *, min_score: float, max_disagreement: float) -> np.ndarray:
        """Return (N,) bool: surely a human face; the others are neither face nor background."""
        return (self.score >= min_score) & ~(self.disagreement > max_disagreement)


def read_scenes(folder: Path, split: Split, *, limit: int = 0) -> list[Scene]:
    """Read the photographs of a split, decoded.

    Parameters
    ----------
    folder
        Holds ``faces_in_scenes.h5`` and ``no_faces.h5``.
    split
        As the file says (by person for LFW); a tenth of the pictures without faces, chosen by the hash of their
        names, is ``val``.
    limit
        Read so many pictures of each file only, evenly spread (for tests); 0 = all.

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    return [*_read_labelled(folder / SCENES_FILE, split, limit), *_read_empty(folder / NO_FACES_FILE, split, limit)]


def is_held_back(name: str) -> bool:
    """Return whether a picture without faces belongs to the tenth that is never trained on."""
    return hashlib.sha256(name.encode()).digest()[0] % 10 == 0


def _read_labelled(path: Path, split: Split, limit: int) -> list[Scene]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            names = file["name"][:].astype(str)
            sources = file["source"][:].astype(str)
            rows = np.flatnonzero(file["split"][:].astype(str) == split)
            pictures = EncodedImages(file["jpeg"][:], file["offset"][:], "rgb", str(path))
            face = {name: file["face"][name][:] for name in ("image_row", "xyxy", "landmarks5", "score")}
            disagreement = file["face"]["landmark_disagreement"][:].astype(np.float32)
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: expected an HDF5 file of photographs with their faces, got: {error}") from error
    order = np.argsort(face["image_row"], kind="stable")
    starts = np.searchsorted(face["image_row"][order], np.arange(len(names) + 1))
    scenes = []
    for row in _thin(rows, limit):
        faces = order[starts[row] : starts[row + 1]]
        scenes.append(
            Scene(
                name=names[row],
                source=sources[row],
                pixels=pictures[int(row)],
                xyxy=face["xyxy"][faces],
                points5=face["landmarks5"][faces],
                score=face["score"][faces].astype(np.float32),
                disagreement=disagreement[faces],
            )
        )
    return scenes


def _read_empty(path: Path, split: Split, limit: int) -> list[Scene]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            names = file["name"][:].astype(str)
            pictures = EncodedImages(file["jpeg"][:], file["offset"][:], "rgb", str(path))
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: expected an HDF5 file of pictures without faces, got: {error}") from error
    rows = np.array([i for i, name in enumerate(names) if is_held_back(name) == (split == "val")], np.int64)
    none = np.zeros((0,), np.float32)
    return [
        Scene(
            name=names[row],
            source="no_faces",
            pixels=pictures[int(row)],
            xyxy=np.zeros((0, 4), np.float32),
            points5=np.zeros((0, 5, 2), np.float32),
            score=none,
            disagreement=none,
        )
        for row in _thin(rows, limit)
    ]


def _thin(rows: np.ndarray, limit: int) -> np.ndarray:
    if not 0 < limit < len(rows):
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).astype(np.int64)]
