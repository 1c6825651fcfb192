"""How well a face detector does on photographs whose faces are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vidfer.faces.boxes import pairwise_iou
from vidfer.faces.detectors import FaceDetector
from vidfer.learning.datasets.face_scenes import Scene
from vidfer.types import FaceBoxes

MIN_TEACHER_SCORE = 0.6  # below, the label is neither face nor background
MAX_DISAGREEMENT = 0.09  # of the landmark teachers; above, often an animal
MIN_SIZE = 16.0  # px, root of the area; smaller faces do not count


@dataclass(frozen=True, kw_only=True)
class DetectionOutcome:
    """Every detection that counts, and what there was to find.

    Attributes
    ----------
    score
        (N,) float64, of the detections.
    hit
        (N,) bool: the detection is the first of its face, with an intersection over union of at least 0.5.
    num_faces
        Faces that were to be found.
    empty_score
        (P,) float64: the best score in each picture without a face, 0 where nothing fires.
    """

    score: np.ndarray
    hit: np.ndarray
    num_faces: int
    empty_score: np.ndarray


def detection_outcome(detector: FaceDetector, scenes: Sequence[Scene]) -> DetectionOutcome:
    """Run a detector, built with a low ``min_score``, on photographs.

    Faces below ``MIN_SIZE`` px, doubtful ones and probable animals neither count nor cost.
    """
    scores: list[float] = []
    hits: list[bool] = []
    num_faces, empty = 0, []
    for scene in scenes:
        boxes = detector.detect(torch.from_numpy(np.array(scene.pixels))[None])
        size = np.sqrt((scene.xyxy[:, 2:] - scene.xyxy[:, :2]).prod(axis=1))
        wanted = scene.is_clear(min_score=MIN_TEACHER_SCORE, max_disagreement=MAX_DISAGREEMENT) & (size >= MIN_SIZE)
        for i, hit in _counted(boxes, scene.xyxy, wanted):
            scores.append(float(boxes.score[i]))
            hits.append(hit)
        num_faces += int(wanted.sum())
        if scene.source == "no_faces":
            empty.append(float(boxes.score.max(initial=0.0)))
    return DetectionOutcome(
        score=np.array(scores), hit=np.array(hits, bool), num_faces=num_faces, empty_score=np.array(empty)
    )


def detection_figures(outcome: DetectionOutcome, *, min_score: float) -> dict[str, float]:
    """Return average precision, and recall, precision and share of empty pictures that fire at ``min_score``."""
    sure = outcome.score >= min_score
    found = int((outcome.hit & sure).sum())
    return {
        "average_precision": average_precision(outcome),
        "recall": found / max(1, outcome.num_faces),
        "precision": found / max(1, int(sure.sum())),
        "empty_fired": float((outcome.empty_score >= min_score).mean()) if len(outcome.empty_score) else 0.0,
    }


def average_precision(outcome: DetectionOutcome) -> float:
    """Return the area under precision over recall, precision made monotone (as in PASCAL VOC 2010)."""
    hit = outcome.hit[np.argsort(-outcome.score, kind="stable")]
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((precision * hit).sum() / max(1, outcome.num_faces))


def working_point(outcome: DetectionOutcome, *, precision: float) -> float:
    """Return the lowest score at which the detections are still right in that share; 0.5 where none is."""
    order = np.argsort(-outcome.score, kind="stable")
    reached = np.cumsum(outcome.hit[order]) / np.arange(1, len(order) + 1) >= precision
    return float(outcome.score[order][np.flatnonzero(reached)[-1]]) if reached.any() else 0.5


def _counted(boxes: FaceBoxes, faces: np.ndarray, wanted: np.ndarray) -> list[tuple[int, bool]]:
    """Return the detections of one picture that count, and whether they hit."""
    iou = pairwise_iou(boxes.xyxy, faces)
    taken = np.zeros(len(faces), bool)
    counted = []
    for i in range(len(boxes)):
        free = np.where(taken | ~wanted, 0.0, iou[i])
        if free.max(initial=0.0) >= 0.5:
            taken[int(free.argmax())] = True
            counted.append((i, True))
        elif not (iou[i] >= 0.3).any() and np.sqrt((boxes.xyxy[i, 2:] - boxes.xyxy[i, :2]).prod()) >= MIN_SIZE:
            counted.append((i, False))  # neither a doubtful nor a small face
    return counted
