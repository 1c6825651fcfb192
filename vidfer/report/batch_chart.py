"""Pictures of a whole batch: how each clip divides its time among emotions, and the average time course over clips."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vidfer.labels import EMOTION_COLOURS, EMOTIONS, STATE_COLOURS, STATES
from vidfer.report.chart import time_step
from vidfer.report.chart_format import PAPER, SCREEN, ChartFormat
from vidfer.report.chart_options import WHITE_ON, ChartSize
from vidfer.report.chart_panel import FAINT, INK
from vidfer.report.drawing import draw_pixels, keep_spines, name_fonts
from vidfer.report.png import palette_png
from vidfer.report.wording import clock, count, display_name
from vidfer.timeline.summary import state_shares
from vidfer.timeline.time_course import average_time_course, fewest_clips, time_course_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Align = Literal["start", "fraction"]

MAX_BARS = 80


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """What batch pictures measure beside ``ChartFormat``; inches, but parts of the width where said.

    ``head``, ``bar``, ``foot``: heights above the bars, of each, and below. ``names``, ``right``: where bars begin and
    end, parts. ``name_letters``: of a clip's name. ``in_bar``: points of the numbers in bars, which stand in pieces of
    ``smallest`` of the whole or more. ``legend_top``: how far the legend is from the top. ``rows``, ``height``: of
    the averages. ``edges``: their left and right, parts, top and bottom. ``line``: points. ``ticks``: most on an axis.
    """

    form: ChartFormat
    head: float
    bar: float
    foot: float
    names: float
    right: float
    name_letters: int
    in_bar: float
    smallest: float
    legend_top: float
    legend_columns: int
    rows: int
    height: float
    edges: tuple[float, float, float, float]
    line: float
    ticks: float


_SHEETS: dict[ChartSize, _Sheet] = {
    "screen": _Sheet(
        form=SCREEN, head=0.95, bar=0.3, foot=0.2, names=0.22, right=0.97, name_letters=34, in_bar=8.5, smallest=0.05,
        legend_top=0.5, legend_columns=len(STATES), rows=2, height=6.4, edges=(0.055, 0.975, 0.85, 0.85), line=2,
        ticks=5.5,
    ),
    "paper": _Sheet(
        form=PAPER, head=0.5, bar=0.17, foot=0.22, names=0.31, right=0.93, name_letters=16, in_bar=7, smallest=0.13,
        legend_top=0.05, legend_columns=4, rows=4, height=5.0, edges=(0.1, 0.93, 0.2, 0.86), line=1.1, ticks=3.5,
    ),
}  # fmt: skip


def share_chart(summaries: Sequence[Mapping[str, Any]], *, size: ChartSize = "screen") -> bytes:
    """Draw one bar per clip, divided by the shares of its time of each emotion and of unsure; returns a PNG.

    Parameters
    ----------
    summaries
        What ``timeline.summary.summarise`` returned, one per clip, at least one.
    size
        ``screen``, or ``paper`` for a column of 85 mm.
    """
    sheet = _SHEETS[size]
    form = sheet.form
    shown = summaries[:MAX_BARS]
    bars = len(shown)
    tall = sheet.bar * bars
    height = sheet.head + tall + sheet.foot + (0.3 if len(summaries) > bars else 0.0)
    figure = _figure(height, "Share of time per emotion", form)
    bottom = (height - sheet.head - tall) / height
    axes = figure.add_axes((sheet.names, bottom, sheet.right - sheet.names, tall / height))
    left = np.zeros(bars)
    shares = [state_shares(summary) for summary in shown]
    for name in STATES:
        share = np.array([of_clip[name] or 0.0 for of_clip in shares])
        axes.barh(range(bars), share, left=left, height=0.74, color=STATE_COLOURS[name], label=name)
        for row in np.flatnonzero(share >= sheet.smallest).tolist():
            axes.text(
                left[row] + share[row] / 2, row, f"{share[row]:.0%}", ha="center", va="center",
                fontsize=sheet.in_bar,
                color="white" if name in WHITE_ON else "black",
            )  # fmt: skip
        left += share
    for row in np.flatnonzero(left == 0).tolist():
        axes.text(0.01, row, "no face", va="center", fontsize=form.small, color=FAINT)
    labels = [display_name(str(summary["clip"]), longest=sheet.name_letters) for summary in shown]
    axes.set_yticks(range(bars), labels, fontfamily=name_fonts(), parse_math=False)
    axes.set_ylim(bars - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.tick_params(labelsize=form.small, colors=FAINT, length=0)
    keep_spines(axes)
    _legend(figure, axes, height, sheet)
    if len(summaries) > bars:
        text = f"{count(len(summaries) - bars, 'further clip')}: see summary.csv"
        figure.text(sheet.right, 0.08 / height, text, ha="right", va="bottom", fontsize=form.text, color="#a03000")
    return _png(figure, size)


def average_chart(
    time_courses: Sequence[Mapping[str, Any]], *, align: Align = "start", size: ChartSize = "screen"
) -> bytes:
    """Draw the mean probability of each emotion over clips, with the range of the middle 80 % of clips; a PNG.

    Parameters
    ----------
    time_courses
        What ``timeline.time_course.time_course`` returned, one per clip, at least one.
    align
        ``start``: clips begin together, in seconds. ``fraction``: clips are stretched to one length.
    size
        ``screen``, or ``paper`` for a column of 85 mm.
    """
    sheet = _SHEETS[size]
    form, height = sheet.form, sheet.height
    seen = [of_clip for of_clip in time_courses if not np.isnan(time_course_array(of_clip)).all()]
    times, values, num_clips = average_time_course(seen, by_fraction=align == "fraction")
    title = f"Average of {count(len(seen), 'clip')}"
    figure = _figure(height, title, form)
    spaces = {"hspace": 0.24 if form.titled else 0.36, "wspace": 0.17}
    grid = figure.subplots(sheet.rows, 8 // sheet.rows, sharex=True, sharey=True, gridspec_kw=spaces)
    left, right, top, bottom = sheet.edges
    figure.subplots_adjust(left=left, right=right, top=1 - top / height, bottom=bottom / height)
    some = num_clips >= fewest_clips(len(seen))
    for label, (name, axes) in enumerate(zip(EMOTIONS, grid.flat, strict=True)):
        colour = EMOTION_COLOURS[name]
        mean = np.full(len(times), np.nan)
        low, high = mean.copy(), mean.copy()
        if some.any():
            mean[some] = np.nanmean(values[:, some, label], axis=0)
            low[some], high[some] = np.nanpercentile(values[:, some, label], [10, 90], axis=0)
        axes.fill_between(times, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(times, mean, color=colour, linewidth=sheet.line)
        axes.set_title(name, loc="left", fontsize=form.heading, fontweight="bold", color=INK)
        axes.set_ylim(0, 1.02)
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.tick_params(labelsize=form.small, colors=FAINT, length=3)
        keep_spines(axes, "left", "bottom")
    _time_axes(grid, times, align, sheet)
    band = (
        "Line: mean over clips. Band: the middle 80 % of clips." if len(seen) > 1 else "A single clip." if seen else ""
    )
    fewest = (
        f" At each point at least {count(int(num_clips[some].min()), 'clip')}; no line where fewer than half are left."
        if some.any()
        else ""
    )
    text = "" if form.titled else f"{title}. "
    left_out = len(time_courses) - len(seen)
    rest = f" {count(left_out, 'clip')} without a face left out." if left_out else ""
    note = textwrap.fill(text + band + fewest + rest, form.note_letters)
    figure.text(left, 0.1 / height, note, fontsize=form.text, color=FAINT, va="bottom")
    return _png(figure, size)


def _time_axes(grid: np.ndarray, times: np.ndarray, align: Align, sheet: _Sheet) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    by_fraction = align == "fraction"
    end = 1.0 if by_fraction else float(times[-1] + times[0])
    step = (0.25 if sheet.form.titled else 0.5) if by_fraction else time_step(end, most=sheet.ticks)
    decimals = 0 if step >= 1 else 1 if step >= 0.1 else 2
    for axes in grid.flat:
        axes.set_xlim(0, end)
        axes.xaxis.set_major_locator(MultipleLocator(step))
        formatter = (lambda t, _: f"{t:.0%}") if by_fraction else (lambda t, _: clock(t, decimals=decimals))
        axes.xaxis.set_major_formatter(FuncFormatter(formatter))
    for axes in grid[-1]:
        axes.set_xlabel(
            "part of the clip" if by_fraction else "time from the start", fontsize=sheet.form.small, color=FAINT
        )


def _figure(height: float, title: str, form: ChartFormat) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(form.width, height), dpi=form.dpi, facecolor="white")
    if form.titled:
        figure.text(0.015, 1 - 0.14 / height, title, fontsize=form.title, fontweight="bold", va="top", color=INK)
    return figure


def _png(figure: Figure, size: ChartSize) -> bytes:
    return palette_png(draw_pixels(figure), dpi=_SHEETS[size].form.dpi if size == "paper" else None)


def _legend(figure: Figure, axes: Axes, height: float, sheet: _Sheet) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(0.015, 1 - sheet.legend_top / height),
        ncols=sheet.legend_columns, frameon=False, fontsize=sheet.form.text, handlelength=1.1, handleheight=0.9,
        columnspacing=1.6, labelspacing=0.35, borderpad=0, borderaxespad=0,
        labelcolor=INK,
    )  # fmt: skip
