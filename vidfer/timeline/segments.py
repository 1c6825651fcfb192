"""Episodes: from probabilities per frame to stretches of time in which one emotion is plainly there.

An episode begins where a label is the most likely one and reaches ``enter_probability``, and ends where another label
does so or where its own probability falls below ``leave_probability`` (hysteresis, as in Canny's edges or a Schmitt
trigger). What lies in no episode is *unsure*: a face is seen, and no emotion is plain in it. So every episode holds a
moment at which its label reached ``enter_probability``, whatever is joined below:

* a label that drops out for less than ``min_duration_seconds`` and comes back never left;
* a label that holds for less than ``min_duration_seconds`` is no episode: it joins a neighbour, and is unsure where it
  has none.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from vidfer.labels import UNSURE_LABEL
from vidfer.types import EmotionSegment, EmotionTimeline, SampledFrames
from vidfer.types.validation import rows_by_number

_ROUNDING_SECONDS = 1e-6
"""Differences of timestamps are exact to far less than this; no threshold may hang on their last bit."""


@dataclass
class _Piece:
    """Rows [first, stop) of one unbroken run with one label, or none."""

    first: int
    stop: int
    label: int


def find_segments(
    timeline: EmotionTimeline,
    frames: SampledFrames,
    *,
    enter_probability: float,
    leave_probability: float,
    min_duration_seconds: float,
    max_gap_seconds: float,
) -> tuple[EmotionSegment, ...]:
    """Cut each track into episodes.

    Parameters
    ----------
    timeline
        Probabilities per row; rows of track -1 are skipped.
    frames
        The sampled frames that ``timeline.frame_row`` points into.
    enter_probability, leave_probability
        0..1; see the module's text. Leave is at most enter where hysteresis is wanted.
    min_duration_seconds
        An episode is at least this long, unless the face is seen for less and is sure throughout.
    max_gap_seconds
        A face that is missing from the sampled frames for longer ends the episode, as does a hard cut. How far apart
        frames were sampled plays no role.

    Returns
    -------
    tuple of EmotionSegment
        Ordered by track, then time; those of a track never overlap. An episode ends where the next sampled frame
        starts; at the last frame, after a typical frame's duration or with the clip. ``peak_probability`` is never
        below ``enter_probability``.
    """
    durations = frames.durations_seconds
    segments: list[EmotionSegment] = []
    for track, rows in rows_by_number(timeline.track_id):
        frame_row = timeline.frame_row[rows]
        probabilities = timeline.probabilities[rows].astype(np.float64)  # (n, K)
        for first, stop in _unbroken_runs(frame_row, frames, max_gap_seconds):
            seen = frame_row[first:stop]
            run = _Run(frames.pts_seconds[seen], durations[seen], probabilities[first:stop])
            labels = hysteresis_labels(run.probabilities, enter=enter_probability, leave=leave_probability)
            pieces = run.bridge(_pieces(labels), min_duration_seconds)
            pieces = run.bridge(run.join_short(pieces, min_duration_seconds), min_duration_seconds)
            segments += [run.segment(piece, track, timeline.labels) for piece in pieces if piece.label >= 0]
    return tuple(segments)


def hysteresis_labels(probabilities: np.ndarray, *, enter: float, leave: float) -> np.ndarray:
    """Return the label (n,) int64 held at each row of one unbroken run of probabilities (n, K), or UNSURE_LABEL."""
    likeliest = probabilities.argmax(axis=1)
    strong = (probabilities.max(axis=1) >= enter).tolist()
    weak = (probabilities < leave).tolist()
    held = []
    current = UNSURE_LABEL
    for row, best in enumerate(likeliest.tolist()):
        if strong[row]:
            current = best
        elif current >= 0 and weak[row][current]:
            current = UNSURE_LABEL
        held.append(current)
    return np.array(held, dtype=np.int64)


def _unbroken_runs(frame_row: np.ndarray, frames: SampledFrames, max_gap_seconds: float) -> list[tuple[int, int]]:
    """Return [first, stop) of the rows between which the face is never lost for long and no cut lies."""
    pts = frames.pts_seconds
    cuts = np.cumsum(frames.is_cut)
    missing_seconds = pts[frame_row[1:]] - pts[frame_row[:-1] + 1]  # from the first frame without it; 0 if none
    breaks = (missing_seconds > max_gap_seconds + _ROUNDING_SECONDS) | (cuts[frame_row[1:]] > cuts[frame_row[:-1]])
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(frame_row)]
    return list(itertools.pairwise(edges))


def _pieces(labels: np.ndarray) -> list[_Piece]:
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return [_Piece(a, b, int(labels[a])) for a, b in itertools.pairwise(edges)]


class _Run:
    """One unbroken run of a track: its times, and sums of probability over any of its pieces."""

    def __init__(self, starts: np.ndarray, durations: np.ndarray, probabilities: np.ndarray) -> None:
        self.probabilities = probabilities
        self.starts = starts
        self.edges = np.append(starts, starts[-1] + durations[-1])  # (n + 1,) where a piece may start or end
        self.weights = durations[:, None]  # (n, 1)
        weighted = np.cumsum(probabilities * self.weights, axis=0)  # (n, K)
        self._sums = np.vstack([np.zeros(probabilities.shape[1]), weighted])  # (n + 1, K)

    def seconds(self, piece: _Piece) -> float:
        return float(self.edges[piece.stop] - self.edges[piece.first])

    def evidence(self, piece: _Piece) -> np.ndarray:
        """Return each label's probability integrated over the piece, (K,)."""
        evidence: np.ndarray = self._sums[piece.stop] - self._sums[piece.first]
        return evidence

    def bridge(self, pieces: list[_Piece], min_seconds: float) -> list[_Piece]:
        """Return the pieces without those shorter than ``min_seconds`` in which a label only dropped out."""
        bridged: list[_Piece] = []
        for number, piece in enumerate(pieces):
            around = {other.label for other in (*bridged[-1:], *pieces[number + 1 : number + 2])}
            dropped_out = 0 < number < len(pieces) - 1 and piece.label == UNSURE_LABEL and len(around) == 1
            if dropped_out and self.seconds(piece) < min_seconds - _ROUNDING_SECONDS:
                bridged[-1].stop = piece.stop
            else:
                _append(bridged, piece)
        return bridged

    def join_short(self, pieces: list[_Piece], min_seconds: float) -> list[_Piece]:
        """Make every labelled piece last ``min_seconds``, in one pass from left to right.

        Consecutive short pieces collect until they are long enough together and then take that of their labels which
        is most likely over all of them. What is left over when another piece follows (the usual flicker) goes to that
        one or to the one before, whichever label is more likely there; it is unsure if neither has one. A run that is
        shorter as a whole keeps its one label.
        """
        min_seconds -= _ROUNDING_SECONDS
        joined: list[_Piece] = []
        short: list[_Piece] = []
        for piece in pieces:
            if piece.label >= 0 and self.seconds(piece) < min_seconds:
                short.append(piece)
                if self.seconds(_Piece(short[0].first, piece.stop, piece.label)) >= min_seconds:
                    _append(joined, self._merged(short))
                    short = []
                continue
            if short:
                self._merge_into_neighbour(self._merged(short), joined, piece)
                short = []
            _append(joined, piece)
        if short:
            self._merge_into_neighbour(self._merged(short), joined, None)
        return joined

    def _merged(self, short: list[_Piece]) -> _Piece:
        """Return neighbouring pieces as one, with the likeliest of their labels."""
        whole = _Piece(short[0].first, short[-1].stop, UNSURE_LABEL)
        evidence = self.evidence(whole)
        whole.label = max(sorted({piece.label for piece in short}), key=lambda label: float(evidence[label]))
        return whole

    def _merge_into_neighbour(self, short: _Piece, joined: list[_Piece], following: _Piece | None) -> None:
        """Add ``short`` to its likelier neighbour; without one it is unsure, or stands alone as the whole run."""
        evidence = self.evidence(short)
        labelled = [piece for piece in (joined[-1] if joined else None, following) if piece and piece.label >= 0]
        if not labelled:
            if joined or following:
                short.label = UNSURE_LABEL
            _append(joined, short)
            return
        neighbour = max(labelled, key=lambda piece: float(evidence[piece.label]))
        if neighbour is following:
            neighbour.first = short.first
        else:
            neighbour.stop = short.stop

    def segment(self, piece: _Piece, track: int, labels: tuple[str, ...]) -> EmotionSegment:
        probability = self.probabilities[piece.first : piece.stop, piece.label]
        weights = self.weights[piece.first : piece.stop, 0]
        peak = int(probability.argmax())
        return EmotionSegment(
            track_id=track,
            emotion=labels[piece.label],
            start_seconds=float(self.edges[piece.first]),
            end_seconds=float(self.edges[piece.stop]),
            peak_seconds=float(self.starts[piece.first + peak]),
            mean_probability=min(float(np.average(probability, weights=weights)), float(probability[peak])),
            peak_probability=float(probability[peak]),
        )


def _append(pieces: list[_Piece], piece: _Piece) -> None:
    """Add a piece at the end, or lengthen the last one where the label stays the same."""
    if pieces and pieces[-1].label == piece.label:
        pieces[-1].stop = piece.stop
    else:
        pieces.append(piece)
