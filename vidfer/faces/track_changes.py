"""Where a track goes over to another person: tiles that swap, a cut to a face at the same place, two who cross.

A track that was followed by its place alone is parted by the vectors of its faces. They are asked only where the face
may have changed: where its picture jumped, and where that is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidfer.faces.boxes import pairwise_iou
from vidfer.faces.continuity import UNKNOWN

# Cosine of the mean vectors on either side below which they are of two people: where nothing is known, and where the
# picture jumped. Above MIN_SAME a face that stays in its place through a cut is still the same one. Set on the scenes
# of benchmarks/people.py.
MAX_OTHER, MAX_OTHER_AT_JUMP = 0.35, 0.45
MIN_SAME = 0.5
SAME_PLACE_IOU = 0.6
VECTORS_EACH_SIDE = 3
FIRST_MARGIN = 0.1  # a single vector scatters more than a mean
LEAST_QUALITY = 0.25  # vectors of worse faces decide nothing


@dataclass(frozen=True, kw_only=True)
class Sightings:
    """What is known of the faces of a clip, N rows, beside their boxes.

    Attributes
    ----------
    previous
        (N,) int32, see ``continuity.previous_faces``.
    vector_of
        (N,) int64 row in ``vectors``, -1 for a face without one.
    vectors
        (V, D) float16 of length 1.
    quality
        (N,) 0..1.
    scene
        (N,) int64: how many whole-picture cuts there were before.
    xyxy
        (N, 4) px.
    """

    previous: np.ndarray
    vector_of: np.ndarray
    vectors: np.ndarray
    quality: np.ndarray
    scene: np.ndarray
    xyxy: np.ndarray


def parts_of_track(rows: np.ndarray, seen: Sightings) -> list[np.ndarray]:
    """Return a track's rows (T,), in order of time, in parts of one person each.

    A part also ends at a whole-picture cut, unless the face goes on through it: its picture does not jump, or, where
    that is not known, it stays in its place and is the same person's.
    """
    asked = np.flatnonzero(np.diff(rows) != seen.previous[rows[1:]]) + 1  # places in ``rows``
    if not len(asked):
        return [rows]
    told = np.flatnonzero((seen.vector_of[rows] >= 0) & (seen.quality[rows] >= LEAST_QUALITY))  # places with vectors
    jumps = np.append(asked[seen.previous[rows[asked]] != UNKNOWN], len(rows))
    starts = [0]
    for at in asked.tolist():
        before = told[(told >= starts[-1]) & (told < at)][-VECTORS_EACH_SIDE:]
        until = jumps[np.searchsorted(jumps, at, "right")]
        after = told[np.searchsorted(told, at) :][:VECTORS_EACH_SIDE]
        if _ends(rows, at, before, after[after < until], seen):
            starts.append(at)
    return np.split(rows, starts[1:])


def _ends(rows: np.ndarray, at: int, before: np.ndarray, after: np.ndarray, seen: Sightings) -> bool:
    """Return whether a part ends before place ``at``, given the places whose vectors speak for either side."""
    last, first = rows[at - 1], rows[at]
    is_known = len(before) > 0 and len(after) > 0
    alike = alike_first = 0.0
    if is_known:
        left = seen.vectors[seen.vector_of[rows[before]]].astype(np.float32).mean(0)
        right = seen.vectors[seen.vector_of[rows[after]]].astype(np.float32)
        alike, alike_first = cosine(left, right.mean(0)), cosine(left, right[0])
    if seen.scene[last] != seen.scene[first]:
        if seen.previous[first] != UNKNOWN or not is_known:
            return True
        stays = pairwise_iou(seen.xyxy[[last]], seen.xyxy[[first]])[0, 0] >= SAME_PLACE_IOU
        return not (stays and alike >= MIN_SAME)
    if seen.previous[first] != UNKNOWN:  # something has happened
        return is_known and alike < MAX_OTHER_AT_JUMP
    # Where a person changes a little later, the mean of what follows is another's before the first of it is.
    return is_known and max(alike, alike_first - FIRST_MARGIN) < MAX_OTHER


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))
