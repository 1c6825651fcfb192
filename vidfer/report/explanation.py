"""A picture of what the per-frame network saw: the aligned face, where it looked, what it said."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vidfer.labels import EMOTION_COLOURS, EMOTIONS

MAX_FACES = 6  # drawn, the best by score


@dataclass(frozen=True, kw_only=True)
class ExplainedFace:
    """One face and what was said of it.

    Attributes
    ----------
    picture
        (S, S, 3) float 0..1, aligned as the network sees it.
    heat
        (S, S) float 0..1, Grad-CAM for the most probable label.
    probabilities
        (K,) of ``labels.EMOTIONS``.
    quality
        0..1.
    """

    picture: np.ndarray
    heat: np.ndarray
    probabilities: np.ndarray
    quality: float


def draw_explanation(faces: Sequence[ExplainedFace], *, title: str) -> bytes:
    """Return a PNG with one row per face."""
    faces = faces[:MAX_FACES]
    figure = Figure(figsize=(9, 0.5 + 2.7 * len(faces)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, parse_math=False)
    grid = figure.subplots(len(faces), 3, squeeze=False, width_ratios=[1, 1, 1.5])
    for face, (plain, heated, bars) in zip(faces, grid, strict=True):
        _picture(plain, face.picture, f"quality {face.quality:.2f}")
        emotion = EMOTIONS[int(face.probabilities.argmax())]
        _picture(heated, face.picture.mean(2, keepdims=True).repeat(3, 2), f"speaks for {emotion}")
        heated.imshow(face.heat, cmap="inferno", alpha=0.45, vmin=0, vmax=1)
        _bars(bars, face.probabilities)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _picture(axes: Axes, picture: np.ndarray, caption: str) -> None:
    axes.imshow(np.clip(picture, 0, 1))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(caption, fontsize=9)


def _bars(axes: Axes, probabilities: np.ndarray) -> None:
    positions = np.arange(len(EMOTIONS))
    axes.barh(positions, probabilities, color=[EMOTION_COLOURS[name] for name in EMOTIONS])
    axes.set_yticks(positions, EMOTIONS, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.set_xticks([0, 0.5, 1])
    axes.spines[["top", "right"]].set_visible(False)
    for position, probability in enumerate(probabilities.tolist()):
        axes.text(probability + 0.02, position, f"{probability:.2f}", va="center", fontsize=8)
