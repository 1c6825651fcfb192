"""What other networks say of the faces to learn from: ``teachers.h5`` beside ``fer2013plus.h5``.

One knows five of the eight expressions; the other tells how the face is shaped (52 "blendshapes"). Neither is needed to
use what was learnt from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vidfer.labels import EMOTION_INDEX, NUM_EMOTIONS
from vidfer.learning.datasets.aligned_faces import align_pictures, face_transforms
from vidfer.learning.datasets.encoded_images import read_encoded_images
from vidfer.learning.datasets.face_scenes import SCENES_FILE, TEACHERS_FILE, scene_arrays
from vidfer.learning.datasets.hdf5 import opened
from vidfer.types.validation import Rows

TEACHER_EMOTIONS: Final = ("neutral", "happiness", "sadness", "surprise", "anger")
TEACHER_COLUMNS: Final = np.array([EMOTION_INDEX[name] for name in TEACHER_EMOTIONS])
# Shapes of the left and right half are learnt as their mean and, of the mouth, as how much they differ: both are the
# same in the mirror. Gaze is left out, and what is always about 0 (see the file's description).
_PAIRS: Final = (
    *("browDown", "browOuterUp", "eyeBlink", "eyeSquint", "eyeWide"),
    *("mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp"),
)
_ONE_SIDED: Final = ("mouthDimple", "mouthFrown", "mouthSmile", "mouthUpperUp", "mouth", "jaw")
_SINGLE: Final = (
    *("browInnerUp", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
)
NUM_SHAPES: Final = len(_PAIRS) + len(_ONE_SIDED) + len(_SINGLE)
_FULL_SHAPE, _NO_FACE = 250.0, 255
_BATCH = 512  # pictures in memory at a time


@dataclass(frozen=True, kw_only=True)
class Lessons(Rows):
    """What the teachers say of N faces.

    Attributes
    ----------
    emotion
        (N, 8) float32 probabilities; the columns that the teacher does not know are 0, and rows of which it says
        nothing are all 0.
    shapes
        (N, ``NUM_SHAPES``) float32, 0..1; NaN where nothing is known.
    """

    emotion: np.ndarray
    shapes: np.ndarray


def read_fer_lessons(folder: Path) -> Lessons:
    """Read what the teachers say of the faces of ``fer2013plus.h5``, by its rows; raises DataError without it."""
    emotion, blendshapes, names = _read(folder, ("fer/emotion5", "fer/blendshape"))
    return Lessons(emotion=_emotions(emotion), shapes=_shapes(blendshapes, names))


def read_scene_lessons(folder: Path, split: str, *, size: int, border: int) -> tuple[np.ndarray, Lessons]:
    """Read the faces of photographs of which a teacher says something.

    Parameters
    ----------
    folder
        Holds ``faces_in_scenes.h5`` and ``teachers.h5``.
    split
        ``train`` or ``val``.
    size, border
        The aligned face has ``size`` px, and ``border`` px around it.

    Returns
    -------
    Faces (N, 1, S, S) uint8, and what is said of them.

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    keys = ("scenes/face_row", "scenes/emotion5", "scenes/mesh_face_row", "scenes/blendshape")
    face_row, emotion, shaped_row, blendshapes, names = _read(folder, keys)
    (of_image,) = scene_arrays(folder, "split")
    columns = scene_arrays(folder, "face/image_row", "face/landmarks68", "face/landmarks5")
    image_row, landmarks, landmarks5 = (column[face_row] for column in columns)
    place = {int(row): i for i, row in enumerate(shaped_row)}
    shapes = np.full((len(face_row), NUM_SHAPES), np.nan, np.float32)
    known = [i for i, row in enumerate(face_row) if int(row) in place]
    shapes[known] = _shapes(blendshapes, names)[[place[int(face_row[i])] for i in known]]
    chosen = np.flatnonzero((of_image == split)[image_row] & np.isfinite(landmarks).all((1, 2)))
    images = read_encoded_images(folder / SCENES_FILE, dataset="jpeg", mode="gray")
    full = size + 2 * border
    faces = np.empty((len(chosen), 1, full, full), np.uint8)
    for start in range(0, len(chosen), _BATCH):
        rows = chosen[start : start + _BATCH]
        pictures = images[image_row[rows]]
        for shape in {picture.shape for picture in pictures}:
            same = np.array([i for i, picture in enumerate(pictures) if picture.shape == shape])
            transforms = face_transforms(
                landmarks[rows[same]], landmarks5[rows[same]], image_size=shape, size=size, border=border
            )
            aligned = align_pictures(np.stack([pictures[i] for i in same]), transforms, size=full)
            faces[start + same] = aligned.numpy()
    return faces, Lessons(emotion=_emotions(emotion), shapes=shapes).take(chosen)


def _read(folder: Path, keys: Sequence[str]) -> list[np.ndarray]:
    """Return these arrays, and last the names of the shapes."""
    with opened(folder / TEACHERS_FILE, expected="what teachers say of the faces") as file:
        return [*(file[key][:] for key in keys), np.asarray(file.attrs["blendshape_names"]).astype(str)]


def _emotions(five: np.ndarray) -> np.ndarray:
    out = np.zeros((len(five), NUM_EMOTIONS), np.float32)
    known = np.isfinite(five).all(1)
    part = five[known].astype(np.float32)
    out[np.ix_(known, TEACHER_COLUMNS)] = part / part.sum(1, keepdims=True)
    return out


def _shapes(blendshapes: np.ndarray, names: np.ndarray) -> np.ndarray:
    column = {name: i for i, name in enumerate(names)}
    scores = np.where(blendshapes == _NO_FACE, np.nan, blendshapes / _FULL_SHAPE).astype(np.float32)

    def halves(name: str) -> tuple[np.ndarray, np.ndarray]:
        return scores[:, column[f"{name}Left"]], scores[:, column[f"{name}Right"]]

    parts = [np.add(*halves(name)) / 2 for name in _PAIRS]
    parts += [np.abs(np.subtract(*halves(name))) for name in _ONE_SIDED]
    return np.stack([*parts, *(scores[:, column[name]] for name in _SINGLE)], 1)
