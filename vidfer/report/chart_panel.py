"""One face in the chart: lines with their band or stacked areas, and the ribbon of episodes below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vidfer.labels import EMOTION_COLOURS, EMOTIONS, STATE_COLOURS, UNSURE, UNSURE_COLOUR
from vidfer.report.chart_format import ChartFormat
from vidfer.report.chart_options import WHITE_ON, ChartStyle
from vidfer.report.drawing import keep_spines
from vidfer.report.wording import count, duration
from vidfer.timeline.series import FaceSeries, face_series
from vidfer.types import ClipResult, EmotionSegment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#222222"
FAINT = "#666666"
GAP_COLOUR, GAP_LINES = "#eeeeee", "#c8c8c8"
BAND_ALPHA = 0.12  # light: the line is what counts
_STACKED_FROM_SECONDS = 300.0  # curves of longer clips lie over each other; areas of means stay readable
_STACKED_POINTS = 400


def is_stacked(style: ChartStyle, end_seconds: float) -> bool:
    """Return whether a clip of this length is drawn as stacked areas."""
    return style == "areas" or (style == "auto" and end_seconds > _STACKED_FROM_SECONDS)


def draw_face(
    panel: tuple[Axes, Axes], clip: ClipResult, track: int, *, end: float, stacked: bool, form: ChartFormat
) -> bool:
    """Draw one face into its pair of axes (curves, ribbon); returns whether there is a band to explain."""
    curves, ribbon = panel
    segments = [segment for segment in clip.segments if segment.track_id == track]
    _style(curves, ribbon, end, form)
    banded = False
    if stacked:
        series = face_series(clip, track, max_points=_STACKED_POINTS)
        _draw_areas(curves, series, form)
    else:
        series = face_series(clip, track)
        banded = _draw_lines(curves, series, {EMOTIONS.index(segment.emotion) for segment in segments}, form)
    for axes in panel:
        for start, stop in series.gaps.tolist():
            _shade(axes, start, stop)
    _veil(curves, series, over=stacked)
    _draw_ribbon(ribbon, _bars(segments, series.unsure), end, form)
    _note(curves, clip.label(track), face_note(clip, track), form)
    return banded


def face_note(clip: ClipResult, track: int) -> str:
    """Return for how long a face is seen and how many episodes it has, e.g. ``seen for 4.2 s, 2 episodes``."""
    seen = clip.frames.durations_seconds[clip.timeline.frame_row[clip.timeline.track_id == track]].sum()
    episodes = sum(segment.track_id == track for segment in clip.segments)
    return f"seen for {duration(float(seen))}, {count(episodes, 'episode')}"


def draw_no_face(panel: tuple[Axes, Axes], clip: ClipResult, *, end: float, form: ChartFormat) -> None:
    """Draw the empty panel of a clip without a face."""
    curves, ribbon = panel
    _style(curves, ribbon, end, form)
    for axes in panel:
        _shade(axes, 0, end)
    text = f"no face found in {count(len(clip.frames), 'sampled frame')}"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 6}
    curves.text(
        0.5, 0.5, text, transform=curves.transAxes, ha="center", va="center", fontsize=form.title, color=INK, bbox=box
    )


def _draw_lines(axes: Axes, series: FaceSeries, leading: set[int], form: ChartFormat) -> bool:
    """Draw a line per label; those in ``leading``, which have an episode, stand out and have bands.

    Returns whether bands show.
    """
    marker = "o" if len(series.seconds) <= 60 else ""
    banded = False
    for label in sorted(range(len(EMOTIONS)), key=lambda label: (label in leading, -label)):
        colour = EMOTION_COLOURS[EMOTIONS[label]]
        strong = label in leading
        if strong and series.band_is_seen(label):
            banded = True
            low, high = series.low[:, label], series.high[:, label]
            axes.fill_between(series.seconds, low, high, color=colour, alpha=BAND_ALPHA, linewidth=0)
        axes.plot(
            series.seconds, series.probabilities[:, label], color=colour, zorder=3 if strong else 2,
            linewidth=form.line if strong else form.faint_line, alpha=1.0 if strong else 0.7, marker=marker,
            markersize=1.75 * form.line,
        )  # fmt: skip
    return banded


def _draw_areas(axes: Axes, series: FaceSeries, form: ChartFormat) -> None:
    """Draw the labels' (mean) probabilities on top of each other; together they reach 1."""
    tops = np.cumsum(series.probabilities, axis=1)  # (T, K)
    bottoms = tops - series.probabilities
    for label, name in enumerate(EMOTIONS):
        axes.fill_between(
            series.seconds, bottoms[:, label], tops[:, label], color=EMOTION_COLOURS[name], linewidth=0, zorder=2
        )
    what = "mean probability" if series.averaged else "probability"
    text = f"{what}\n(stacked)" if form.titled else what
    axes.set_ylabel(text, fontsize=form.small, color=FAINT, labelpad=0.35 * form.small)


def _shade(axes: Axes, start: float, stop: float) -> None:
    axes.axvspan(start, stop, facecolor=GAP_COLOUR, edgecolor=GAP_LINES, hatch="////", linewidth=0, zorder=0)


def _veil(curves: Axes, series: FaceSeries, *, over: bool) -> None:
    """Gray out the time in no episode: behind lines, or over areas, which would hide it."""
    shortest = float(np.nanmedian(np.diff(series.seconds))) if series.averaged else 0.0  # less is not to be seen
    spans = [(start, stop - start) for start, stop in series.unsure.tolist() if stop - start >= shortest]
    curves.broken_barh(
        spans, (0, 1 if over else 1.02), facecolor=UNSURE_COLOUR, linewidth=0,
        alpha=0.72 if over else 0.4, zorder=2.5 if over else 0,
    )  # fmt: skip


def _style(curves: Axes, ribbon: Axes, end: float, form: ChartFormat) -> None:
    curves.set_xlim(0, end)
    curves.set_ylim(0, 1.02)
    curves.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    curves.set_ylabel("probability", fontsize=form.small, color=FAINT)
    curves.grid(axis="y", color="#dddddd", linewidth=0.6)
    curves.set_axisbelow(True)
    curves.tick_params(axis="x", bottom=False, labelbottom=False)
    ribbon.set_ylim(0, 1)
    ribbon.set_yticks([])
    ribbon.tick_params(axis="x", bottom=False, labelbottom=False)
    for axes in (curves, ribbon):
        axes.tick_params(labelsize=form.small, colors=FAINT)
        axes.set_facecolor("white")
    keep_spines(curves, "left", "bottom")
    keep_spines(ribbon)


def _bars(segments: Sequence[EmotionSegment], unsure: np.ndarray) -> list[tuple[float, float, str]]:
    """Return (start, length, name) of what the ribbon shows, in seconds."""
    bars = [
        (segment.start_seconds, segment.end_seconds - segment.start_seconds, segment.emotion) for segment in segments
    ]
    return bars + [(start, stop - start, UNSURE) for start, stop in unsure.tolist()]


def _draw_ribbon(ribbon: Axes, bars: Sequence[tuple[float, float, str]], end: float, form: ChartFormat) -> None:
    """Draw one bar per episode, named where the name fits: colour alone never carries the meaning."""
    spans = [(start, length) for start, length, _ in bars]
    colours = [STATE_COLOURS[name] for _, _, name in bars]
    ribbon.broken_barh(spans, (0, 1), facecolors=colours, edgecolor="white", linewidth=0.6 if len(spans) < 150 else 0)
    for start, length, name in bars:
        if length / end * form.axis_inches > form.letter_inches * len(name):
            colour = "white" if name in WHITE_ON else "black"
            middle = start + length / 2
            ribbon.text(middle, 0.46, name, ha="center", va="center", fontsize=form.small, color=colour, clip_on=True)


def _note(axes: Axes, heading: str, text: str, form: ChartFormat) -> None:
    name = axes.annotate(
        heading, (0, 1), xytext=(0, 0.4 * form.small), xycoords="axes fraction", textcoords="offset points",
        fontsize=form.heading, fontweight="bold", color=INK, va="bottom",
    )  # fmt: skip
    axes.annotate(
        text, (1, 0), xytext=(7, 0), xycoords=name, textcoords="offset points", fontsize=form.text, color=FAINT,
        va="bottom",
    )  # fmt: skip
