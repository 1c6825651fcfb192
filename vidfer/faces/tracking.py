"""Who is who over time: faces of consecutive frames joined into tracks.

Tracking by detection: in every frame the open tracks are matched to the faces by the Hungarian algorithm on the
overlap with the box that each track's motion predicts (Bewley et al. 2016, "Simple online and realtime tracking"),
with centre distance as a second chance where a fast face no longer overlaps. Time is in seconds throughout, so that
any sampling rate and variable-frame-rate video work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from vidfer.faces.boxes import pair_up
from vidfer.types import FaceDetections, FaceTracks, SampledFrames

DROPPED = -1

# Two boxes of one frame that overlap this much are one face detected twice; two people never look so.
DUPLICATE_IOU = 0.75
# A face that overlaps a better one this much, or lies this far inside it, cannot be the first sight of a person.
NEW_TRACK_MAX_IOU = 0.5
NEW_TRACK_MAX_CONTAINED = 0.8
# A face and its track differ in size by at most this factor.
MAX_SIZE_RATIO = 2.0
# Second chance: how far from its predicted place a face may be, in face sizes, and how that grows with time.
# A head at arm's length moves about two of its widths a second at most.
SECOND_CHANCE_SIZES = 0.75
SECOND_CHANCE_SIZES_PER_SECOND = 2.0
SECOND_CHANCE_MAX_SIZES = 1.5
# Velocity is averaged over this time (box jitter of one pixel would else be 60 px/s at 60 fps) ...
VELOCITY_SECONDS = 0.15
# ... and fades over this time while a face is lost, because heads swing back.
PREDICTION_SECONDS = 1.0
# What a pair that may not be costs. Just above the worst pair that may (2.1), so that the assignment does not give up a
# good pair to make two poor ones.
NO_MATCH = 2.2


def track_faces(
    faces: FaceDetections,
    frames: SampledFrames,
    *,
    min_iou: float = 0.2,
    max_gap_seconds: float = 1.0,
    min_duration_seconds: float = 0.2,
    start_score: float = 0.0,
    parted: Callable[[np.ndarray], list[np.ndarray]] | None = None,
) -> FaceTracks:
    """Give every face the number of the person it belongs to.

    Tracks end at hard cuts (or where ``parted`` says), two faces of one frame never share a number, and of
    near-identical boxes in one frame only the best by score is kept.

    Parameters
    ----------
    faces
        N faces, ordered by frame. Rows whose box is not finite or is empty are dropped.
    frames
        The frames that ``faces.frame_row`` points into, with their times and cuts.
    min_iou
        Overlap with the predicted box from which on a face continues a track, 0..1. Below it centre distance
        and size decide.
    max_gap_seconds
        A face may be missing for this long and keep its number. Consecutive sampled frames are never a gap.
    min_duration_seconds
        Tracks that last less are dropped. A sampled frame stands for the time to the next one (the median
        interval); in a clip of a single frame nothing is too short.
    start_score
        Tracks in which no face scores this much are dropped: a face has to be clear once, and may be doubtful
        before and after (hysteresis, as for a detector's boxes in ByteTrack, Zhang et al. 2022). A sandal that is
        taken for a face again and again never is clear.
    parted
        Returns the rows of a track (T,) in parts, in order of time: tracks end where these do, and not at cuts.

    Returns
    -------
    FaceTracks
        (N,) numbers from 0 by first appearance, -1 = dropped.

    Raises
    ------
    ValueError
        If ``faces.frame_row`` points outside ``frames``.
    """
    track_id = np.full(len(faces), DROPPED, dtype=np.int32)
    if len(faces) == 0:
        return FaceTracks(track_id=track_id)
    if faces.frame_row[0] < 0 or faces.frame_row[-1] >= len(frames):
        raise ValueError(
            f"track_faces: frame_row must be in 0..{len(frames) - 1}, got {faces.frame_row[0]}..{faces.frame_row[-1]}"
        )
    scene = np.cumsum(frames.is_cut) * (parted is None)  # (F,) number of cuts so far
    score = np.nan_to_num(faces.score, nan=-math.inf)
    tracker = Tracker(min_iou=min_iou, max_gap_seconds=max_gap_seconds)
    rows_of: dict[Track, list[int]] = {}
    current_scene = -1
    for start, stop in _frame_ranges(faces.frame_row):
        frame_row = int(faces.frame_row[start])
        found = tracker.advance(
            faces.xyxy[start:stop],
            score[start:stop],
            frame_row=frame_row,
            seconds=float(frames.pts_seconds[frame_row]),
            is_cut=scene[frame_row] != current_scene,
        )
        current_scene = scene[frame_row]
        for row, track in enumerate(found, start):
            if track is not None:
                rows_of.setdefault(track, []).append(row)
    clear = [np.array(rows) for track, rows in rows_of.items() if track.best_score >= start_score]
    parts = clear if parted is None else [part for rows in clear for part in parted(rows)]
    _number(track_id, parts, frames.pts_seconds, faces.frame_row, min_duration_seconds)
    return FaceTracks(track_id=track_id)


class Tracker:
    """Matches the faces of one frame after the other to the people so far; it never looks ahead.

    Parameters
    ----------
    min_iou, max_gap_seconds
        As in ``track_faces``.
    """

    def __init__(self, *, min_iou: float = 0.2, max_gap_seconds: float = 1.0) -> None:
        self._min_iou, self._max_gap_seconds = min_iou, max_gap_seconds
        self.open: list[Track] = []

    def advance(
        self, xyxy: np.ndarray, score: np.ndarray, *, frame_row: int, seconds: float, is_cut: bool
    ) -> list[Track | None]:
        """Return the track of each face of a frame; None for one that is no usable box or is there twice.

        Parameters
        ----------
        xyxy, score
            (N, 4) px and (N,).
        frame_row, seconds
            The frame's number among those looked at, and its time; both later than in the call before.
        is_cut
            All tracks end before this frame.
        """
        boxes, usable = _boxes(xyxy), _usable(xyxy)
        rows = sorted((row for row in range(len(boxes)) if usable[row]), key=lambda row: -score[row])
        rows = _without_duplicates(rows, boxes)
        kept = [] if is_cut else self.open
        self.open = [track for track in kept if track.may_continue(frame_row, seconds, self._max_gap_seconds)]
        return self._extend(rows, boxes, score, frame_row, seconds)

    def end(self, track: Track) -> None:
        """Let an open track end before its last face, and another begin with it."""
        begun = copy(track)
        begun.num_faces, begun.face_id = 1, DROPPED
        self.open[self.open.index(track)] = begun

    def _extend(
        self, rows: list[int], boxes: Sequence[_Box], score: np.ndarray, frame_row: int, seconds: float
    ) -> list[Track | None]:
        """Match faces (best first) to the open tracks; unmatched faces open new ones."""
        matched = _match(self.open, [boxes[row] for row in rows], seconds, self._min_iou)
        found: list[Track | None] = [None] * len(boxes)
        for number, row in enumerate(rows):
            if number in matched:
                matched[number].add(boxes[row], float(score[row]), frame_row, seconds)
                found[row] = matched[number]
        taken = [boxes[row] for number, row in enumerate(rows) if number in matched]
        for number, row in enumerate(rows):
            if number not in matched and not any(_too_close_to_start(boxes[row], other) for other in taken):
                opened = found[row] = Track(boxes[row], float(score[row]), frame_row, seconds)
                self.open.append(opened)
                taken.append(boxes[row])
        return found


@dataclass(frozen=True, slots=True)
class _Box:
    """Centre, width and height in px."""

    x: float
    y: float
    width: float
    height: float

    @property
    def size(self) -> float:
        return math.sqrt(self.width * self.height)


class Track:
    """One person so far: the last face and how it moves.

    Attributes
    ----------
    num_faces
        How many faces it has.
    best_score
        The detector's highest.
    face_id
        For whoever numbers tracks as they come; ``DROPPED`` until then.
    """

    def __init__(self, box: _Box, score: float, frame_row: int, seconds: float) -> None:
        self.num_faces, self.best_score, self.face_id = 1, score, DROPPED
        self.box = box
        self.frame_row = frame_row
        self.seconds = seconds
        self.velocity = (0.0, 0.0)  # px/s

    def may_continue(self, frame_row: int, seconds: float, max_gap_seconds: float) -> bool:
        return frame_row - self.frame_row <= 1 or seconds - self.seconds <= max_gap_seconds

    def predict(self, seconds: float) -> _Box:
        """Return where the face should be now: constant velocity that fades over PREDICTION_SECONDS."""
        reach = PREDICTION_SECONDS * -math.expm1(-(seconds - self.seconds) / PREDICTION_SECONDS)
        vx, vy = self.velocity
        return _Box(self.box.x + vx * reach, self.box.y + vy * reach, self.box.width, self.box.height)

    def reach(self, seconds: float) -> float:
        """Return how far from its prediction the face may be found, in face sizes; far while its motion is unknown."""
        if self.num_faces == 1:
            return SECOND_CHANCE_MAX_SIZES
        grown = SECOND_CHANCE_SIZES + SECOND_CHANCE_SIZES_PER_SECOND * (seconds - self.seconds)
        return min(grown, SECOND_CHANCE_MAX_SIZES)

    def add(self, box: _Box, score: float, frame_row: int, seconds: float) -> None:
        elapsed = seconds - self.seconds
        gain = max(-math.expm1(-elapsed / VELOCITY_SECONDS), 1.0 / self.num_faces)
        vx, vy = self.velocity
        self.velocity = (
            vx + gain * ((box.x - self.box.x) / elapsed - vx),
            vy + gain * ((box.y - self.box.y) / elapsed - vy),
        )
        self.num_faces += 1
        self.best_score = max(self.best_score, score)
        self.box, self.frame_row, self.seconds = box, frame_row, seconds


def _match(tracks: list[Track], boxes: list[_Box], seconds: float, min_iou: float) -> dict[int, Track]:
    """Return the track of each matched face by the face's position in ``boxes``."""
    if not tracks or not boxes:
        return {}
    cost = np.empty((len(tracks), len(boxes)))
    for i, track in enumerate(tracks):
        predicted, reach = track.predict(seconds), track.reach(seconds)
        for j, box in enumerate(boxes):
            cost[i, j] = min(NO_MATCH, _cost(predicted, box, reach, min_iou))
    if cost.size == 1:
        return {0: tracks[0]} if cost[0, 0] < NO_MATCH else {}
    chosen = zip(*pair_up(cost), strict=True)
    return {int(j): tracks[i] for i, j in chosen if cost[i, j] < NO_MATCH}


def _cost(predicted: _Box, box: _Box, reach: float, min_iou: float) -> float:
    """Return how badly a face fits a prediction: below NO_MATCH, or infinite if it cannot be the same face."""
    size_ratio = math.log(box.size / predicted.size)
    if abs(size_ratio) > math.log(MAX_SIZE_RATIO):
        return math.inf
    distance = math.hypot(box.x - predicted.x, box.y - predicted.y) / max(box.size, predicted.size)
    iou = _iou(predicted, box)
    if iou < max(min_iou, 1e-9) and distance > reach:
        return math.inf
    return 1.0 - iou + 0.5 * min(distance, SECOND_CHANCE_MAX_SIZES) + 0.5 * abs(size_ratio)


def _without_duplicates(rows: list[int], boxes: Sequence[_Box]) -> list[int]:
    """Keep of near-identical boxes the first (the best by score)."""
    if len(rows) < 2:
        return rows
    kept: list[int] = []
    for row in rows:
        if all(_iou(boxes[row], boxes[other]) < DUPLICATE_IOU for other in kept):
            kept.append(row)
    return kept


def _too_close_to_start(box: _Box, other: _Box) -> bool:
    common = _intersection(box, other)
    contained = common / min(box.width * box.height, other.width * other.height)
    return contained >= NEW_TRACK_MAX_CONTAINED or _iou(box, other) >= NEW_TRACK_MAX_IOU


def _intersection(a: _Box, b: _Box) -> float:
    width = min(a.x + a.width / 2, b.x + b.width / 2) - max(a.x - a.width / 2, b.x - b.width / 2)
    height = min(a.y + a.height / 2, b.y + b.height / 2) - max(a.y - a.height / 2, b.y - b.height / 2)
    return max(width, 0.0) * max(height, 0.0)


def _iou(a: _Box, b: _Box) -> float:
    common = _intersection(a, b)
    return common / (a.width * a.height + b.width * b.height - common)


def _usable(xyxy: np.ndarray) -> np.ndarray:
    """Return (N,) bool: finite, within a range that cannot overflow, and not empty."""
    with np.errstate(invalid="ignore", over="ignore"):
        sensible = np.isfinite(xyxy).all(axis=1) & (np.abs(xyxy) < 1e9).all(axis=1)
        sides = xyxy[:, 2:].astype(np.float64) - xyxy[:, :2]  # (N, 2)
        usable: np.ndarray = sensible & (sides > 1e-3).all(axis=1)
    return usable


def _boxes(xyxy: np.ndarray) -> list[_Box]:
    with np.errstate(invalid="ignore", over="ignore"):
        wide = xyxy.astype(np.float64)
        columns = np.concatenate([(wide[:, :2] + wide[:, 2:]) / 2, wide[:, 2:] - wide[:, :2]], axis=1)  # (N, 4)
    return [_Box(*values) for values in columns.tolist()]


def _frame_ranges(frame_row: np.ndarray) -> list[tuple[int, int]]:
    """Return [start, stop) of the rows of each frame that has faces."""
    edges = np.flatnonzero(np.diff(frame_row)) + 1
    return list(zip([0, *edges.tolist()], [*edges.tolist(), len(frame_row)], strict=True))


def _number(
    track_id: np.ndarray,
    tracks: list[np.ndarray],
    pts_seconds: np.ndarray,
    frame_row: np.ndarray,
    min_duration_seconds: float,
) -> None:
    """Write the numbers of the tracks (their rows) that last long enough into ``track_id``, by first appearance."""
    interval = float(np.median(np.diff(pts_seconds))) if len(pts_seconds) > 1 else math.inf
    whole = pts_seconds[-1] - pts_seconds[0] + interval if len(pts_seconds) else 0.0
    least = min(min_duration_seconds, whole)  # who is there throughout a very short clip is there
    number = 0
    for rows in sorted(tracks, key=lambda rows: int(rows[0])):
        first, last = pts_seconds[frame_row[rows[0]]], pts_seconds[frame_row[rows[-1]]]
        if last - first + interval >= least - 1e-9:
            track_id[rows] = number
            number += 1
