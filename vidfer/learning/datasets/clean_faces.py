"""Large, clear faces with landmarks, cut to one size: what is spoilt to learn how far a face can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vidfer.labels import NUM_EMOTIONS
from vidfer.learning.datasets.face_landmarks import FER_SPLIT, MIN_SCORE, read_scenes, scene_faces
from vidfer.learning.datasets.face_scenes import Split
from vidfer.learning.datasets.fer2013plus import SIDE, majority_labels, read_fer2013plus
from vidfer.types.validation import Rows

PATCH_PX = 160
_FER_SCALE = 2  # a face of FER2013 is then as large in its patch as one of a photograph


@dataclass(frozen=True)
class CleanFaces(Rows):
    """Patches (N, PATCH_PX, PATCH_PX) uint8 gray around faces about 80 px wide, landmarks (N, 68, 2) px of them."""

    patches: np.ndarray
    landmarks: np.ndarray


def photographed_faces(
    folder: Path, split: Split, *, count: int, min_width: float, max_disagreement: float
) -> CleanFaces:
    """Return ``count`` faces of ``faces_in_scenes.h5``, evenly spread over it, or as many as there are.

    Parameters
    ----------
    folder, split, count
        Where, of which part and how many.
    min_width
        Of the face in its photograph, px.
    max_disagreement
        Of the landmarks' teachers.
    """
    scenes = read_scenes(folder)
    clear = (scenes.xyxy[:, 2] - scenes.xyxy[:, 0] >= min_width) & (scenes.disagreement <= max_disagreement)
    clear &= np.isfinite(scenes.landmarks).all((1, 2)) & (scenes.score >= MIN_SCORE)
    rows = np.flatnonzero(clear & (scenes.split[scenes.image_row] == split))
    rows = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)]
    faces = scene_faces(scenes.where(rows), split, size=PATCH_PX)
    return CleanFaces(faces.patches, faces.landmarks * np.float32(PATCH_PX))


def fer_faces(folder: Path, split: Split, *, count: int, seed: int) -> CleanFaces:
    """Return ``count`` faces of FER2013 that FER+ labels, rare expressions more often than they come.

    An expression is drawn in proportion to the square root of its faces.
    """
    pictures = read_fer2013plus(folder, FER_SPLIT[split])
    label = majority_labels(pictures.votes)
    usable = np.isfinite(pictures.landmarks68).all((1, 2)) & (label >= 0)
    pictures, label = pictures.take(usable), label[usable]
    weight = np.bincount(label, minlength=NUM_EMOTIONS).clip(1)[label] ** -0.5
    random = np.random.default_rng([seed, 1])
    rows = np.sort(random.choice(len(label), min(count, len(label)), replace=False, p=weight / weight.sum()))
    large = SIDE * _FER_SCALE
    border = (PATCH_PX - large) // 2
    patches = np.empty((len(rows), PATCH_PX, PATCH_PX), np.uint8)
    for patch, picture in zip(patches, pictures.images[rows], strict=True):
        enlarged = Image.fromarray(picture).resize((large, large), Image.Resampling.BICUBIC)
        patch[:] = np.pad(np.asarray(enlarged), border, mode="edge")
    return CleanFaces(patches, pictures.landmarks68[rows] * np.float32(_FER_SCALE) + np.float32(border))
