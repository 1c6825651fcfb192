"""Faces of which a teacher (MediaPipe FaceLandmarker) says how they are moved: photographs, FER2013, frames of clips.

``teachers.h5`` speaks of the stills. Stills hold few closed eyes, so frames of videos are added: ``clips`` in the data
folder, with ``movement_labels.h5`` made by ``benchmarks/label_clips.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from vidfer.config import FacesConfig, load_pipeline
from vidfer.errors import DataError
from vidfer.faces.align import (
    TEMPLATE,
    apply_transforms,
    five_points,
    landmark_boxes,
    similarity_transforms,
    warp_faces,
)
from vidfer.faces.landmarks import LANDMARKERS
from vidfer.learning.datasets import fer2013plus
from vidfer.learning.datasets.encoded_images import read_encoded_images
from vidfer.learning.datasets.face_landmarks import FER_SPLIT
from vidfer.learning.datasets.face_scenes import SCENES_FILE, TEACHERS_FILE, Split, scene_arrays
from vidfer.learning.datasets.hdf5 import opened
from vidfer.movements import MOVEMENTS
from vidfer.movements.eyes import eye_centres
from vidfer.pipeline.chunk import FrameChunk, chunk_frames
from vidfer.pipeline.faces import FacesStage
from vidfer.pipeline.pipeline import Pipeline
from vidfer.pipeline.regroup import regrouped
from vidfer.types.validation import Rows
from vidfer.video.probe import probe

logger = logging.getLogger(__name__)

SIDE: Final = 120  # px of the aligned face in its tile
BORDER: Final = 24  # px around it
TILE: Final = SIDE + 2 * BORDER
LABELS_FILE: Final = "movement_labels.h5"
# The teacher's score for a blink is about 0.1 of an open eye and 0.65 of a closed one; its own points say so: the
# height of the opening falls evenly with it and is 0.04 of the eye's width from 0.7 on (11,788 faces).
CLOSED: Final = 0.7
# Movement: the blendshapes whose mean it is.
BLENDSHAPES: Final[Mapping[str, tuple[str, ...]]] = {
    "eye_open_left": ("eyeBlinkLeft",),
    "eye_open_right": ("eyeBlinkRight",),
    "smile_left": ("mouthSmileLeft",),
    "smile_right": ("mouthSmileRight",),
    "mouth_open": ("jawOpen",),
    "mouth_pucker": ("mouthPucker",),
    "mouth_press": ("mouthPressLeft", "mouthPressRight"),
    "corners_down": ("mouthFrownLeft", "mouthFrownRight"),
    "lip_raise": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "brow_raise_inner": ("browInnerUp",),
    "brow_raise_outer": ("browOuterUpLeft", "browOuterUpRight"),
    "brow_lower": ("browDownLeft", "browDownRight"),
    "eye_wide": ("eyeWideLeft", "eyeWideRight"),
    "eye_squint": ("eyeSquintLeft", "eyeSquintRight"),
}
# Points of MediaPipe's mesh: corners of the right and the left eye, and the centres of the irises.
_CORNERS, _IRISES = ((33, 133), (362, 263)), (468, 473)
# The mesh's outlines of eyes, lips (outer, inner) and brows; those of the right eye and brow first.
_RIGHT = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
)
_LEFT = (
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)
_LIPS = (
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
)
OUTLINES: Final = tuple(point for ring in (*_RIGHT, *_LEFT, *_LIPS) for point in ring)
# Which point of OUTLINES each becomes in the mirror; lips begin at the right corner and go down.
_OPPOSITE = {a: b for right, left in zip(_RIGHT, _LEFT, strict=True) for a, b in zip(right, left, strict=True)}
_OPPOSITE |= {left: right for right, left in _OPPOSITE.items()}
_OPPOSITE |= {lips[i]: lips[(10 - i) % 20] for lips in _LIPS for i in range(20)}
OUTLINES_MIRRORED: Final = tuple(OUTLINES.index(_OPPOSITE[point]) for point in OUTLINES)
_FULL_SHAPE, _NO_FACE = 250.0, 255
_SAME_FACE = 0.3  # of the eyes' distance: how far the teacher's eyes may lie from ours


@dataclass(frozen=True, kw_only=True)
class MovementFaces(Rows):
    """Tiles around aligned faces and what the teacher says of them. N faces.

    Attributes
    ----------
    tiles
        (N, TILE, TILE) uint8 gray: the aligned face of SIDE px, and BORDER px around it.
    eyes
        (N, 2, 2) float32: the middles between the corners of the right and the left eye, in sides of the aligned face.
    values
        (N, len(MOVEMENTS)) float32, 0..1.
    iris
        (N, 2, 2) float32, as in ``Movements``; NaN where the teacher gives no points.
    outlines
        (N, len(OUTLINES), 2) float32: the teacher's outlines of eyes, brows and lips, turned as the aligned face is,
        from their own middle, in its sides; NaN where it gives no points.
    size_px
        (N,) float32, longer side of the face's box in its picture.
    pose
        (N, 3) float32 degrees; NaN for stills.
    row
        (N,) int64, of the face in its file, or of the frame in its clip.
    source
        (N,) str: ``lfw``, ``flickr8k``, ``fer``, or the clip's name.
    """

    tiles: np.ndarray
    eyes: np.ndarray
    values: np.ndarray
    iris: np.ndarray
    outlines: np.ndarray
    size_px: np.ndarray
    pose: np.ndarray
    row: np.ndarray
    source: np.ndarray


def movement_values(scores: np.ndarray, names: Iterable[str]) -> np.ndarray:
    """Return movements (N, len(MOVEMENTS)) float32, 0..1, of the teacher's blendshapes (N, 52), 0..1."""
    column = {name: i for i, name in enumerate(names)}
    values = np.stack([scores[:, [column[b] for b in BLENDSHAPES[name]]].mean(1) for name in MOVEMENTS], 1)
    values[:, :2] = 1 - values[:, :2] / CLOSED
    return values.clip(0, 1).astype(np.float32)


def iris_offsets(points: np.ndarray, column: Mapping[int, int], transform: np.ndarray) -> np.ndarray:
    """Return ``Movements.iris`` (N, 2, 2) of the teacher's points (N, P, 2) px; ``column`` says which are which."""
    offset = np.stack(
        [
            points[:, column[iris]] - points[:, [column[corner] for corner in corners]].mean(1)
            for corners, iris in zip(_CORNERS, _IRISES, strict=True)
        ],
        1,
    )  # (N, 2, 2) px
    return _turned(offset, transform)


def outlines(points: np.ndarray, column: Mapping[int, int], transform: np.ndarray) -> np.ndarray:
    """Return ``MovementFaces.outlines`` (N, len(OUTLINES), 2) of the teacher's points (N, P, 2) px."""
    chosen = points[:, [column[point] for point in OUTLINES]]
    return _turned(chosen - chosen.mean(1, keepdims=True), transform)


def _turned(offsets: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Return offsets (N, P, 2) px as the aligned face shows them, in its sides."""
    turned: np.ndarray = np.einsum("nij,npj->npi", transform[:, :, :2], offsets)
    return turned.astype(np.float32)


def scene_movements(folder: Path, split: Split) -> MovementFaces:
    """Return the faces of photographs; raises DataError if a file is missing or damaged."""
    scores, face_row, points, names, mesh = _read(
        folder, "scenes/blendshape", "scenes/mesh_face_row", "scenes/mesh_points"
    )
    image_row, xyxy = (column[face_row] for column in scene_arrays(folder, "face/image_row", "face/xyxy"))
    of_split, source = (column[image_row] for column in scene_arrays(folder, "split", "source"))
    rows = np.flatnonzero((of_split == split) & (scores[:, 0] != _NO_FACE))
    images = read_encoded_images(folder / SCENES_FILE, dataset="jpeg", mode="rgb")
    pictures = ((images[int(image_row[row])], xyxy[row]) for row in rows)
    cut = _located(pictures, len(rows))
    values = movement_values(scores[rows] / _FULL_SHAPE, names)
    seen = points[rows].astype(np.float32), {int(m): i for i, m in enumerate(mesh)}, cut["transform"]
    return _faces(cut, values, seen, row=face_row[rows].astype(np.int64), source=source[rows])


def fer_movements(folder: Path, split: Split, *, count: int, seed: int) -> MovementFaces:
    """Return up to ``count`` faces of FER2013, those with rare movements more often."""
    pictures = fer2013plus.read_fer2013plus(folder, FER_SPLIT[split])
    scores, names, _ = _read(folder, "fer/blendshape")
    scores = scores[pictures.row]
    known = np.isfinite(pictures.landmarks68).all((1, 2)) & (scores[:, 0] != _NO_FACE)
    pictures, values = pictures.take(known), movement_values(scores[known] / _FULL_SHAPE, names)
    weight = rarity(values)
    random = np.random.default_rng([seed, 2])
    rows = np.sort(random.choice(len(values), min(count, len(values)), replace=False, p=weight / weight.sum()))
    chosen = pictures.take(rows)
    boxes = landmark_boxes(chosen.landmarks68)
    colours = (np.repeat(picture[..., None], 3, -1) for picture in chosen.images)
    cut = _located(zip(colours, boxes, strict=True), len(rows))
    return _faces(cut, values[rows], None, row=chosen.row.astype(np.int64), source=np.full(len(rows), "fer"))


def clip_movements(folder: Path, clips: Sequence[str]) -> MovementFaces:
    """Return the faces of frames of clips: the one in each frame that the teacher means.

    Raises
    ------
    DataError
        A clip or its labels are missing.
    """
    parts = []
    with opened(folder / LABELS_FILE, expected="what benchmarks/label_clips.py writes") as file:
        names = list(np.asarray(file.attrs["blendshape_names"]).astype(str))
        for clip in clips:
            found = sorted((folder / "clips").rglob(f"{clip}.*"))
            if clip not in file or not found:
                raise DataError(f"{folder}: expected the clip {clip} in clips/ and in {LABELS_FILE}")
            label = {key: file[clip][key][:] for key in ("points", "blendshape")}
            parts.append(_clip_faces(found[0], label["points"], movement_values(label["blendshape"], names)))
            logger.info("%s: %d faces", clip, len(parts[-1]))
    return MovementFaces.join(parts)


def rarity(values: np.ndarray) -> np.ndarray:
    """Return how often each face (N,) is drawn, relative to others: the more, the rarer its movements."""
    high = (values > 0.4).astype(np.float64)
    high[:, :2] = values[:, :2] < 0.4
    share = high.mean(0).clip(0.005)
    weight: np.ndarray = (1 + (high * share**-0.5).sum(1)) ** 0.5
    return weight


def _clip_faces(path: Path, points: np.ndarray, values: np.ndarray) -> MovementFaces:
    pipeline = Pipeline(load_pipeline("default"), device="cpu")
    stage = FacesStage(FacesConfig(), device="cpu")
    video = pipeline.turned(probe(path))
    reader, indices = pipeline.opened(video, "pyav")
    size = chunk_frames(video.info.frame_bytes)
    column = {i: i for i in range(points.shape[1])}
    parts = []
    for _, batch in regrouped(reader.read(indices, batch_size=size), indices, size):
        faces = stage.process(FrameChunk(batch, torch.device("cpu"))).detections()
        landmarks = np.asarray(faces.landmarks)
        row, frame = _matched(eye_centres(landmarks), faces.frame_row, points[batch.frame_index])
        faces, frame, landmarks = faces.take(row), batch.frame_index[frame], landmarks[row]
        cut = {
            "tiles": _tiles(batch.images, faces.frame_row, landmarks),
            "landmarks": landmarks,
            "transform": faces.transform,
            "xyxy": faces.xyxy,
            "pose": faces.pose,
        }
        seen = points[frame], column, faces.transform
        parts.append(_faces(cut, values[frame], seen, row=frame, source=np.full(len(row), path.stem)))
    return MovementFaces.join(parts)


def _matched(eyes: np.ndarray, frame_row: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which faces the teacher speaks of, and in which frame each is."""
    teacher = np.stack([points[:, corners].mean(1) for corners in _CORNERS], 1)  # (F, 2, 2)
    apart = np.linalg.norm(eyes - teacher[frame_row], axis=2).mean(1)  # (N,), NaN where the teacher saw none
    row = np.flatnonzero(apart < _SAME_FACE * np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=1))
    return row, frame_row[row]


def _located(pictures: Iterator[tuple[np.ndarray, np.ndarray]], count: int) -> dict[str, np.ndarray]:
    """Return tiles, landmarks, transforms and boxes of one face a picture, found from its box as in a video."""
    landmarker = LANDMARKERS.get("embedded")(device="cpu", weights="")
    tiles = np.zeros((count, TILE, TILE), np.uint8)
    landmarks = np.zeros((count, 68, 2), np.float32)
    for i, (picture, box) in enumerate(pictures):
        images = torch.from_numpy(np.ascontiguousarray(picture))[None]
        for _ in range(2):
            found, _ = landmarker.locate(images, np.zeros(1, np.int64), box[None])
            box = landmark_boxes(found)[0]
        landmarks[i] = found[0]
        tiles[i] = _tiles(picture[None], np.zeros(1, np.int64), found)[0]
    return {
        "tiles": tiles,
        "landmarks": landmarks,
        "transform": similarity_transforms(five_points(landmarks)),
        "xyxy": landmark_boxes(landmarks),
        "pose": np.full((count, 3), np.nan, np.float32),
    }


def _tiles(images: np.ndarray, image_row: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    transforms = similarity_transforms(five_points(landmarks), (TEMPLATE * SIDE + BORDER) / TILE)
    tiles = warp_faces(torch.from_numpy(images), image_row, transforms, size=TILE, gray=True)
    return (tiles[:, 0] * 255).round().byte().numpy()


def _faces(
    cut: dict[str, np.ndarray],
    values: np.ndarray,
    seen: tuple[np.ndarray, Mapping[int, int], np.ndarray] | None,
    *,
    row: np.ndarray,
    source: np.ndarray,
) -> MovementFaces:
    """Return faces; ``seen`` is what ``iris_offsets`` takes, None where the teacher gives no points."""
    unknown = np.full((len(row), len(OUTLINES), 2), np.nan, np.float32)
    size_px = (cut["xyxy"][:, 2:] - cut["xyxy"][:, :2]).max(1, initial=0)
    return MovementFaces(
        tiles=cut["tiles"],
        eyes=apply_transforms(cut["transform"], eye_centres(cut["landmarks"])),
        values=values,
        iris=unknown[:, :2] if seen is None else iris_offsets(*seen),
        outlines=unknown if seen is None else outlines(*seen),
        size_px=size_px,
        pose=cut["pose"],
        row=row,
        source=source.astype("U24"),
    )


def _read(folder: Path, *keys: str) -> list[np.ndarray]:
    """Return these arrays of ``teachers.h5``, then the names of the blendshapes and the numbers of the points."""
    with opened(folder / TEACHERS_FILE, expected="what a teacher says of the faces") as file:
        names = np.asarray(file.attrs["blendshape_names"]).astype(str)
        return [*(file[key][:] for key in keys), names, np.asarray(file.attrs["mesh_indices"])]
