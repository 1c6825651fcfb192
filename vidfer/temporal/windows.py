"""Long sequences in overlapping windows whose joins cannot be seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vidfer.errors import ConfigError

RunBatch = Callable[[list[np.ndarray]], list[np.ndarray]]
_FADE_SHARE = 0.2  # of an overlap, at its middle; the rest is context that only one of two windows is believed for


@dataclass(frozen=True, kw_only=True)
class Window:
    """Steps [start, stop) of one sequence."""

    sequence: int
    start: int
    stop: int


def window_steps(window_seconds: float, overlap_seconds: float, step_seconds: float) -> tuple[int, int]:
    """Return window and overlap in steps; raises ConfigError if a window would be no longer than its overlap."""
    if overlap_seconds >= window_seconds:
        raise ConfigError(
            f"[temporal] overlap_seconds: expected less than window_seconds ({window_seconds:g}), "
            f"got {overlap_seconds:g}"
        )
    window = max(2, round(window_seconds / step_seconds))
    return window, min(max(1, round(overlap_seconds / step_seconds)), window - 1)


def overlap_for(reach: int) -> int:
    """Return the overlap in steps with which a model that sees ``reach`` steps to each side shows no joins at all."""
    return math.ceil(2 * reach / (1 - _FADE_SHARE)) + 2


def plan_windows(lengths: Sequence[int], *, window: int, overlap: int) -> list[Window]:
    """Return the windows that cover sequences of these lengths, by sequence, then by start.

    A sequence of at most ``window`` steps is one window. The windows of a longer one are all ``window`` steps long
    and share at least ``overlap`` steps, as evenly spread as possible.
    """
    planned = []
    for i, length in enumerate(lengths):
        if length <= window:
            starts = np.zeros(1 if length else 0, np.int64)
        else:
            count = -(-(length - overlap) // (window - overlap))
            starts = np.linspace(0, length - window, count).round().astype(np.int64)
        planned += [Window(sequence=i, start=int(s), stop=min(int(s) + window, int(length))) for s in starts]
    return planned


def run_windows(
    run: RunBatch, sequences: list[np.ndarray], *, window: int, overlap: int, batch_steps: int = 32_768
) -> list[np.ndarray]:
    """Run a model over sequences of any length, batched over sequences and windows.

    Parameters
    ----------
    run
        Maps a list of (L, F) arrays, L at most ``window``, to a list of (L, K) arrays. Results that blend well
        (log-probabilities, logits) are to be preferred, since two windows are mixed in the middle of their overlap.
    sequences
        Each (G, F) float32.
    window, overlap
        In steps; ``overlap`` below ``window``.
    batch_steps
        Steps at a time, padding included; a longer window is a batch of its own.

    Returns
    -------
    Each (G, K) float32.
    """
    planned = plan_windows([len(s) for s in sequences], window=window, overlap=overlap)
    order = sorted(range(len(planned)), key=lambda i: planned[i].start - planned[i].stop)  # alike lengths together
    results: dict[int, np.ndarray] = {}
    at = 0
    while at < len(order):
        longest = planned[order[at]].stop - planned[order[at]].start
        chosen = order[at : at + max(1, batch_steps // longest)]
        at += len(chosen)
        pieces = [sequences[planned[i].sequence][planned[i].start : planned[i].stop] for i in chosen]
        results.update(zip(chosen, run(pieces), strict=True))
    by_sequence: list[list[int]] = [[] for _ in sequences]
    for i, piece in enumerate(planned):
        by_sequence[piece.sequence].append(i)
    return [_merge([planned[i] for i in members], [results[i] for i in members]) for members in by_sequence]


def _merge(windows: list[Window], results: list[np.ndarray]) -> np.ndarray:
    if not windows:
        return np.zeros((0, 0), np.float32)
    if len(windows) == 1:
        return np.asarray(results[0], np.float32)
    merged = np.zeros((windows[-1].stop, results[0].shape[1]))
    total = np.zeros((windows[-1].stop, 1))  # 1, but where more than two windows share a step
    for i, (piece, result) in enumerate(zip(windows, results, strict=True)):
        weight = np.ones(len(result))
        if i:
            weight *= _fade_in(piece.start, windows[i - 1].stop, piece)
        if i + 1 < len(windows):
            weight *= 1 - _fade_in(windows[i + 1].start, piece.stop, piece)
        merged[piece.start : piece.stop] += result * weight[:, None]
        total[piece.start : piece.stop] += weight[:, None]
    return (merged / total).astype(np.float32)


def _fade_in(start: int, stop: int, piece: Window) -> np.ndarray:
    """Return how much the later window counts, at the steps of ``piece``, for an overlap [start, stop)."""
    middle = (start + stop - 1) / 2
    length = max((stop - start) * _FADE_SHARE, 1e-9)
    share = (np.arange(piece.start, piece.stop) - middle) / length + 0.5
    return np.clip(share, 0.0, 1.0)
