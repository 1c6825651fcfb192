"""timeline.png: probability over time per face, with the dominant emotion as a ribbon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.labels import EMOTION_COLOURS, EMOTIONS
from vidfer.report.chart_panel import (
    BAND_ALPHA,
    FAINT,
    GAP_COLOUR,
    GAP_LINES,
    INK,
    draw_face,
    draw_nobody,
    is_stacked,
)
from vidfer.report.chart_pictures import STRIP_INCHES, draw_pictures
from vidfer.report.drawing import draw_pixels, draw_svg, name_fonts
from vidfer.report.look import ChartLook
from vidfer.report.png import full_colour_png, palette_png
from vidfer.report.series import end_seconds, main_faces
from vidfer.report.wording import clock, count, display_name
from vidfer.types import ClipResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_INCHES = 12.0
_DPI = 150  # 1800 px wide; text stays readable when a page shows it at 1200 px
BAND_TEXT = "band: each frame alone"  # from the line to the per-frame network's probability
_LEFT, _WIDTH = 0.06, 0.91  # of the time axis, parts of the figure's width
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)


@dataclass(frozen=True, kw_only=True)
class ChartImage:
    """A drawn chart.

    Attributes
    ----------
    png
        The picture.
    left, right
        Where the time axis begins and ends, as fractions of the picture's width.
    end_seconds
        The time at its end; it begins at 0.
    """

    png: bytes
    left: float
    right: float
    end_seconds: float


def timeline_chart(clip: ClipResult, *, title: bool = True, look: ChartLook | None = None) -> ChartImage:
    """Draw one clip's timeline; the same clip and look give the same bytes."""
    look = look or ChartLook()
    pixels = draw_pixels(_timeline_figure(clip, look, title=title))
    png = full_colour_png(pixels) if look.apexes else palette_png(pixels)
    return ChartImage(png=png, left=_LEFT, right=_LEFT + _WIDTH, end_seconds=end_seconds(clip))


def timeline_svg(clip: ClipResult, *, look: ChartLook | None = None) -> bytes:
    """Draw the same chart as SVG, for print: text is drawn as curves, so that it needs no font."""
    return draw_svg(_timeline_figure(clip, look or ChartLook(), title=True))


@dataclass(frozen=True)
class _Panel:
    """The axes of one face; ``pictures`` only where there are some."""

    curves: Axes
    ribbon: Axes
    pictures: Axes | None


def _timeline_figure(clip: ClipResult, look: ChartLook, *, title: bool) -> Figure:
    shown, hidden = main_faces(clip)
    end = end_seconds(clip)
    stacked = is_stacked(look.style, end)
    notes = _notes(clip, hidden, look)
    with_pictures = [bool(look.of_face(track)) for track in shown] or [False]
    figure, panels = _layout(with_pictures, title=title, notes=bool(notes))
    banded = False
    for panel, track in zip(panels, shown, strict=False):
        banded |= draw_face((panel.curves, panel.ribbon), clip, track, end=end, stacked=stacked)
        if panel.pictures is not None:
            draw_pictures(
                panel.pictures, panel.ribbon, look.of_face(track), end=end, width_inches=_WIDTH * _WIDTH_INCHES,
                decimals=1 if end < 600 else 0,
            )  # fmt: skip
    if not shown:
        draw_nobody((panels[0].curves, panels[0].ribbon), clip, end=end)
    _draw_time_axis(panels[-1].ribbon, end)
    _draw_texts(figure, clip, notes, title=title, banded=banded)
    return figure


def time_step(span_seconds: float, *, most: float = 13) -> float:
    """Return the distance of ticks on a time axis, a round number of seconds, minutes or hours."""
    return next((step for step in _STEPS if span_seconds / step < most), float(np.ceil(span_seconds / most)))


def _layout(with_pictures: Sequence[bool], *, title: bool, notes: bool) -> tuple[Figure, list[_Panel]]:
    """Return a figure with axes for each face, all on the same time axis, which stands under the last ribbon."""
    from matplotlib.figure import Figure

    last = len(with_pictures) - 1
    panel, space, axis = (2.6 if last == 0 else 1.9), 0.55, 0.5  # inches
    head, foot = (1.0 if title else 0.62), (0.3 if notes else 0.02)
    strips = [
        ((axis if row == last else 0.12) + STRIP_INCHES) if there else 0.0 for row, there in enumerate(with_pictures)
    ]
    below = foot if with_pictures[last] else axis + foot
    height = head + (last + 1) * panel + last * space + sum(strips) + below
    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, facecolor="white")
    panels, top = [], height - head
    for strip in strips:
        curves = figure.add_axes((_LEFT, (top - panel + 0.30) / height, _WIDTH, (panel - 0.30) / height))
        ribbon = figure.add_axes((_LEFT, (top - panel) / height, _WIDTH, 0.24 / height), sharex=curves)
        top -= panel + strip
        pictures = figure.add_axes((_LEFT, top / height, _WIDTH, STRIP_INCHES / height)) if strip else None
        panels.append(_Panel(curves, ribbon, pictures))
        top -= space
    return figure, panels


def _draw_time_axis(ribbon: Axes, end: float) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    step = time_step(end)
    decimals = 0 if step >= 1 else 1 if step >= 0.1 else 2
    ribbon.xaxis.set_major_locator(MultipleLocator(step))
    ribbon.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds, decimals=decimals)))
    ribbon.tick_params(axis="x", bottom=True, labelbottom=True, labelsize=9.5, colors=FAINT)
    ribbon.set_xlabel("time (h:mm:ss)" if end >= 3600 else "time (m:ss)", fontsize=9.5, color=FAINT)


def _draw_texts(figure: Figure, clip: ClipResult, notes: str, *, title: bool, banded: bool) -> None:
    """Add title, legend and, at the foot, what the picture does not show."""
    from matplotlib.patches import Patch

    height = figure.get_figheight()
    if title:
        plain: dict[str, Any] = {"parse_math": False, "fontfamily": name_fonts()}
        name = display_name(clip.clip_id, longest=105)
        size = 14 if len(name) <= 60 else 9.5
        figure.text(_LEFT, 1 - 0.14 / height, name, fontsize=size, fontweight="bold", va="top", color=INK, **plain)
    keys = [Patch(facecolor=EMOTION_COLOURS[name], label=name) for name in EMOTIONS]
    keys.append(Patch(facecolor=GAP_COLOUR, edgecolor=GAP_LINES, hatch="////", linewidth=0, label="not seen"))
    if banded:
        keys.append(Patch(facecolor="#555555", alpha=BAND_ALPHA, linewidth=0, label=BAND_TEXT))
    figure.legend(
        handles=keys, loc="upper left", bbox_to_anchor=(_LEFT, 1 - (0.43 if title else 0.05) / height), ncols=len(keys),
        frameon=False, fontsize=9.5, handlelength=1.1, handleheight=0.9, columnspacing=1.2, borderpad=0,
        borderaxespad=0, labelcolor=INK,
    )  # fmt: skip
    figure.text(_LEFT + _WIDTH, 0.1 / height, notes, fontsize=9.5, ha="right", va="bottom", color="#a03000")


def _notes(clip: ClipResult, hidden: Sequence[int], look: ChartLook) -> str:
    notes = [look.note] if look.note else []
    if hidden:
        notes.append(f"{count(len(hidden), 'further face')} seen for less time: see timeline.csv.")
    if clip.decode.truncated:
        decoded, expected = clip.decode.decoded_frames, clip.decode.expected_frames
        notes.append(f"The video is damaged or ends early: {decoded:,} of {expected:,} frames could be read.")
    return "  ".join(notes)
