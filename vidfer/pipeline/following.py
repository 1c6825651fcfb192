"""Faces frame by frame, from the frames before alone: what ``FacesStage`` does for chunks, for streams.

The detector runs on every ``detect_every``-th frame, across a hard cut, where a face is lost, and after
``MAX_FOLLOW_SECONDS``. In between faces are looked for where their motion leads them, and again there if they have
left that path: between two searches nobody new is found. Where the detector is due faces are followed meanwhile; if it
sees those and no others, that is all.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from vidfer.faces.boxes import pairwise_iou
from vidfer.faces.cuts import frame_signatures, is_cut
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.faces import MAX_FOLLOW_SECONDS, MAX_OFF_PATH, FacesStage, LocatedFaces, _Faces
from vidfer.pipeline.tables import FacesTable
from vidfer.types import FaceBoxes

_ROW = np.zeros(1, np.int64)  # of a chunk's one frame
SEEN_AGAIN_IOU = 0.6  # of a followed face and what the detector sees: 0.77 or more in eleven clips
STEADY_SECONDS = 0.1  # frames further apart than this: a face's motion says nothing of the next


@dataclass(frozen=True)
class _Before:
    """The frame before.

    Attributes
    ----------
    seconds, faces
        Its time, and the faces in it.
    velocity
        (N, 4) px/s of their boxes.
    left_out
        (1,) faces beyond the most that are followed.
    searched_seconds, num_followed
        When the detector looked last, and how many frames ago.
    """

    seconds: float
    faces: _Faces
    velocity: np.ndarray
    left_out: np.ndarray
    searched_seconds: float
    num_followed: int


class FaceFollower:
    """Finds the faces of one frame after the other.

    Parameters
    ----------
    stage
        Whose networks look.
    detect_every
        Frames from one detection to the next.
    beside
        Where the detector may look while faces are followed; results do not depend on it.
    """

    def __init__(self, stage: FacesStage, *, detect_every: int, beside: Executor) -> None:
        self._stage, self._detect_every, self._beside = stage, detect_every, beside
        self._may_share = stage.load()
        self._before: _Before | None = None
        self._signature = np.zeros((1, 0), np.float16)
        self._shape: tuple[int, ...] = ()

    def push(self, chunk: FrameChunk) -> tuple[FacesTable, bool]:
        """Return the faces of a chunk of one frame, later than the one before, and whether a cut lies in between."""
        seconds, shape = float(chunk.batch.pts_seconds[0]), chunk.batch.images.shape
        signature = frame_signatures(chunk.batch.images).astype(np.float16)
        before = self._before
        cut = before is not None and (self._shape != shape or bool(is_cut(self._signature, signature)[0]))
        if before is None or cut:
            now = self._search(chunk, None, seconds)
        elif self._is_due(before, seconds):
            now = self._renew(chunk, before, seconds)
        else:
            now = self._follow(chunk, before, seconds) or self._search(chunk, before, seconds)
        self._before, self._signature, self._shape = now, signature, shape
        order = np.argsort(-now.faces.score, kind="stable")
        located = LocatedFaces(signature, now.faces.take(order), now.left_out)
        return self._stage.describe(chunk, located), cut

    def _is_due(self, before: _Before, seconds: float) -> bool:
        in_time = seconds - before.searched_seconds <= MAX_FOLLOW_SECONDS
        return not in_time or before.num_followed + 1 >= self._detect_every

    def _renew(self, chunk: FrameChunk, before: _Before, seconds: float) -> _Before:
        """Look at the known faces and, at the same time, for all."""
        if not (self._may_share and len(before.faces.row)):
            return self._search(chunk, before, seconds)
        detecting = self._beside.submit(self._stage.detect, chunk, _ROW)
        followed = self._follow(chunk, before, seconds, twice=True)
        found = detecting.result()
        seen = np.flatnonzero(self._stage.is_large(found.xyxy))
        if followed is None or len(seen) != len(followed.faces.row):
            return self._search(chunk, before, seconds, found)
        overlap = pairwise_iou(followed.faces.xyxy, found.xyxy[seen])  # (N, N)
        which = overlap.argmax(1)
        if len(np.unique(which)) < len(which) or overlap.max(1).min() < SEEN_AGAIN_IOU:
            return self._search(chunk, before, seconds, found)
        faces = replace(followed.faces, score=found.score[seen[which]])
        return replace(followed, faces=faces, left_out=np.zeros(1, np.int64), searched_seconds=seconds, num_followed=0)

    def _follow(self, chunk: FrameChunk, before: _Before, seconds: float, *, twice: bool = False) -> _Before | None:
        """Look at the known faces where they should be, at all of them ``twice`` if wanted; None if one is lost."""
        elapsed = seconds - before.seconds
        steady = elapsed <= STEADY_SECONDS
        expected = before.faces.xyxy + (before.velocity * elapsed if steady else 0.0)
        faces = self._stage.place(chunk, np.zeros(len(expected), np.int64), expected, before.faces.score)
        off_path = faces.xyxy - expected  # (N, 4)
        size = np.sqrt(np.maximum((expected[:, 2:] - expected[:, :2]).prod(1), 1.0))
        # False where the landmarks are none: lost
        left = np.abs(off_path).max(1, initial=0) > (-1.0 if twice else MAX_OFF_PATH * size)
        if left.any():
            again = self._stage.place(chunk, faces.row[left], faces.xyxy[left], faces.score[left])
            for name in ("given_xyxy", "xyxy", "landmarks", "landmark_score"):
                getattr(faces, name)[left] = getattr(again, name)
        if len(self._stage.confirmed(faces).row) < len(faces.row):
            return None
        velocity = (faces.xyxy - before.faces.xyxy) / elapsed if steady else np.zeros_like(faces.xyxy)
        num_followed = before.num_followed + 1
        return replace(before, seconds=seconds, faces=faces, velocity=velocity, num_followed=num_followed)

    def _search(
        self, chunk: FrameChunk, before: _Before | None, seconds: float, found: FaceBoxes | None = None
    ) -> _Before:
        left_out = np.zeros(1, np.int64)
        if before is not None:
            chunk.boxes_before = lambda: before.faces.xyxy
        faces = self._stage.search(chunk, _ROW, left_out, found=found)
        return _Before(seconds, faces, np.zeros_like(faces.xyxy), left_out, searched_seconds=seconds, num_followed=0)
