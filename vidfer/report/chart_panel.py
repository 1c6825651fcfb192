"""One face in the chart: lines with their band or stacked areas, and the ribbon of episodes below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vidfer.labels import EMOTION_COLOURS, EMOTIONS
from vidfer.report.look import WHITE_ON, ChartStyle
from vidfer.report.series import FaceSeries, face_series
from vidfer.report.wording import count, duration
from vidfer.types import ClipResult, EmotionSegment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#222222"
FAINT = "#666666"
GAP_COLOUR, GAP_LINES = "#eeeeee", "#c8c8c8"
BAND_ALPHA = 0.22
_STACKED_FROM_SECONDS = 300.0  # curves of longer clips lie over each other; areas of means stay readable
_STACKED_POINTS = 400


def is_stacked(style: ChartStyle, end_seconds: float) -> bool:
    """Return whether a clip of this length is drawn as stacked areas."""
    return style == "areas" or (style == "auto" and end_seconds > _STACKED_FROM_SECONDS)


def draw_face(panel: tuple[Axes, Axes], clip: ClipResult, track: int, *, end: float, stacked: bool) -> bool:
    """Draw one face into its pair of axes (curves, ribbon); returns whether there is a band to explain."""
    curves, ribbon = panel
    segments = [segment for segment in clip.segments if segment.track_id == track]
    _style(curves, ribbon, end)
    banded = False
    if stacked:
        series = face_series(clip, track, max_points=_STACKED_POINTS)
        _draw_areas(curves, series)
    else:
        series = face_series(clip, track)
        banded = _draw_lines(curves, series, {EMOTIONS.index(segment.emotion) for segment in segments})
    for axes in panel:
        for start, stop in series.gaps.tolist():
            _shade(axes, start, stop)
    _draw_ribbon(ribbon, segments, end)
    seen = clip.frames.durations_seconds[clip.timeline.frame_row[clip.timeline.track_id == track]].sum()
    _note(curves, f"face {track}", f"seen for {duration(float(seen))}, {count(len(segments), 'episode')}")
    return banded


def draw_nobody(panel: tuple[Axes, Axes], clip: ClipResult, *, end: float) -> None:
    """Draw the empty panel of a clip without a face."""
    curves, ribbon = panel
    _style(curves, ribbon, end)
    for axes in panel:
        _shade(axes, 0, end)
    text = f"no face found in {count(len(clip.frames), 'sampled frame')}"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 6}
    curves.text(0.5, 0.5, text, transform=curves.transAxes, ha="center", va="center", fontsize=14, color=INK, bbox=box)


def _draw_lines(axes: Axes, series: FaceSeries, leading: set[int]) -> bool:
    """Draw a line per label; those in ``leading``, which have an episode, stand out. Returns whether bands show."""
    marker = "o" if len(series.seconds) <= 60 else ""
    banded = False
    for label in sorted(range(len(EMOTIONS)), key=lambda label: (label in leading, -label)):
        colour = EMOTION_COLOURS[EMOTIONS[label]]
        if series.band_is_seen(label):
            banded = True
            low, high = series.low[:, label], series.high[:, label]
            axes.fill_between(series.seconds, low, high, color=colour, alpha=BAND_ALPHA, linewidth=0)
        strong = label in leading
        axes.plot(
            series.seconds, series.probabilities[:, label], color=colour, zorder=3 if strong else 2,
            linewidth=1.7 if strong else 0.8, alpha=1.0 if strong else 0.7, marker=marker, markersize=3,
        )  # fmt: skip
    return banded


def _draw_areas(axes: Axes, series: FaceSeries) -> None:
    """Draw the labels' (mean) probabilities on top of each other; together they reach 1."""
    tops = np.cumsum(series.probabilities, axis=1)  # (T, K)
    bottoms = tops - series.probabilities
    for label, name in enumerate(EMOTIONS):
        axes.fill_between(
            series.seconds, bottoms[:, label], tops[:, label], color=EMOTION_COLOURS[name], linewidth=0, zorder=2
        )
    what = "mean probability" if series.averaged else "probability"
    axes.set_ylabel(f"{what}\n(stacked)", fontsize=9, color=FAINT)


def _shade(axes: Axes, start: float, stop: float) -> None:
    axes.axvspan(start, stop, facecolor=GAP_COLOUR, edgecolor=GAP_LINES, hatch="////", linewidth=0, zorder=0)


def _style(curves: Axes, ribbon: Axes, end: float) -> None:
    curves.set_xlim(0, end)
    curves.set_ylim(0, 1.02)
    curves.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    curves.set_ylabel("probability", fontsize=9, color=FAINT)
    curves.grid(axis="y", color="#dddddd", linewidth=0.6)
    curves.set_axisbelow(True)
    curves.tick_params(axis="x", bottom=False, labelbottom=False)
    ribbon.set_ylim(0, 1)
    ribbon.set_yticks([])
    ribbon.tick_params(axis="x", bottom=False, labelbottom=False)
    for axes in (curves, ribbon):
        axes.tick_params(labelsize=9, colors=FAINT)
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
            colour = "white" if segment.emotion in WHITE_ON else "black"
            middle = start + length / 2
            ribbon.text(middle, 0.46, segment.emotion, ha="center", va="center", fontsize=9, color=colour, clip_on=True)


def _note(axes: Axes, heading: str, text: str) -> None:
    name = axes.annotate(
        heading, (0, 1), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points",
        fontsize=10.5, fontweight="bold", color=INK, va="bottom",
    )  # fmt: skip
    axes.annotate(
        text, (1, 0), xytext=(7, 0), xycoords=name, textcoords="offset points", fontsize=9.5, color=FAINT, va="bottom"
    )
