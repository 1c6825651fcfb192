"""Pictures of faces with an emotion and 68 landmarks, aligned for a network, with a border for moving them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidfer.faces.align import apply_transforms
from vidfer.labels import EMOTION_INDEX, EMOTIONS, NUM_EMOTIONS
from vidfer.learning.datasets.aligned_faces import align_pictures, face_transforms
from vidfer.learning.datasets.encoded_images import read_encoded_images
from vidfer.learning.datasets.face_scenes import SCENES_FILE, scene_arrays
from vidfer.learning.datasets.fer2013plus import SIDE, Split, majority_labels, read_fer2013plus, soft_labels
from vidfer.types.validation import Rows

_BORDER_SHARE = 0.125  # of the face's side
_LFW_SMOOTHING = 0.1  # of its labels, which students gave and which are noisy


@dataclass(frozen=True, kw_only=True)
class LabelledPictures(Rows):
    """Aligned faces with a border, their landmarks and labels.

    Attributes
    ----------
    faces
        (N, 1, S, S) uint8.
    points
        (N, 68, 2) float32, unit square of the picture with its border.
    target
        (N, K) float32: shares of the annotators' votes.
    label
        (N,) int64: the majority.
    person
        (N,) int64; -1 where it is not known who it is.
    """

    faces: Tensor
    points: np.ndarray
    target: np.ndarray
    label: np.ndarray
    person: np.ndarray

    def persons_with_two_faces(self) -> LabelledPictures:
        """Return the pictures of persons who are seen neutral and otherwise."""
        neutral = self.label == EMOTION_INDEX["neutral"]
        both = np.intersect1d(self.person[neutral], self.person[~neutral])
        return self.take(np.isin(self.person, both))


def read_fer_pictures(folder: Path, split: Split, *, size: int, border: int | None = None) -> LabelledPictures:
    """Read the pictures of one usage of FER+ that have a majority and landmarks.

    Parameters
    ----------
    folder
        Holds ``fer2013plus.h5`` and its landmarks.
    size, border
        The aligned face has ``size`` px, and ``border`` px (None: an eighth of it) around it.
    """
    pictures = read_fer2013plus(folder, split)
    label = majority_labels(pictures.votes)
    usable = (label >= 0) & np.isfinite(pictures.landmarks68).all((1, 2))
    pictures, label = pictures.take(usable), label[usable]
    border = round(size * _BORDER_SHARE) if border is None else border
    transforms = face_transforms(
        pictures.landmarks68, pictures.landmarks5, image_size=(SIDE, SIDE), size=size, border=border
    )
    return LabelledPictures(
        faces=align_pictures(pictures.images, transforms, size=size + 2 * border),
        points=apply_transforms(transforms, pictures.landmarks68),
        target=soft_labels(pictures.votes),
        label=label,
        person=np.full(len(label), -1),
    )


def read_lfw_pictures(folder: Path, split: str, *, size: int, border: int | None = None) -> LabelledPictures:
    """Read LFW's pictures with an emotion: each is one large face; the file's name says whose.

    Parameters
    ----------
    folder
        Holds ``faces_in_scenes.h5``.
    split
        ``train`` or ``val``.
    size, border
        As for ``read_fer_pictures``.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    names, emotion, of_split, source = scene_arrays(folder, "name", "emotion", "split", "source")
    rows, points, xyxy = scene_arrays(folder, "face/image_row", "face/landmarks68", "face/xyxy")
    wanted = (of_split == split) & (source == "lfw")
    largest = _largest_faces(rows, xyxy, len(names))
    usable = wanted & np.isin(emotion, EMOTIONS) & (largest >= 0)
    usable[usable] &= np.isfinite(points[largest[usable]]).all((1, 2))
    chosen = np.flatnonzero(usable)
    images = read_encoded_images(folder / SCENES_FILE, dataset="jpeg", mode="gray")
    border = round(size * _BORDER_SHARE) if border is None else border
    landmarks = points[largest[chosen]]  # (N, 68, 2) px
    faces, moved = [], []
    for row, face in zip(chosen, landmarks, strict=True):
        image = images[int(row)]
        transform = face_transforms(face[None], face[None, :5], image_size=image.shape[:2], size=size, border=border)
        faces.append(align_pictures(image[None], transform, size=size + 2 * border))
        moved.append(apply_transforms(transform, face[None]))
    label = np.array([EMOTION_INDEX[name] for name in emotion[chosen]], np.int64)
    full = size + 2 * border
    who = [re.sub(r"_\d+\.\w+$", "", name.rsplit("/", 1)[-1]) for name in names[chosen]]
    one_hot = np.eye(NUM_EMOTIONS, dtype=np.float32)[label]
    return LabelledPictures(
        faces=torch.cat(faces) if faces else torch.zeros((0, 1, full, full), dtype=torch.uint8),
        points=np.concatenate(moved) if moved else np.zeros((0, 68, 2), np.float32),
        target=(1 - _LFW_SMOOTHING) * one_hot + np.float32(_LFW_SMOOTHING / NUM_EMOTIONS),
        label=label,
        person=np.unique(np.array(who, str), return_inverse=True)[1].astype(np.int64),
    )


def _largest_faces(image_row: np.ndarray, xyxy: np.ndarray, num_images: int) -> np.ndarray:
    """Return for each image the row of its largest face, -1 where it has none."""
    largest = np.full(num_images, -1)
    area = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    order = np.argsort(area)
    largest[image_row[order]] = order
    return largest
