"""Photographs with the faces in them, and photographs without any: what the face detector learns from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vidfer.learning.datasets.encoded_images import EncodedImages, read_encoded_images
from vidfer.learning.datasets.fer2013plus import PIXEL_CENTRE
from vidfer.learning.datasets.hdf5 import opened

SCENES_FILE = "faces_in_scenes.h5"
NO_FACES_FILE = "no_faces.h5"
TEACHERS_FILE = "teachers.h5"  # what other networks say of the same faces
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
    return [*_read_labelled(folder, split, limit), *_read_empty(folder, split, limit)]


def is_held_back(name: str) -> bool:
    """Return whether a picture without faces belongs to the tenth that is never trained on."""
    return hashlib.sha256(name.encode()).digest()[0] % 10 == 0


def scene_arrays(folder: Path, *names: str) -> list[np.ndarray]:
    """Return arrays of ``faces_in_scenes.h5``: text as str, half precision as float32, landmarks from pixels' corners.

    Raises DataError if the file is missing, damaged or lacks one.
    """
    with opened(folder / SCENES_FILE, expected="photographs with their faces") as file:
        found = {name: file[name][:] for name in names}
    as_read = {"S": str, "f": np.float32}
    arrays = {name: array.astype(as_read.get(array.dtype.kind, array.dtype)) for name, array in found.items()}
    if "face/landmarks68" in arrays:
        arrays["face/landmarks68"] += np.float32(PIXEL_CENTRE)
    return list(arrays.values())


@dataclass(frozen=True)
class NamedImages:
    """Pictures without a face, still encoded."""

    images: EncodedImages
    names: list[str]

    def of_split(self, split: Split) -> list[int]:
        """Return which pictures are learnt from, or those that are held back."""
        return [i for i, name in enumerate(self.names) if is_held_back(name) == (split == "val")]


def read_no_faces(folder: Path) -> NamedImages:
    """Read ``no_faces.h5``; raises DataError if it is missing or of another form."""
    path = folder / NO_FACES_FILE
    with opened(path, expected="named pictures without faces") as file:
        names = file["name"][:].astype(str).tolist()
    return NamedImages(read_encoded_images(path, dataset="jpeg", mode="rgb"), names)


def _read_labelled(folder: Path, split: Split, limit: int) -> list[Scene]:
    names, sources, of_split = scene_arrays(folder, "name", "source", "split")
    columns = ("image_row", "xyxy", "landmarks5", "score", "landmark_disagreement")
    image_row, xyxy, points5, score, disagreement = scene_arrays(folder, *(f"face/{name}" for name in columns))
    pictures = read_encoded_images(folder / SCENES_FILE, dataset="jpeg", mode="rgb")
    order = np.argsort(image_row, kind="stable")
    starts = np.searchsorted(image_row[order], np.arange(len(names) + 1))
    scenes = []
    for row in _evenly_spaced(np.flatnonzero(of_split == split), limit):
        faces = order[starts[row] : starts[row + 1]]
        scenes.append(
            Scene(
                name=names[row],
                source=sources[row],
                pixels=pictures[int(row)],
                xyxy=xyxy[faces],
                points5=points5[faces],
                score=score[faces],
                disagreement=disagreement[faces],
            )
        )
    return scenes


def _read_empty(folder: Path, split: Split, limit: int) -> list[Scene]:
    pictures = read_no_faces(folder)
    none = np.zeros((0,), np.float32)
    return [
        Scene(
            name=pictures.names[row],
            source="no_faces",
            pixels=pictures.images[int(row)],
            xyxy=np.zeros((0, 4), np.float32),
            points5=np.zeros((0, 5, 2), np.float32),
            score=none,
            disagreement=none,
        )
        for row in _evenly_spaced(np.array(pictures.of_split(split), np.int64), limit)
    ]


def _evenly_spaced(rows: np.ndarray, limit: int) -> np.ndarray:
    if not 0 < limit < len(rows):
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).astype(np.int64)]
