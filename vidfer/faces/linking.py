"""Which tracks of a clip, or people of clips, are the same: clustering of mean vectors, under what the frames show.

Two faces of one frame are two people, whatever their vectors say. The likeliest link comes first, and what follows
sees both tracks as one (average linkage with constraints). Where a link is doubtful the tracks stay apart: to take one
person for two does less harm than to mix the expressions of two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidfer.faces.track_changes import LEAST_QUALITY

# Chance that two tracks are one person's by the cosine of their mean vectors. Of pairs of single pictures of held-back
# people of LFW a logistic at even odds has its middle at 0.24 and a slope of 15. Most pairs of tracks are two people's,
# so the middle is set to odds of about 1 to 30, and means of several vectors scatter less. At 0.54, a chance of 0.9,
# one in 6,000 of two people's single pictures lies above.
LINK_MIDDLE, LINK_SLOPE = 0.45, 25.0
# Where two who are surely two are more alike than that, others of the clip are, too; but those from SEEN_TWICE on may
# be one person on a screen and before it. Of six of JAFFE's women, five pairs of whom are seen together, 27 % of pairs
# of two people would be one, and 7 % so; no right link is lost (benchmarks/across.py).
MOST_MIDDLE, SEEN_TWICE = 0.7, 0.85
# Across clips. People of one folder may be of one age, sex and origin, in front of one camera: of JAFFE's ten women two
# have a cosine of 0.57 in the middle. So the folder's mean is taken off first, with three faces of nobody in it, as a
# few clips do not tell it; and what was never alike is not linked by what is left.
NOBODIES, LEAST_ALIKE = 3, 0.3
FEW_PEOPLE = 30  # the odds above are of so many; of more, each is less likely to be the one
LEAST_LISTED = 0.2  # confidence from which on a link that was not made is told
MOST_VECTORS = 20.0  # a long track counts as much as so many vectors


@dataclass(frozen=True, kw_only=True)
class Links:
    """T tracks as P people.

    Attributes
    ----------
    person
        (T,) int64 numbers from 0, by the first track of each.
    confidence
        (T,) of the link that joined the track to those before it; 1 for a person's first.
    unsure, unsure_confidence
        (U, 2) int64 people who may be the same, (U,) how likely.
    """

    person: np.ndarray
    confidence: np.ndarray
    unsure: np.ndarray
    unsure_confidence: np.ndarray


def link_confidence(cosine: np.ndarray, middle: float = LINK_MIDDLE) -> np.ndarray:
    """Return the chance (...) that two tracks are one person's, given the cosine of their mean vectors."""
    chance: np.ndarray = 1 / (1 + np.exp(-LINK_SLOPE * (cosine - middle)))
    return chance


def middle_of(alike: np.ndarray, apart: np.ndarray) -> float:
    """Return the cosine at which a link is as likely as not: as alike as two who are apart, within bounds.

    Parameters
    ----------
    alike, apart
        (T, T) cosines, and bool: surely two people.
    """
    return float(np.clip(alike[apart & (alike < SEEN_TWICE)].max(initial=0), LINK_MIDDLE, MOST_MIDDLE))


def more_of_many(count: int) -> float:
    """Return what is added to the middle among so many people, where each is less likely to be the one."""
    return float(np.log(max(count, FEW_PEOPLE) / FEW_PEOPLE) / LINK_SLOPE)


def link_tracks(sums: np.ndarray, apart: np.ndarray, *, min_confidence: float, middle: float | None = None) -> Links:
    """Join tracks to people.

    Parameters
    ----------
    sums
        (T, D) sum of each track's vectors by quality, in order of first appearance; 0 for a track without any.
    apart
        (T, T) bool, symmetric: surely two people.
    min_confidence
        Of a link that is made.
    middle
        Cosine at which it is as likely as not; None: see ``middle_of``.
    """
    count = len(sums)
    person, confidence = np.arange(count), np.ones(count)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    sums = sums * np.minimum(1, MOST_VECTORS / np.maximum(lengths, 1e-9))
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    barred = apart | np.eye(count, dtype=np.bool_)
    barred[lengths[:, 0] == 0] = barred[:, lengths[:, 0] == 0] = True
    alike = means @ means.T
    if middle is None:
        middle = middle_of(alike, apart)
    alike = np.where(barred, -np.inf, alike)
    rows = np.arange(count)
    nearest = alike.argmax(1) if count else rows  # of each row, so that a merge costs little however many there are
    while count > 1:
        row = int(alike[rows, nearest].argmax())
        first, second = sorted((row, int(nearest[row])))
        sure = float(link_confidence(alike[first, second], middle))
        if sure < min_confidence:
            break
        confidence[second] = sure
        person[person == second] = first
        sums[first] += sums[second]
        means[first] = sums[first] / max(float(np.linalg.norm(sums[first])), 1e-9)
        barred[first] |= barred[second]
        barred[:, first] = barred[first]
        barred[second] = barred[:, second] = True
        alike[first] = np.where(barred[first], -np.inf, means @ means[first])
        alike[:, first] = alike[first]
        alike[second] = alike[:, second] = -np.inf
        nearest = np.where(alike[:, first] > alike[rows, nearest], first, nearest)
        again = (nearest == first) | (nearest == second) | (rows == first)
        nearest[again] = alike[again].argmax(1)
    chances = np.triu(link_confidence(alike, middle), 1)
    pairs = np.argwhere(chances >= LEAST_LISTED)
    numbers, person = np.unique(person, return_inverse=True)
    return Links(
        person=person,
        confidence=confidence,
        unsure=np.searchsorted(numbers, pairs),
        unsure_confidence=chances[tuple(pairs.T)],
    )


def link_clips(sums: np.ndarray, apart: np.ndarray, *, min_confidence: float) -> Links:
    """Join people of several clips, given what ``link_tracks`` is; prefers far more a missing link to a wrong one.

    Where all clips show one person nothing is left to tell by, and they stay apart.
    """
    count = len(sums)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    means = sums / np.maximum(lengths, 1e-9)
    apart = apart | (means @ means.T < LEAST_ALIKE)
    own = means - means.sum(0) / (np.count_nonzero(lengths) + NOBODIES)
    own *= lengths / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-9)
    return link_tracks(own, apart, min_confidence=min_confidence, middle=LINK_MIDDLE + more_of_many(count))


def track_sums(track_id: np.ndarray, vector_of: np.ndarray, vectors: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Return the sum (T, D) of each track's vectors by quality; where only bad faces have one, these are taken.

    Parameters
    ----------
    track_id
        (N,) from 0; -1 for dropped faces.
    vector_of
        (N,) row in ``vectors`` (V, D), -1 for faces without.
    quality
        (N,) 0..1.
    """
    count = int(track_id.max(initial=-1)) + 1
    sums = np.zeros((count, vectors.shape[1]))
    told = np.flatnonzero((track_id >= 0) & (vector_of >= 0))
    good = told[quality[told] >= LEAST_QUALITY]
    used = np.concatenate([good, told[~np.isin(track_id[told], track_id[good])]])
    used = used[np.argsort(track_id[used], kind="stable")]
    for rows in np.split(used, np.flatnonzero(np.diff(track_id[used])) + 1):
        if len(rows):
            sums[track_id[rows[0]]] = np.maximum(quality[rows], 1e-3) @ vectors[vector_of[rows]].astype(np.float32)
    return sums


def seen_together(track_id: np.ndarray, frame_row: np.ndarray) -> np.ndarray:
    """Return which tracks share a frame (T, T) bool, given track (N,) and frame (N,) of each face, by frame."""
    kept = np.flatnonzero(track_id >= 0)
    count = int(track_id.max(initial=-1)) + 1
    together = np.zeros((count, count), np.bool_)
    frames = np.split(track_id[kept], np.flatnonzero(np.diff(frame_row[kept])) + 1)
    for tracks in {tuple(sorted(frame.tolist())) for frame in frames}:
        together[np.ix_(tracks, tracks)] = True
    np.fill_diagonal(together, False)
    return together
