"""A clip's time course as a picture the size of a word: inline SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from vidfer.labels import EMOTION_COLOURS, EMOTIONS
from vidfer.timeline.time_course import time_course_array

_HEIGHT = 30


def sparkline(time_course: Mapping[str, Any] | None) -> str:
    """Return the mean probabilities over the clip stacked on top of each other; nothing where none are known.

    Parameters
    ----------
    time_course
        What ``timeline.time_course.time_course`` returned.
    """
    if time_course is None:
        return ""
    means = time_course_array(time_course)  # (B, K)
    tops = np.cumsum(means, axis=1)
    tops /= tops[:, -1:]
    bottoms = np.concatenate([np.zeros((len(means), 1)), tops[:, :-1]], axis=1)
    areas = []
    for label, name in enumerate(EMOTIONS):
        path = "".join(_areas(bottoms[:, label], tops[:, label]))
        if path:
            areas.append(f'<path fill="{EMOTION_COLOURS[name]}" d="{path}"/>')
    text = "mean probability of each emotion over time, stacked" if areas else "no face seen"
    return (
        f'<svg class="sparkline" viewBox="0 0 {len(means)} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{text}"><title>{text}</title>{"".join(areas)}</svg>'
    )


def _areas(bottom: np.ndarray, top: np.ndarray) -> Iterator[str]:
    """Yield one closed outline for each stretch in which a face is seen; thinner than half a line is left out."""
    seen = np.concatenate([[False], ~np.isnan(top), [False]])
    starts, stops = np.flatnonzero(np.diff(seen.astype(np.int8))).reshape(-1, 2).T
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        if np.max(top[start:stop] - bottom[start:stop]) * _HEIGHT < 0.5:
            continue
        x = [start, *(i + 0.5 for i in range(start, stop)), stop]
        high, low = (np.pad(values[start:stop], 1, mode="edge") for values in (top, bottom))
        points = [f"{_short(a)},{_short(_HEIGHT * (1 - y))}" for a, y in zip(x, high, strict=True)]
        points += [f"{_short(a)},{_short(_HEIGHT * (1 - y))}" for a, y in zip(reversed(x), low[::-1], strict=True)]
        yield f"M{' '.join(points)}Z"


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
