"""timeline.png: probability over time per face, with the dominant emotion as a ribbon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.labels import EMOTION_COLOURS, EMOTIONS
from vidfer.report.drawing import draw_pixels, draw_svg, name_fonts
from vidfer.report.png import palette_png
from vidfer.report.series import FaceSeries, end_seconds, face_series, main_faces
from vidfer.report.wording import clock, count, display_name, duration
from vidfer.types import ClipResult, EmotionSegment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_INCHES = 12.0
_DPI = 150  # 1800 px wide; text stays readable when a page shows it at 1200 px
_INK = "#222222"
_FAINT = "#666666"
_GAP_COLOUR = "#eeeeee"
_STACKED_FROM_SECONDS = 300.0  # curves of longer clips lie over each other; areas of means stay readable
_STACKED_POINTS = 400
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


def timeline_chart(clip: ClipResult, *, title: bool = True) -> ChartImage:
    """Draw one clip's timeline; the same clip gives the same bytes."""
    figure, left, right = _timeline_figure(clip, title=title)
    return ChartImage(png=palette_png(draw_pixels(figure)), left=left, right=right, end_seconds=end_seconds(clip))


def timeline_svg(clip: ClipResult) -> bytes:
    """Draw the same chart as SVG, for print: text is drawn as curves, so that it needs no font."""
    return draw_svg(_timeline_figure(clip, title=True)[0])


def _timeline_figure(clip: ClipResult, *, title: bool) -> tuple[Figure, float, float]:
    """Return the drawing, and where its time axis begins and ends as fractions of its width."""
    shown, hidden = main_faces(clip)
    end = end_seconds(clip)
    notes = _notes(clip, hidden)
    figure, panels = _layout(max(1, len(shown)), title=title, notes=bool(notes))
    for panel, track in zip(panels, shown, strict=False):
        _draw_face(panel, clip, track, end)
    if not shown:
        _draw_nobody(panels[0], clip, end)
    _draw_time_axis(panels[-1][1], end)
    _draw_texts(figure, clip, notes, title=title)
    box = panels[0][0].get_position()
    return figure, box.x0, box.x1


def time_step(span_seconds: float, *, most: int = 13) -> float:
    """Return the distance of ticks on a time axis, a round number of seconds, minutes or hours."""
    return next((step for step in _STEPS if span_seconds / step < most), float(np.ceil(span_seconds / most)))


def _layout(num_panels: int, *, title: bool, notes: bool) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """Return a figure with a pair of axes (curves, ribbon) for each face, all on the same time axis."""
    from matplotlib.figure import Figure

    panel, head, foot = (2.6 if num_panels == 1 else 1.9), (1.0 if title else 0.62), (0.5 if notes else 0.22)  # inches
    height = head + num_panels * (panel + 0.55) - 0.25 + foot
    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, facecolor="white")
    pairs = []
    for index in range(num_panels):
        top = height - head - index * (panel + 0.55)
        curves = figure.add_axes((0.06, (top - panel + 0.30) / height, 0.91, (panel - 0.30) / height))
        ribbon = figure.add_axes((0.06, (top - panel) / height, 0.91, 0.24 / height), sharex=curves)
        pairs.append((curves, ribbon))
    return figure, pairs


def _draw_face(panel: tuple[Axes, Axes], clip: ClipResult, track: int, end: float) -> None:
    curves, ribbon = panel
    segments = [segment for segment in clip.segments if segment.track_id == track]
    _style(curves, ribbon, end)
    if end > _STACKED_FROM_SECONDS:
        series = face_series(clip, track, max_points=_STACKED_POINTS)
        _draw_areas(curves, series)
    else:
        series = face_series(clip, track)
        _draw_lines(curves, series, {EMOTIONS.index(segment.emotion) for segment in segments})
    for axes in panel:
        for start, stop in series.gaps.tolist():
            _shade(axes, start, stop)
    _draw_ribbon(ribbon, segments, end)
    seen = clip.frames.durations_seconds[clip.timeline.frame_row[clip.timeline.track_id == track]].sum()
    _note(curves, f"face {track}", f"seen for {duration(float(seen))}, {count(len(segments), 'episode')}")


def _draw_lines(axes: Axes, series: FaceSeries, leading: set[int]) -> None:
    """Draw a line per label; those in ``leading``, which have an episode, stand out."""
    marker = "o" if len(series.seconds) <= 60 else ""
    for label in sorted(range(len(EMOTIONS)), key=lambda label: (label in leading, -label)):
        colour = EMOTION_COLOURS[EMOTIONS[label]]
        if series.averaged:
            low, high = series.low[:, label], series.high[:, label]
            axes.fill_between(series.seconds, low, high, color=colour, alpha=0.22, linewidth=0)
        strong = label in leading
        axes.plot(
            series.seconds, series.probabilities[:, label], color=colour, zorder=3 if strong else 2,
            linewidth=1.7 if strong else 0.8, alpha=1.0 if strong else 0.7, marker=marker, markersize=3,
        )  # fmt: skip


def _draw_areas(axes: Axes, series: FaceSeries) -> None:
    """Draw the labels' mean probabilities on top of each other; together they reach 1."""
    tops = np.cumsum(series.probabilities, axis=1)  # (T, K)
    bottoms = tops - series.probabilities
    for label, name in enumerate(EMOTIONS):
        axes.fill_between(
            series.seconds, bottoms[:, label], tops[:, label], color=EMOTION_COLOURS[name], linewidth=0, zorder=2
        )
    axes.set_ylabel("mean probability\n(stacked)", fontsize=9, color=_FAINT)


def _shade(axes: Axes, start: float, stop: float) -> None:
    axes.axvspan(start, stop, facecolor=_GAP_COLOUR, edgecolor="#c8c8c8", hatch="////", linewidth=0, zorder=0)


def _draw_nobody(panel: tuple[Axes, Axes], clip: ClipResult, end: float) -> None:
    curves, ribbon = panel
    _style(curves, ribbon, end)
    for axes in panel:
        _shade(axes, 0, end)
    text = f"no face found in {count(len(clip.frames), 'sampled frame')}"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 6}
    curves.text(0.5, 0.5, text, transform=curves.transAxes, ha="center", va="center", fontsize=14, color=_INK, bbox=box)


def _style(curves: Axes, ribbon: Axes, end: float) -> None:
    curves.set_xlim(0, end)
    curves.set_ylim(0, 1.02)
    curves.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    curves.set_ylabel("probability", fontsize=9, color=_FAINT)
    curves.grid(axis="y", color="#dddddd", linewidth=0.6)
    curves.set_axisbelow(True)
    curves.tick_params(axis="x", bottom=False, labelbottom=False)
    ribbon.set_ylim(0, 1)
    ribbon.set_yticks([])
    ribbon.tick_params(axis="x", bottom=False, labelbottom=False)
    for axes in (curves, ribbon):
        axes.tick_params(labelsize=9, colors=_FAINT)
        axes.set_facecolor("white")
        for side, spine in axes.spines.items():
            spine.set_visible(axes is curves and side in ("left", "bottom"))
            spine.set_color("#bbbbbb")


def _draw_ribbon(ribbon: Axes, segments: Sequence[EmotionSegment], end: float) -> None:
    """Draw one bar per episode, named where the name fits: colour alone never carries the meaning."""
    spans = [(segment.start_seconds, segment.end_seconds - segment.start_seconds) for segment in segments]
    colours = [EMOTION_COLOURS[segment.emotion] for segment in segments]
    ribbon.broken_barh(spans, (0, 1), facecolors=colours, edgecolor="white", linewidth=0.6 if len(spans) < 150 else 0)
    for (start, length), segment in zip(spans, segments, strict=True):
        if length / end > 0.0068 * len(segment.emotion):
            dark = segment.emotion in ("sadness", "contempt", "anger", "disgust")
            colour = "white" if dark else "black"
            middle = start + length / 2
            ribbon.text(middle, 0.46, segment.emotion, ha="center", va="center", fontsize=9, color=colour, clip_on=True)


def _draw_time_axis(ribbon: Axes, end: float) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    step = time_step(end)
    decimals = 0 if step >= 1 else 1 if step >= 0.1 else 2
    ribbon.xaxis.set_major_locator(MultipleLocator(step))
    ribbon.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds, decimals=decimals)))
    ribbon.tick_params(axis="x", bottom=True, labelbottom=True, labelsize=9.5, colors=_FAINT)
    ribbon.set_xlabel("time (h:mm:ss)" if end >= 3600 else "time (m:ss)", fontsize=9.5, color=_FAINT)


def _note(axes: Axes, heading: str, text: str) -> None:
    name = axes.annotate(
        heading, (0, 1), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points",
        fontsize=10.5, fontweight="bold", color=_INK, va="bottom",
    )  # fmt: skip
    axes.annotate(
        text, (1, 0), xytext=(7, 0), xycoords=name, textcoords="offset points", fontsize=9.5, color=_FAINT, va="bottom"
    )


def _draw_texts(figure: Figure, clip: ClipResult, notes: str, *, title: bool) -> None:
    """Add title, legend and, at the foot, what the picture does not show."""
    from matplotlib.patches import Patch

    height = figure.get_figheight()
    if title:
        plain: dict[str, Any] = {"parse_math": False, "fontfamily": name_fonts()}
        name = display_name(clip.clip_id, longest=105)
        size = 14 if len(name) <= 60 else 9.5
        figure.text(0.06, 1 - 0.14 / height, name, fontsize=size, fontweight="bold", va="top", color=_INK, **plain)
    keys = [Patch(facecolor=EMOTION_COLOURS[name], label=name) for name in EMOTIONS]
    keys.append(Patch(facecolor=_GAP_COLOUR, edgecolor="#c8c8c8", hatch="////", linewidth=0, label="not seen"))
    figure.legend(
        handles=keys, loc="upper left", bbox_to_anchor=(0.06, 1 - (0.43 if title else 0.05) / height), ncols=len(keys),
        frameon=False, fontsize=9.5, handlelength=1.1, handleheight=0.9, columnspacing=1.3, borderpad=0,
        borderaxespad=0, labelcolor=_INK,
    )  # fmt: skip
    figure.text(0.97, 0.1 / height, notes, fontsize=9.5, ha="right", va="bottom", color="#a03000")


def _notes(clip: ClipResult, hidden: Sequence[int]) -> str:
    notes = []
    if hidden:
        notes.append(f"{count(len(hidden), 'further face')} seen for less time: see timeline.csv.")
    if clip.decode.truncated:
        decoded, expected = clip.decode.decoded_frames, clip.decode.expected_frames
        notes.append(f"The video is damaged or ends early: {decoded:,} of {expected:,} frames could be read.")
    return "  ".join(notes)
