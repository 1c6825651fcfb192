"""A picture of what the per-frame network saw: the face, where it looked, what it said, what its layers made of it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from vidfer.labels import EMOTION_COLOURS, EMOTIONS
from vidfer.report.chart_panel import FAINT, INK

MAX_FACES = 6  # drawn, the best by score
_WIDTH = 9.0  # inches
_ROW = 2.7  # inches, of a face
_TITLE = 0.22  # inches, above a sheet of maps
_STRONGEST = 16  # maps of each layer, where all layers are drawn
_TILE, _GAP = 48, 3  # px, of a map in the sheet, and between two


@dataclass(frozen=True, kw_only=True)
class ExplainedFace:
    """One face and what was said of it.

    Attributes
    ----------
    picture
        (S, S, 3) float 0..1, aligned as the network sees it.
    heat
        (S, S) float 0..1, Grad-CAM for ``emotion``.
    probabilities
        (K,) of ``labels.EMOTIONS``.
    quality
        0..1.
    emotion
        Into ``labels.EMOTIONS``: what is explained.
    attention
        (S, S) float -1..1, by how much covering each place lowers the probability of ``emotion``; None: not asked.
    """

    picture: np.ndarray
    heat: np.ndarray
    probabilities: np.ndarray
    quality: float
    emotion: int
    attention: np.ndarray | None = None


def draw_explanation(
    faces: Sequence[ExplainedFace], *, title: str, maps: Mapping[str, np.ndarray] | None = None
) -> bytes:
    """Return a PNG with one row per face, or with the first one and what each layer makes of it.

    ``maps`` are (C, h, w) by the layer's title, first to last.
    """
    maps = maps or {}
    faces = faces[: 1 if maps else MAX_FACES]
    sheets = [(name, _sheet(found, len(maps) == 1), found) for name, found in maps.items()]
    inches = [sheet.shape[0] / sheet.shape[1] * (_WIDTH - 0.1) + _TITLE for _, sheet, _ in sheets]
    top = 0.5 + _ROW * len(faces)
    figure = Figure(figsize=(_WIDTH, top + sum(inches)), dpi=120, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, fontweight="bold", color=INK, parse_math=False)
    parts: list[Figure | SubFigure] = [figure]
    if sheets:
        parts = list(figure.subfigures(2, 1, squeeze=False, height_ratios=[top, sum(inches)])[:, 0])
    _draw_faces(parts[0], faces)
    if sheets:
        grid = parts[1].subplots(len(sheets), 1, squeeze=False, height_ratios=inches)[:, 0]
        for axes, (name, sheet, found) in zip(grid, sheets, strict=True):
            axes.imshow(sheet, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
            _bare(axes)
            part = f", the {_STRONGEST} strongest" if len(maps) > 1 and len(found) > _STRONGEST else ""
            axes.set_title(name + part, fontsize=8, color=FAINT, loc="left", pad=2, parse_math=False)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _draw_faces(figure: Figure | SubFigure, faces: Sequence[ExplainedFace]) -> None:
    attended = any(face.attention is not None for face in faces)
    grid = figure.subplots(
        len(faces), 4 if attended else 3, squeeze=False, width_ratios=[1] * (3 if attended else 2) + [1.5]
    )
    for face, (plain, heated, *between, bars) in zip(faces, grid, strict=True):
        _picture(plain, face.picture, f"quality {face.quality:.2f}")
        gray = face.picture.mean(2, keepdims=True).repeat(3, 2)
        _picture(heated, gray, f"Grad-CAM:\nspeaks for {EMOTIONS[face.emotion]}")
        heated.imshow(face.heat, cmap="inferno", alpha=0.45, vmin=0, vmax=1)
        for axes in between:
            assert face.attention is not None
            most = max(float(np.abs(face.attention).max()), 1e-6)
            lowest, highest = float(-face.attention.max()), float(-face.attention.min())
            _picture(axes, gray, f"where a part is covered:\nP {lowest:+.2f} (red) to {highest:+.2f} (blue)")
            axes.imshow(face.attention, cmap="RdBu_r", alpha=0.6, vmin=-most, vmax=most)
        _bars(bars, face.probabilities)


def _sheet(maps: np.ndarray, whole: bool) -> np.ndarray:
    """Return maps (C, h, w) side by side (H, W), each 0..1 of its largest value; the strongest unless ``whole``."""
    chosen = np.arange(len(maps)) if whole else np.sort(np.argsort(-maps.mean((1, 2)), kind="stable")[:_STRONGEST])
    rows = -(-len(chosen) // _STRONGEST)
    sheet = np.full(
        (rows * (_TILE + _GAP) - _GAP, _STRONGEST * (_TILE + _GAP) - _GAP), np.nan, np.float32
    )  # NaN stays white
    places = [np.arange(_TILE) * size // _TILE for size in maps.shape[1:]]
    for place, channel in enumerate(chosen.tolist()):
        top, left = (part * (_TILE + _GAP) for part in divmod(place, _STRONGEST))
        one = maps[channel].clip(0)
        sheet[top : top + _TILE, left : left + _TILE] = one[np.ix_(*places)] / max(float(one.max()), 1e-12)
    return sheet


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _picture(axes: Axes, picture: np.ndarray, caption: str) -> None:
    axes.imshow(np.clip(picture, 0, 1))
    _bare(axes)
    axes.set_xlabel(caption, fontsize=8.5, color=FAINT)


def _bars(axes: Axes, probabilities: np.ndarray) -> None:
    positions = np.arange(len(EMOTIONS))
    axes.barh(positions, probabilities, color=[EMOTION_COLOURS[name] for name in EMOTIONS])
    axes.set_yticks(positions, EMOTIONS, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.set_xticks([0, 0.5, 1])
    axes.tick_params(colors=FAINT, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#bbbbbb")
    for position, probability in enumerate(probabilities.tolist()):
        axes.text(probability + 0.02, position, f"{probability:.2f}", va="center", fontsize=8, color=INK)
