"""Faces of photographs in colour with a teacher's identity vectors, and whose they are where a file's name says it.

Of ``faces_in_scenes.h5`` and ``teachers.h5`` (see ``teachers``). A picture of LFW is called after the person in its
middle; other faces in it, and those of Flickr8k, have no name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vidfer.faces.align import warp_faces
from vidfer.learning.datasets.aligned_faces import align_pictures, face_transforms
from vidfer.learning.datasets.encoded_images import read_encoded_images
from vidfer.learning.datasets.face_scenes import SCENES_FILE, TEACHERS_FILE, Split, scene_arrays
from vidfer.learning.datasets.fer2013plus import SIDE, read_fer2013plus
from vidfer.learning.datasets.hdf5 import opened
from vidfer.types.validation import Rows

NOBODY = -1
_MIDDLE = 0.2  # of the picture's side: how far from its middle the centre of a named face is at most


@dataclass(frozen=True)
class NamedFaces(Rows):
    """N faces.

    Attributes
    ----------
    pictures
        (N, S, S, 3) uint8 RGB, aligned, with a border.
    vectors
        (N, 256) float32 of length 1: the teacher's.
    person
        (N,) int64 from 0, ``NOBODY`` where no name is known.
    width
        (N,) float32, of the face in its photograph, px.
    yaw_share
        (N,) float32: how far the nose is from the middle of the eyes, in their distance (about 0 in a frontal face).
    """

    pictures: np.ndarray
    vectors: np.ndarray
    person: np.ndarray
    width: np.ndarray
    yaw_share: np.ndarray


def read_named_faces(folder: Path, split: Split, *, size: int, border: int, min_width: float = 0.0) -> NamedFaces:
    """Read the faces of a split of which the teacher gave a vector.

    Parameters
    ----------
    folder
        Holds ``faces_in_scenes.h5`` and ``teachers.h5``.
    split
        By person for LFW: nobody is in both.
    size, border
        The aligned face has ``size`` px, and ``border`` px around it.
    min_width
        Smaller faces are left out, px of the photograph.

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    with opened(folder / TEACHERS_FILE, expected="what a teacher says of faces") as file:
        face_row, vectors = file["scenes/face_row"][:], file["scenes/identity"][:].astype(np.float32)
    of_image, name, source = scene_arrays(folder, "split", "name", "source")
    of_split, is_lfw = of_image == split, source == "lfw"
    columns = scene_arrays(folder, "face/image_row", "face/xyxy", "face/landmarks68", "face/landmarks5")
    image_row, xyxy, landmarks, points = (column[face_row] for column in columns)
    width = (xyxy[:, 2:] - xyxy[:, :2]).max(1)
    rows = np.flatnonzero(of_split[image_row] & (width >= min_width))
    image_row, xyxy = image_row[rows], xyxy[rows]
    images = read_encoded_images(folder / SCENES_FILE, dataset="jpeg", mode="rgb")
    full = size + 2 * border
    pictures = np.empty((len(rows), full, full, 3), np.uint8)
    off_middle = np.empty(len(rows))
    for image in np.unique(image_row):
        members = np.flatnonzero(image_row == image)
        picture = images[int(image)]
        shape = picture.shape[:2]
        own = rows[members]
        transforms = face_transforms(landmarks[own], points[own], image_size=shape, size=size, border=border)
        at = np.zeros(len(members), np.int64)
        cut = warp_faces(torch.from_numpy(picture)[None], at, transforms, size=full)  # (M, 3, S, S)
        pictures[members] = (cut * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        centre = (xyxy[members, :2] + xyxy[members, 2:]) / 2
        off_middle[members] = (np.abs(centre / np.array(shape[::-1]) - 0.5)).max(1)
    eyes, nose = points[rows][:, :2], points[rows][:, 2]
    apart = np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=1).clip(1e-3)
    return NamedFaces(
        pictures=pictures,
        vectors=vectors[rows] / np.linalg.norm(vectors[rows], axis=1, keepdims=True),
        person=_people(name, image_row, is_lfw[image_row], off_middle),
        width=width[rows].astype(np.float32),
        yaw_share=((nose[:, 0] - eyes[:, :, 0].mean(1)) / apart).astype(np.float32),
    )


def read_fer_faces(folder: Path, *, size: int, border: int) -> NamedFaces:
    """Read the training faces of FER2013 of which the teacher gave a vector, as nobody's.

    Parameters
    ----------
    folder
        Holds ``fer2013plus.h5``, ``fer2013plus_landmarks68.h5`` and ``fer_identity.h5``
        (``benchmarks/label_identity.py``).
    size, border
        As of ``read_named_faces``. The pictures are gray.

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    with opened(folder / "fer_identity.h5", expected="what benchmarks/label_identity.py writes") as file:
        row, vectors = file["row"][:], file["vector"][:].astype(np.float32)
    fer = read_fer2013plus(folder, "Training")
    _, of_fer, of_vector = np.intersect1d(fer.row, row, assume_unique=True, return_indices=True)
    fer, vectors = fer.take(of_fer), vectors[of_vector]
    transforms = face_transforms(fer.landmarks68, fer.landmarks5, image_size=(SIDE, SIDE), size=size, border=border)
    gray = align_pictures(fer.images, transforms, size=size + 2 * border).numpy()  # (N, 1, S, S)
    return NamedFaces(
        pictures=gray.transpose(0, 2, 3, 1).repeat(3, 3),
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        person=np.full(len(fer), NOBODY),
        width=np.full(len(fer), SIDE, np.float32),
        yaw_share=np.zeros(len(fer), np.float32),
    )


def _people(name: np.ndarray, image_row: np.ndarray, is_lfw: np.ndarray, off_middle: np.ndarray) -> np.ndarray:
    """Return whose each face is (N,): of each picture of LFW the face nearest to its middle has a name."""
    person = np.full(len(image_row), NOBODY, np.int64)
    named = []
    for image in np.unique(image_row[is_lfw]):
        members = np.flatnonzero(image_row == image)
        nearest = members[np.argmin(off_middle[members])]
        if off_middle[nearest] <= _MIDDLE:
            named.append(nearest)
    rows = np.array(named, np.int64)
    stems = [str(text).rpartition("_")[0] for text in name[image_row[rows]]]
    person[rows] = np.unique(stems, return_inverse=True)[1] if stems else []
    return person
