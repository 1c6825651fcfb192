"""Stage 1: where the faces are, with 68 landmarks, head pose and quality.

A face is not searched for anew in every frame. Frames are taken in chunks; the detector runs on every
``detect_every``-th frame of a chunk and on its last one (sooner where frames lie far apart in time), paths in between
are interpolated, and the landmark network then places each face exactly, in a second pass if it has left its path. The
detector also runs wherever that cannot be trusted: across a hard cut, where a face comes or goes, and where the
landmark score falls. A chunk depends on others only where there are more faces than may be followed: then who was in
the frame before it comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vidfer.config import FacesConfig, options_of
from vidfer.faces.align import five_points, landmark_boxes, similarity_transforms
from vidfer.faces.boxes import pair_up, pairwise_iou
from vidfer.faces.cuts import SIGNATURE_SIZE, frame_signatures, is_cut
from vidfer.faces.detectors import DETECTORS, FaceDetector
from vidfer.faces.landmarks import LANDMARKERS, FaceLandmarker
from vidfer.faces.pose import head_pose
from vidfer.faces.quality import QUALITY_SIZE, FaceQuality
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.exported_files import SUFFIX, as_read, factory_of
from vidfer.pipeline.tables import NO_TABLES, FacesTable, Table
from vidfer.types import NUM_LANDMARKS, FaceBoxes
from vidfer.types.validation import Rows

MAX_FOLLOW_SECONDS = 0.35  # searched frames are no further apart, unless one comes right after the other
# A face whose landmarks put its box so far from its path, in face sizes, is searched again there.
MAX_OFF_PATH = 0.01
# The surest score of the detector for a face upside down whose quality was above the most that it may have was 0.92.
MOST_INVERTED = 0.3
SURE_UPRIGHT = 0.93  # of the detector: of upright faces one in ten has less
NEARLY_AS_SURE = 0.02  # the landmark network's second pass raises its score by no more
SAME_FACE_IOU = 0.4  # least overlap of a face in two searched frames for its box to be interpolated between them


@dataclass(frozen=True)
class _Faces(Rows):
    """Faces of a chunk.

    Attributes
    ----------
    row
        (N,) the frame.
    given_xyxy, xyxy
        (N, 4) px: the box that the landmark network was given, and the one that the landmarks give.
    score
        (N,) of the detector.
    landmarks, landmark_score
        (N, 68, 2) px and (N,).
    """

    row: np.ndarray
    given_xyxy: np.ndarray
    xyxy: np.ndarray
    score: np.ndarray
    landmarks: np.ndarray
    landmark_score: np.ndarray


@dataclass(frozen=True)
class LocatedFaces:
    """A chunk after the networks of this stage, before what follows from landmarks: see ``FacesStage.describe``."""

    signatures: np.ndarray  # (B, SIGNATURE_SIZE), see faces.cuts
    faces: _Faces
    left_out: np.ndarray  # (B,) faces beyond the most that are followed


@dataclass(frozen=True)
class _Path(Rows):
    """Faces between two searched frames, if they moved evenly.

    Attributes
    ----------
    row
        (N,) the frame.
    before, after
        (N,) which of the searched faces it is in the searched frame before, and in the one after.
    weight
        (N, 1) how far it is on its way, 0..1.
    """

    row: np.ndarray
    before: np.ndarray
    after: np.ndarray
    weight: np.ndarray

    def between(self, boxes: np.ndarray) -> np.ndarray:
        """Return where these faces are (N, 4), given the searched faces' boxes (M, 4)."""
        return boxes[self.before] * (1 - self.weight) + boxes[self.after] * self.weight

    @staticmethod
    def none() -> _Path:
        no_rows = np.zeros(0, np.int64)
        return _Path(no_rows, no_rows, no_rows, np.zeros((0, 1), np.float32))


class FacesStage:
    """Detects faces and places landmarks, chunk by chunk.

    The networks are loaded when the first chunk comes.

    Parameters
    ----------
    config, device
        ``[faces]``, and where the networks compute.
    detector, landmarks
        Used instead of those that the settings name.
    """

    def __init__(
        self,
        config: FacesConfig,
        *,
        device: str,
        detector: FaceDetector | None = None,
        landmarks: FaceLandmarker | None = None,
    ) -> None:
        self._config = config
        self._device = device
        self._given = detector, landmarks
        self._networks: tuple[FaceDetector, FaceLandmarker] | None = None
        self._quality: FaceQuality | None = None

    def process(self, chunk: FrameChunk, tables: Mapping[str, Table] = NO_TABLES) -> FacesTable:
        """Return the frames of a chunk and their faces."""
        return self.describe(chunk, self.locate(chunk))

    def locate(self, chunk: FrameChunk) -> LocatedFaces:
        """Return the faces of a chunk with their landmarks: the networks' half of ``process``."""
        signatures = frame_signatures(chunk.batch.images)
        faces, left_out = self._find(chunk, signatures)
        return LocatedFaces(signatures, faces.take(np.lexsort((-faces.score, faces.row))), left_out)

    def describe(self, chunk: FrameChunk, located: LocatedFaces) -> FacesTable:
        """Return the chunk's table: alignment, pose and quality of each face follow from its landmarks."""
        height, width = chunk.batch.images.shape[1:3]
        faces, landmarks = located.faces, located.faces.landmarks
        transform = similarity_transforms(five_points(landmarks))
        pose = head_pose(landmarks, image_size=(width, height))
        aligned = chunk.aligned_faces(faces.row, transform, QUALITY_SIZE)  # (N, 3, S, S)
        size_px = (faces.xyxy[:, 2:] - faces.xyxy[:, :2]).max(1, initial=0)
        return FacesTable(
            frame_index=chunk.batch.frame_index,
            pts_seconds=chunk.batch.pts_seconds,
            signature=located.signatures.astype(np.float16),
            num_faces=np.bincount(faces.row, minlength=len(chunk.batch)).astype(np.uint16),
            num_left_out=located.left_out.astype(np.uint16),
            xyxy=faces.xyxy,
            score=faces.score,
            landmarks=landmarks,
            landmark_score=faces.landmark_score,
            transform=transform,
            pose=pose,
            quality=self._without_inverted(
                chunk,
                faces,
                self._judge().judge(aligned, size_px=size_px, pose=pose, landmark_score=faces.landmark_score),
            ),
        )

    def _without_inverted(self, chunk: FrameChunk, faces: _Faces, quality: np.ndarray) -> np.ndarray:
        """Return the quality with that of faces which stand on their heads lowered.

        The landmark network is surer of a face that it sees upright: where the detector leaves a doubt it looks at the
        picture turned by 180 degrees too.
        """
        doubted = np.flatnonzero((quality > MOST_INVERTED) & (faces.score < SURE_UPRIGHT))
        if not len(doubted):
            return quality
        rows, place = np.unique(faces.row[doubted], return_inverse=True)
        images = chunk.images_of(rows, inverted=True)
        height, width = images.shape[1:3]
        given_xyxy = np.array([width, height] * 2, np.float32) - faces.xyxy[doubted][:, [2, 3, 0, 1]]
        for nearly in (NEARLY_AS_SURE, 0.0):  # the second pass is around the first one's landmarks, as in ``search``
            landmarks, score = self._loaded()[1].locate(images, place, given_xyxy)
            surer = score > faces.landmark_score[doubted] - nearly
            doubted, place, given_xyxy = doubted[surer], place[surer], landmark_boxes(landmarks[surer])
        quality = quality.copy()
        quality[doubted] = np.minimum(quality[doubted], MOST_INVERTED)
        return quality

    def uprightness(self, pictures: np.ndarray) -> np.ndarray:
        """Return how surely each face in pictures (B, H, W, 3) uint8 is one that stands upright, (N,) 0..about 0.4.

        Both networks find faces in any position, only less surely; and on a face that is not upright the eyes and the
        mouth lie closer together than they should.
        """
        detector, landmarker = self._loaded()
        images = as_read(pictures, self._config.detector_weights)
        found = detector.detect(images)
        landmarks, score = landmarker.locate(images, found.image_row, found.xyxy)
        rise = landmarks[:, 48:, 1].mean(1) - landmarks[:, 36:48, 1].mean(1)
        height = np.maximum(found.xyxy[:, 3] - found.xyxy[:, 1], 1)
        uprightness: np.ndarray = found.score * score * np.clip(rise / height, 0, 0.5)
        return uprightness[score >= self._config.min_landmark_score]

    def load(self) -> bool:
        """Load the networks now (see ``EmbeddingsStage.load``); return whether threads may share this stage."""
        self._judge()
        return all(getattr(network, "is_thread_safe", False) for network in self._loaded())

    def empty(self) -> FacesTable:
        """Return the table of a stretch of video without a decodable frame."""
        return FacesTable(
            frame_index=np.zeros(0, np.int64),
            pts_seconds=np.zeros(0, np.float64),
            signature=np.zeros((0, SIGNATURE_SIZE), np.float16),
            num_faces=np.zeros(0, np.uint16),
            num_left_out=np.zeros(0, np.uint16),
            xyxy=np.zeros((0, 4), np.float32),
            score=np.zeros(0, np.float32),
            landmarks=np.zeros((0, NUM_LANDMARKS, 2), np.float32),
            landmark_score=np.zeros(0, np.float32),
            transform=np.zeros((0, 2, 3), np.float32),
            pose=np.zeros((0, 3), np.float32),
            quality=np.zeros(0, np.float32),
        )

    def _find(self, chunk: FrameChunk, signatures: np.ndarray) -> tuple[_Faces, np.ndarray]:
        """Return the faces of all frames of the chunk, and how many are left out of each (B,)."""
        pts_seconds = chunk.batch.pts_seconds
        stops = _stops(pts_seconds, signatures, self._config.detect_every)
        left_out = np.zeros(len(chunk.batch), np.int64)
        seen = self._detect(chunk, stops, left_out, None)
        left_out = left_out[stops[np.searchsorted(stops, np.arange(len(left_out)), "right") - 1]]  # until the next stop
        lost = np.zeros(len(chunk.batch), np.bool_)  # frames in which faces cannot be followed
        paths: list[_Path] = []
        for first, last in pairwise(stops.tolist()):
            if last - first < 2:
                continue
            path = _interpolate(seen, first, last, pts_seconds)
            if path is None:
                lost[first + 1 : last] = True
            else:
                paths.append(path)
        found, followed = self._follow(chunk, seen, _Path.join([_Path.none(), *paths]), lost)
        if lost.any():
            again = self.search(chunk, np.flatnonzero(lost), left_out, seen)
            return _Faces.join([found, followed.take(~lost[followed.row]), again]), left_out
        return _Faces.join([found, followed]), left_out

    def detect(self, chunk: FrameChunk, rows: np.ndarray) -> FaceBoxes:
        """Return what the detector alone finds in some frames, of any size."""
        return self._loaded()[0].detect(chunk.images_of(rows))

    def is_large(self, boxes: np.ndarray) -> np.ndarray:
        """Return which boxes (N, 4) are of faces that are looked at."""
        large: np.ndarray = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0) >= self._config.min_size
        return large

    def _detect(
        self,
        chunk: FrameChunk,
        rows: np.ndarray,
        left_out: np.ndarray,
        others: _Faces | None,
        found: FaceBoxes | None = None,
    ) -> _Faces:
        """Run the detector on some frames; return the faces that the landmark network confirms.

        How many are ``left_out`` of each frame is noted. ``others`` are faces that were found in other frames,
        ``found`` is what the detector has found in these.
        """
        if found is None:
            found = self.detect(chunk, rows)
        large = self.is_large(found.xyxy)
        keep = _within_limit(rows, found, large, self._config.max_faces, others, chunk.boxes_before)
        left_out[rows] = np.bincount(found.image_row[large & ~keep], minlength=len(rows))
        return self.confirmed(self.place(chunk, rows[found.image_row[keep]], found.xyxy[keep], found.score[keep]))

    def search(
        self,
        chunk: FrameChunk,
        rows: np.ndarray,
        left_out: np.ndarray,
        others: _Faces | None = None,
        found: FaceBoxes | None = None,
    ) -> _Faces:
        """Return the faces of some frames, noting how many are ``left_out`` of each; see ``_detect``.

        After the detector the landmark network looks twice, around its own landmarks the second time: where the
        detector put the box matters little then.
        """
        seen = self._detect(chunk, rows, left_out, others, found)
        return self.confirmed(self.place(chunk, seen.row, seen.xyxy, seen.score))

    def _follow(self, chunk: FrameChunk, seen: _Faces, path: _Path, lost: np.ndarray) -> tuple[_Faces, _Faces]:
        """Look at searched faces a second time (see ``search``), and at those between them; again at some of these.

        Returns the searched faces and the others, and marks the frames in which one of the others is ``lost``.
        """
        score = np.minimum(seen.score[path.before], seen.score[path.after])
        both = self.place(
            chunk,
            np.concatenate([seen.row, path.row]),
            np.concatenate([seen.xyxy, path.between(seen.xyxy)]),
            np.concatenate([seen.score, score]),
        )
        searched = np.arange(len(both.row)) < len(seen.row)
        found, followed = both.take(searched), both.take(~searched)
        least = self._config.min_landmark_score
        known = found.landmark_score >= least
        lost[path.row[known[path.before] != known[path.after]]] = True
        of_face = known[path.before] & known[path.after]
        path, followed = path.take(of_face), followed.take(of_face)

        off_path = followed.xyxy - path.between(found.xyxy)  # (N, 4)
        size = np.sqrt(np.maximum((followed.given_xyxy[:, 2:] - followed.given_xyxy[:, :2]).prod(1), 1.0))
        left = np.abs(off_path).max(1, initial=0) > MAX_OFF_PATH * size
        left &= followed.landmark_score >= least
        if left.any():
            again = self.place(chunk, path.row[left], (followed.given_xyxy + off_path)[left], followed.score[left])
            followed = _Faces.join([followed.take(~left), again])
        lost[followed.row[followed.landmark_score < least]] = True
        return found.take(known), followed

    def confirmed(self, faces: _Faces) -> _Faces:
        """Return those of which the landmark network is sure."""
        return faces.take(faces.landmark_score >= self._config.min_landmark_score)

    def place(self, chunk: FrameChunk, row: np.ndarray, given_xyxy: np.ndarray, score: np.ndarray) -> _Faces:
        """Return the faces that the landmark network finds at given boxes; ``score`` is the detector's."""
        landmarks, landmark_score = self._loaded()[1].locate(chunk.images, row, given_xyxy)
        return _Faces(row, given_xyxy, landmark_boxes(landmarks), score, landmarks, landmark_score)

    def _loaded(self) -> tuple[FaceDetector, FaceLandmarker]:
        if self._networks is None:
            config = self._config
            detector, landmarks = self._given
            detector = detector or factory_of(DETECTORS, config.detector, config.detector_weights)(
                device=self._device,
                min_score=config.min_score,
                long_side=config.long_side,
                weights=config.detector_weights,
                **options_of(config, config.detector),
            )
            landmarks = landmarks or factory_of(LANDMARKERS, config.landmarks, config.landmark_weights)(
                device=self._device, weights=config.landmark_weights, **options_of(config, config.landmarks)
            )
            self._networks = detector, landmarks
        return self._networks

    def _judge(self) -> FaceQuality:
        if self._quality is None:
            make: type[FaceQuality] = FaceQuality
            if self._config.quality_weights.endswith(SUFFIX):
                from vidfer.pipeline.exported import ExportedQuality as make
            self._quality = make(device=self._device, weights=self._config.quality_weights)
        return self._quality


def _within_limit(
    rows: np.ndarray,
    found: FaceBoxes,
    large: np.ndarray,
    max_faces: int,
    others: _Faces | None,
    boxes_before: Callable[[], np.ndarray],
) -> np.ndarray:
    """Return which found faces to keep (N,): who was there in the searched frame before, then the best by score.

    ``others`` are the faces of frames that are not searched now, ``boxes_before`` gives those of the frame before all.
    """
    keep = large.copy()
    if np.bincount(found.image_row[large], minlength=1).max() <= max_faces:
        return keep
    last_row, last = -1, boxes_before()
    for image, row in enumerate(rows.tolist()):
        mine = np.flatnonzero(large & (found.image_row == image))
        if others is not None and len(earlier := others.row[(others.row > last_row) & (others.row < row)]):
            last = others.xyxy[others.row == earlier.max()]
        if len(mine) > max_faces:
            is_new = pairwise_iou(found.xyxy[mine], last).max(1, initial=0) < SAME_FACE_IOU
            keep[mine[np.argsort(is_new, kind="stable")[max_faces:]]] = False  # rows of an image come by score
        last_row, last = row, found.xyxy[mine[keep[mine]]]
    return keep


def _stops(pts_seconds: np.ndarray, signatures: np.ndarray, detect_every: int) -> np.ndarray:
    """Return the rows that the detector searches in any case: ascending, the first and last row among them."""
    num_frames = len(pts_seconds)
    stops = np.zeros(num_frames, np.bool_)
    stops[:1] = stops[-1:] = True
    cuts = np.flatnonzero(is_cut(signatures[:-1], signatures[1:])) + 1 if num_frames > 1 else np.zeros(0, np.int64)
    stops[cuts] = stops[cuts - 1] = True  # the last frame before a cut and the first one after it
    in_time = np.searchsorted(pts_seconds, pts_seconds + MAX_FOLLOW_SECONDS, "right") - 1  # (B,) last row to follow to
    for row, last in pairwise(np.flatnonzero(stops).tolist()):
        while row < last:
            row = min(max(row + 1, min(row + detect_every, int(in_time[row]))), last)
            stops[row] = True
    return np.flatnonzero(stops)


def _interpolate(seen: _Faces, start: int, stop: int, pts_seconds: np.ndarray) -> _Path | None:
    """Return paths through the frames strictly between two searched ones; None if a face came, went or jumped."""
    first, last = np.flatnonzero(seen.row == start), np.flatnonzero(seen.row == stop)
    if len(first) != len(last):
        return None
    if len(first) == 0:
        return _Path.none()
    overlap = pairwise_iou(seen.xyxy[first], seen.xyxy[last])  # (N, N)
    a, b = pair_up(-overlap)
    if overlap[a, b].min() < SAME_FACE_IOU:
        return None
    rows = np.arange(start + 1, stop)
    weight = (pts_seconds[rows] - pts_seconds[start]) / (pts_seconds[stop] - pts_seconds[start])  # (R,)
    return _Path(
        row=np.repeat(rows, len(a)),
        before=np.tile(first[a], len(rows)),
        after=np.tile(last[b], len(rows)),
        weight=np.repeat(weight, len(a))[:, None].astype(np.float32),
    )
