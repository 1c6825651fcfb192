"""Faces of one clip: columnar tables whose rows keep one order from detection to timeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from vidfer.types.stored import StoredArray
from vidfer.types.validation import Columns, Rows

NUM_LANDMARKS = 68
NUM_POINTS = 5


@dataclass(frozen=True, kw_only=True)
class FaceBoxes(Columns):
    """What a detector found in a batch of images.

    Attributes
    ----------
    image_row
        (N,) int64 into the batch, ascending.
    xyxy
        (N, 4) float32, left, top, right, bottom in pixels of the image; may reach beyond its edge.
    score
        (N,) float32, 0..1; descending within an image.
    points5
        (N, 5, 2) float32 pixels: right eye, left eye, nose tip, right and left mouth corner of the person
        (the person's right is on the image's left); NaN where a detector gives none.
    """

    image_row: Annotated[np.ndarray, "N", np.int64]
    xyxy: Annotated[np.ndarray, "N", 4, np.float32]
    score: Annotated[np.ndarray, "N", np.float32]
    points5: Annotated[np.ndarray, "N", NUM_POINTS, 2, np.float32]


@dataclass(frozen=True, kw_only=True)
class FaceDetections(Rows):
    """One row per face and frame, ordered by frame, then by descending detector score.

    Attributes
    ----------
    frame_row
        (N,) int64 into SampledFrames, ascending.
    xyxy
        (N, 4) float32, left, top, right, bottom in display pixels.
    score
        (N,) float32, the detector's, 0..1 (of the last detection where the face was followed).
    landmarks
        (N, 68, 2) float32 display pixels, in the iBUG 300-W order; those of a finished clip stay on disk until rows are
        asked for.
    landmark_score
        (N,) float32, 0..1: how sure the landmark network is that this is a face.
    transform
        (N, 2, 3) float32, source px -> the unit square of the canonical aligned face (``faces.align``).
    pose
        (N, 3) float32 degrees: pitch (up is positive), yaw (towards the image's right is positive), roll
        (clockwise in the image is positive).
    quality
        (N,) float32, 0..1: the chance that the expression label is that of the clean, frontal, large face.
    """

    frame_row: Annotated[np.ndarray, "N", np.int64]
    xyxy: Annotated[np.ndarray, "N", 4, np.float32]
    score: Annotated[np.ndarray, "N", np.float32]
    landmarks: Annotated[np.ndarray | StoredArray, "N", NUM_LANDMARKS, 2, np.float32]
    landmark_score: Annotated[np.ndarray, "N", np.float32]
    transform: Annotated[np.ndarray, "N", 2, 3, np.float32]
    pose: Annotated[np.ndarray, "N", 3, np.float32]
    quality: Annotated[np.ndarray, "N", np.float32]

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.any(np.diff(self.frame_row) < 0):
            raise ValueError("FaceDetections.frame_row must ascend")


@dataclass(frozen=True, kw_only=True)
class FaceEmbeddings(Columns):
    """The per-frame network's view of each face; row i belongs to row i of FaceDetections.

    Attributes
    ----------
    vectors
        (N, D) float16.
    logits
        (N, K) float32, before softmax, temperature already applied; columns as ``labels.EMOTIONS``.
    """

    vectors: Annotated[np.ndarray, "N", "D", np.float16]
    logits: Annotated[np.ndarray, "N", "K", np.float32]


@dataclass(frozen=True, kw_only=True)
class FaceTracks(Columns):
    """Who is who; row i belongs to row i of FaceDetections.

    Attributes
    ----------
    track_id
        (N,) int32, numbered from 0 by first appearance; -1 = dropped.
    """

    track_id: Annotated[np.ndarray, "N", np.int32]


@dataclass(frozen=True, kw_only=True)
class FacePeople(Columns):
    """Which tracks are the same person's; row i belongs to row i of FaceDetections.

    Attributes
    ----------
    person_id
        (N,) int32, numbered from 0 by first appearance; -1 for a face that tracking dropped.
    confidence
        (N,) float32, 0..1, of the link that joined the face's track to its person; 1 for a person's first track.
    unsure
        (U, 2) int32, people who may be the same and were left apart, ...
    unsure_confidence
        ... (U,) float32, and how likely they are.
    """

    person_id: Annotated[np.ndarray, "N", np.int32]
    confidence: Annotated[np.ndarray, "N", np.float32]
    unsure: Annotated[np.ndarray, "U", 2, np.int32]
    unsure_confidence: Annotated[np.ndarray, "U", np.float32]
