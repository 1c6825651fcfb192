"""Faces with 68 landmarks, cut generously from photographs, and squares without a face.

Sources: photographs with faces (``faces_in_scenes.h5``: LFW and Flickr8k), FER2013's faces with FER+
(``fer2013plus.h5``, ``fer2013plus_landmarks68.h5``) and photographs without a face (``no_faces.h5``). The landmarks
were placed by larger public networks, so what learns from them is a distillation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import torch

from vidfer.faces.align import apply_transforms, box_transforms, landmark_boxes, warp_faces
from vidfer.learning.datasets import fer2013plus
from vidfer.learning.datasets.encoded_images import EncodedImages, read_encoded_images
from vidfer.learning.datasets.face_scenes import SCENES_FILE, NamedImages, Split, scene_arrays
from vidfer.learning.datasets.hdf5 import opened
from vidfer.types.validation import Rows, rows_by_number

MIN_SCORE = 0.6  # the file's own line: from 0.3 to 0.6 a detection is neither face nor background
_SQUARE_PX, _PER_PICTURE = 112, 20  # of squares without a face; of each scene one
FER_SPLIT: Final[dict[Split, fer2013plus.Split]] = {"train": "Training", "val": "PublicTest"}


@dataclass(frozen=True)
class LandmarkFaces(Rows):
    """Gray pictures of faces with their landmarks. N faces.

    Attributes
    ----------
    patches
        (N, S, S) uint8: the face and its surroundings, the picture's border repeated beyond its edge.
    landmarks
        (N, 68, 2) float32 in the unit square of the patch.
    xyxy
        (N, 4) float32, the detector's box in the unit square; NaN where no detector's box is known.
    disagreement
        (N,) float32: mean spread between the teachers, in sides of the face's box.
    width
        (N,) float32: how wide the face was in the picture, in pixels.
    alone
        (N,) bool: no other face, not even a doubtful one, is in the picture.
    """

    patches: Annotated[np.ndarray, "N", "S", "S", np.uint8]
    landmarks: Annotated[np.ndarray, "N", 68, 2, np.float32]
    xyxy: Annotated[np.ndarray, "N", 4, np.float32]
    disagreement: Annotated[np.ndarray, "N", np.float32]
    width: Annotated[np.ndarray, "N", np.float32]
    alone: Annotated[np.ndarray, "N", np.bool_]


@dataclass(frozen=True)
class Scenes:
    """What ``faces_in_scenes.h5`` says of its pictures and faces, with the pictures still encoded."""

    images: EncodedImages
    split: np.ndarray  # (images,) str
    image_row: np.ndarray  # (faces,)
    xyxy: np.ndarray  # (faces, 4) px
    score: np.ndarray  # (faces,)
    landmarks: np.ndarray  # (faces, 68, 2) px, NaN where unknown
    disagreement: np.ndarray  # (faces,)

    def where(self, faces: np.ndarray) -> Scenes:
        """Return the same pictures with some of their faces."""
        names = ("image_row", "xyxy", "score", "landmarks", "disagreement")
        return replace(self, **{name: getattr(self, name)[faces] for name in names})


def read_scenes(folder: Path) -> Scenes:
    """Read ``faces_in_scenes.h5``; raises DataError if it is missing or of another form."""
    images = read_encoded_images(folder / SCENES_FILE, dataset="jpeg", mode="rgb")
    columns = ("image_row", "xyxy", "score", "landmarks68", "landmark_disagreement")
    return Scenes(images, *scene_arrays(folder, "split", *(f"face/{name}" for name in columns)))


def scene_faces(scenes: Scenes, split: Split, *, size: int = 160) -> LandmarkFaces:
    """Cut every face that has landmarks out of its picture.

    Parameters
    ----------
    scenes
        From ``read_scenes``.
    split
        Which pictures.
    size
        Side of a patch in pixels.
    """
    known = np.isfinite(scenes.landmarks).all((1, 2)) & (scenes.score >= MIN_SCORE)
    rows = np.flatnonzero(known & (scenes.split[scenes.image_row] == split))
    faces_of_image = np.bincount(scenes.image_row, minlength=len(scenes.images))
    patches = np.zeros((len(rows), size, size), np.uint8)
    transforms = box_transforms(scenes.xyxy[rows], margin=1.0)
    for image, members in rows_by_number(scenes.image_row[rows]):
        patches[members] = _cut(scenes.images[image], transforms[members], size)
    boxes = apply_transforms(transforms, scenes.xyxy[rows].reshape(-1, 2, 2))  # (N, 2, 2)
    return LandmarkFaces(
        patches=patches,
        landmarks=apply_transforms(transforms, scenes.landmarks[rows]),
        xyxy=boxes.reshape(-1, 4),
        disagreement=scenes.disagreement[rows],
        width=scenes.xyxy[rows, 2] - scenes.xyxy[rows, 0],
        alone=faces_of_image[scenes.image_row[rows]] == 1,
    )


def fer_faces(folder: Path, split: Split) -> LandmarkFaces:
    """Return FER2013's pictures (48 x 48) of the official training or validation part that have landmarks."""
    pictures = fer2013plus.read_fer2013plus(folder, FER_SPLIT[split])
    with opened(folder / "fer2013plus_landmarks68.h5", expected="landmarks of FER2013") as file:
        disagreement = file["disagreement"][:].astype(np.float32)[pictures.row]
    known = np.isfinite(pictures.landmarks68).all((1, 2))
    pictures, disagreement = pictures.take(known), disagreement[known]
    landmarks = pictures.landmarks68
    boxes = landmark_boxes(landmarks)
    return LandmarkFaces(
        patches=pictures.images,
        landmarks=landmarks / np.float32(pictures.images.shape[1]),
        xyxy=np.full((len(pictures), 4), np.nan, np.float32),
        disagreement=disagreement,
        width=boxes[:, 2] - boxes[:, 0],
        alone=np.ones(len(pictures), bool),
    )


def background_patches(scenes: Scenes, no_faces: NamedImages, split: Split) -> np.ndarray:
    """Return squares (N, S, S) uint8 gray in which no face, not even a doubtful one, is touched.

    Parameters
    ----------
    scenes, no_faces
        Pictures with known faces, and pictures without any.
    split
        Of the scenes as the file says, of the pictures without a face as for the detector (``is_held_back``).
    """
    rng = np.random.default_rng([0, len(split)])
    nobody = np.zeros((0, 4))
    cut = [_random_squares(no_faces.images[i], nobody, _PER_PICTURE, rng) for i in no_faces.of_split(split)]
    order = np.argsort(scenes.image_row, kind="stable")
    starts = np.searchsorted(scenes.image_row[order], np.arange(len(scenes.images) + 1))
    for image in np.flatnonzero(scenes.split == split):
        faces = scenes.xyxy[order[starts[image] : starts[image + 1]]]
        cut.append(_random_squares(scenes.images[int(image)], faces, 1, rng))
    return np.concatenate(cut) if cut else np.zeros((0, _SQUARE_PX, _SQUARE_PX), np.uint8)


def _random_squares(image: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    squares: list[list[float]] = []
    for _ in range(8 * count):
        side = min(height, width) * rng.uniform(0.15, 1.0)
        left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
        overlap = np.minimum(faces[:, 2:], [left + side, top + side]) - np.maximum(faces[:, :2], [left, top])
        if not (overlap > 0).all(1).any():
            squares.append([left, top, left + side, top + side])
        if len(squares) == count:
            break
    if not squares:
        return np.zeros((0, _SQUARE_PX, _SQUARE_PX), np.uint8)
    return _cut(image, box_transforms(np.array(squares)), _SQUARE_PX)


def _cut(image: np.ndarray, transforms: np.ndarray, size: int) -> np.ndarray:
    frames = torch.from_numpy(image)[None]
    crops = warp_faces(frames, np.zeros(len(transforms), np.int64), transforms, size=size)  # (N, 3, S, S)
    luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    gray = (crops * luma).sum(1)  # (N, S, S)
    return (gray * 255).round().clamp(0, 255).to(torch.uint8).numpy()
