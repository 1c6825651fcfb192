"""Brief expressions: what the frames themselves say, beside a sequence model's answer.

A model that reads seconds of video is calm, and takes an expression of a third of a second for noise. So the two are
mixed as a weighted geometric mean (a logarithmic opinion pool: Genest and Zidek 1986, Statistical Science 1(1):114),
where the frames' part is their mean over a moment and counts as much as the faces were well seen.
"""

from __future__ import annotations

import numpy as np

from vidfer.temporal import TrackSequence
from vidfer.temporal.probabilities import MIN_PROBABILITY, log_softmax, softmax

MOMENT_SECONDS = 0.15  # to each side


def with_frames(predicted: np.ndarray, track: TrackSequence, share: float) -> np.ndarray:
    """Return a sequence model's probabilities (T, K) mixed with those of the per-frame network, float32.

    Parameters
    ----------
    predicted
        (T, K) of the model.
    track
        What it read.
    share
        0..1 of the frames where faces are seen well (quality 1); less where they are not.
    """
    if not share or not len(track):
        return predicted
    quality = track.quality[:, None].astype(np.float64)
    frames = log_softmax(track.logits.astype(np.float64))
    seen, well_seen, said = (
        _around(track.pts_seconds, values) for values in (np.ones_like(quality), quality, quality * frames)
    )
    part = share * well_seen / seen
    logs = (1 - part) * np.log(np.maximum(predicted, MIN_PROBABILITY)) + part * said / np.maximum(well_seen, 1e-6)
    return softmax(logs)


def _around(pts_seconds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return for each row the sum of values (T, C) over the rows that are within ``MOMENT_SECONDS`` of it."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0)])
    first = np.searchsorted(pts_seconds, pts_seconds - MOMENT_SECONDS - 1e-6)
    end = np.searchsorted(pts_seconds, pts_seconds + MOMENT_SECONDS + 1e-6, side="right")
    return np.asarray(total[end] - total[first])
