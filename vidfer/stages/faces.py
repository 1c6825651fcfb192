"""Stage 1: where the faces are, with 68 landmarks, head pose and quality.

A face is not searched for anew in every frame. Frames are looked at in chunks; the detector runs on every
``detect_every``-th frame of a chunk and on its last one, boxes in between are interpolated, and the landmark network
then places each face exactly. The detector also runs wherever that cannot be trusted: across a hard cut, where a face
comes or goes, where frames lie far apart in time, and where the landmark score falls. A chunk depends on no other
chunk, so a run can go on at any of them and gives the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from vidfer.config import FacesConfig
from vidfer.faces.align import five_points, landmark_boxes, similarity_transforms
from vidfer.faces.boxes import pairwise_iou
from vidfer.faces.cuts import SIGNATURE_SIZE, frame_signatures, is_cut
from vidfer.faces.detectors import DETECTORS, FaceDetector
from vidfer.faces.landmarks import LANDMARKERS, FaceLandmarker
from vidfer.faces.pose import head_pose
from vidfer.faces.quality import face_quality, sharpness
from vidfer.stages.chunk import FrameChunk
from vidfer.stages.tables import FacesTable
from vidfer.types import NUM_LANDMARKS

QUALITY_SIZE = 64  # px of the aligned face on which sharpness is measured; the default backbone's, so it is shared
MAX_FOLLOW_SECONDS = 0.25  # frames of a chunk further apart than this are searched one by one
SAME_FACE_IOU = 0.4  # least overlap of a face in two searched frames for its box to be interpolated between them


@dataclass(frozen=True)
class _Boxes:
    """Boxes of a chunk before landmarks: row (N,) of the frame, xyxy (N, 4), score (N,)."""

    row: np.ndarray
    xyxy: np.ndarray
    score: np.ndarray

    def at(self, row: int) -> _Boxes:
        return self.where(self.row == row)

    def where(self, keep: np.ndarray) -> _Boxes:
        return _Boxes(self.row[keep], self.xyxy[keep], self.score[keep])

    @staticmethod
    def join(parts: list[_Boxes]) -> _Boxes:
        return _Boxes(
            np.concatenate([np.zeros(0, np.int64), *(p.row for p in parts)]),
            np.concatenate([np.zeros((0, 4), np.float32), *(p.xyxy for p in parts)]),
            np.concatenate([np.zeros(0, np.float32), *(p.score for p in parts)]),
        )


class FacesStage:
    """Detects faces and places landmarks, chunk by chunk.

    The networks are loaded when the first chunk comes.
    """

    def __init__(self, config: FacesConfig, *, device: str) -> None:
        self._config = config
        self._device = device
        self._networks: tuple[FaceDetector, FaceLandmarker] | None = None

    def process(self, chunk: FrameChunk) -> FacesTable:
        """Return the frames of a chunk and their faces."""
        config = self._config
        signatures = frame_signatures(chunk.batch.images)
        boxes, searched = self._find(chunk, signatures)
        landmarks, landmark_score = self._locate(chunk, boxes)
        lost = np.unique(boxes.row[(landmark_score < config.min_landmark_score) & ~searched[boxes.row]])
        if len(lost):  # an interpolated box missed its face: search these frames
            boxes = _Boxes.join([boxes.where(~np.isin(boxes.row, lost)), self._detect(chunk, lost)])
            landmarks, landmark_score = self._locate(chunk, boxes)
        order = np.lexsort((-boxes.score, boxes.row))
        keep = order[landmark_score[order] >= config.min_landmark_score]
        return self._table(chunk, signatures, boxes.where(keep), landmarks[keep], landmark_score[keep])

    def load(self) -> None:
        """Load the networks now; see ``EmbeddingsStage.load``."""
        self._loaded()

    def empty(self) -> FacesTable:
        """Return the table of a stretch of video without a decodable frame."""
        return FacesTable(
            frame_index=np.zeros(0, np.int64),
            pts_seconds=np.zeros(0, np.float64),
            signature=np.zeros((0, SIGNATURE_SIZE), np.float16),
            num_faces=np.zeros(0, np.uint16),
            xyxy=np.zeros((0, 4), np.float32),
            score=np.zeros(0, np.float32),
            landmarks=np.zeros((0, NUM_LANDMARKS, 2), np.float32),
            landmark_score=np.zeros(0, np.float32),
            transform=np.zeros((0, 2, 3), np.float32),
            pose=np.zeros((0, 3), np.float32),
            quality=np.zeros(0, np.float32),
        )

    def _find(self, chunk: FrameChunk, signatures: np.ndarray) -> tuple[_Boxes, np.ndarray]:
        """Return boxes for all frames of the chunk and which frames (B,) were searched by the detector."""
        num_frames = len(chunk.batch)
        searched = np.zeros(num_frames, np.bool_)
        stops = _stops(chunk.batch.pts_seconds, signatures, self._config.detect_every)
        searched[stops] = True
        found = self._detect(chunk, np.flatnonzero(searched))
        parts = [found]
        doubtful: list[np.ndarray] = []
        for first, last in pairwise(stops.tolist()):
            if last - first < 2:
                continue
            between = _interpolate(found.at(first), found.at(last), chunk.batch.pts_seconds)
            if between is None:
                doubtful.append(np.arange(first + 1, last))
            else:
                parts.append(between)
        if doubtful:
            rows = np.concatenate(doubtful)
            searched[rows] = True
            parts.append(self._detect(chunk, rows))
        return _Boxes.join(parts), searched

    def _detect(self, chunk: FrameChunk, rows: np.ndarray) -> _Boxes:
        config = self._config
        everything = len(rows) == len(chunk.batch)
        found = self._loaded()[0].detect(chunk.images if everything else chunk.images[rows])
        large = (found.xyxy[:, 2:] - found.xyxy[:, :2]).max(1, initial=0) >= config.min_size
        # Rows come by image, then score: the rank within an image is the distance to its first row.
        rank = np.arange(len(found)) - np.searchsorted(found.image_row, found.image_row)
        keep = large & (rank < config.max_faces)
        return _Boxes(rows[found.image_row[keep]], found.xyxy[keep], found.score[keep])

    def _locate(self, chunk: FrameChunk, boxes: _Boxes) -> tuple[np.ndarray, np.ndarray]:
        return self._loaded()[1].locate(chunk.images, boxes.row, boxes.xyxy)

    def _table(
        self, chunk: FrameChunk, signatures: np.ndarray, boxes: _Boxes, landmarks: np.ndarray, score: np.ndarray
    ) -> FacesTable:
        height, width = chunk.batch.images.shape[1:3]
        transform = similarity_transforms(five_points(landmarks))
        pose = head_pose(landmarks, image_size=(width, height))
        gray = chunk.aligned_faces(boxes.row, transform, QUALITY_SIZE).mean(1).cpu().numpy()  # (N, S, S)
        xyxy = landmark_boxes(landmarks)
        size_px = (xyxy[:, 2:] - xyxy[:, :2]).max(1, initial=0)
        return FacesTable(
            frame_index=chunk.batch.frame_index,
            pts_seconds=chunk.batch.pts_seconds,
            signature=signatures.astype(np.float16),
            num_faces=np.bincount(boxes.row, minlength=len(chunk.batch)).astype(np.uint16),
            xyxy=xyxy,
            score=boxes.score,
            landmarks=landmarks,
            landmark_score=score,
            transform=transform,
            pose=pose,
            quality=face_quality(sharpness=sharpness(gray), size_px=size_px, pose=pose, landmark_score=score),
        )

    def _loaded(self) -> tuple[FaceDetector, FaceLandmarker]:
        if self._networks is None:
            config = self._config
            detector = DETECTORS.get(config.detector)(
                device=self._device,
                min_score=config.min_score,
                long_side=config.long_side,
                weights=config.detector_weights,
            )
            landmarker = LANDMARKERS.get(config.landmarks)(device=self._device, weights=config.landmark_weights)
            self._networks = detector, landmarker
        return self._networks


def _stops(pts_seconds: np.ndarray, signatures: np.ndarray, detect_every: int) -> np.ndarray:
    """Return the rows that the detector searches in any case: ascending, the first and last row among them."""
    num_frames = len(pts_seconds)
    stops = np.arange(num_frames) % detect_every == 0
    stops[-1:] = True
    cuts = np.flatnonzero(is_cut(signatures[:-1], signatures[1:])) + 1 if num_frames > 1 else np.zeros(0, np.int64)
    stops[cuts] = stops[cuts - 1] = True  # the last frame before a cut and the first one after it
    rows = np.flatnonzero(stops)
    for first, last in pairwise(rows.tolist()):
        if pts_seconds[last] - pts_seconds[first] > MAX_FOLLOW_SECONDS:
            stops[first:last] = True
    return np.flatnonzero(stops)


def _interpolate(first: _Boxes, last: _Boxes, pts_seconds: np.ndarray) -> _Boxes | None:
    """Return boxes for the frames strictly between two searched ones; None if a face came, went or jumped."""
    if len(first.row) != len(last.row):
        return None
    if len(first.row) == 0:
        return _Boxes.join([])
    overlap = pairwise_iou(first.xyxy, last.xyxy)  # (N, N)
    a, b = linear_sum_assignment(-overlap)
    if overlap[a, b].min() < SAME_FACE_IOU:
        return None
    start, stop = int(first.row[0]), int(last.row[0])
    rows = np.arange(start + 1, stop)
    weight = (pts_seconds[rows] - pts_seconds[start]) / (pts_seconds[stop] - pts_seconds[start])  # (R,)
    weight = weight[:, None, None].astype(np.float32)
    xyxy = first.xyxy[a] * (1 - weight) + last.xyxy[b] * weight  # (R, N, 4)
    score = np.minimum(first.score[a], last.score[b])  # (N,)
    return _Boxes(np.repeat(rows, len(a)), xyxy.reshape(-1, 4), np.tile(score, len(rows)))
