"""Pictures of a whole batch: how each clip divides its time among emotions, and the average course over clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vidfer.labels import EMOTION_COLOURS, EMOTIONS
from vidfer.report.chart import time_step
from vidfer.report.course import average_course
from vidfer.report.drawing import draw_pixels, name_fonts
from vidfer.report.look import WHITE_ON
from vidfer.report.png import palette_png
from vidfer.report.wording import clock, count, display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Align = Literal["start", "fraction"]

MAX_BARS = 80
_WIDTH_INCHES, _DPI = 12.0, 150  # 1800 px wide; text stays readable when a page shows it at 1200 px
_INK, _FAINT = "#222222", "#666666"


def share_chart(summaries: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw one bar per clip, divided by the share of time that each emotion leads in it; returns a PNG.

    Parameters
    ----------
    summaries
        What ``report.summary.summarise`` returned, one per clip, at least one.
    """
    shown = summaries[:MAX_BARS]
    bars = len(shown)
    height = 1.15 + 0.3 * bars + (0.3 if len(summaries) > bars else 0.0)
    figure = _figure(height, "Share of time per emotion")
    axes = figure.add_axes((0.22, (height - 0.95 - 0.3 * bars) / height, 0.75, 0.3 * bars / height))
    left = np.zeros(bars)
    for name in EMOTIONS:
        share = np.array([summary["emotions"][name]["share_of_time"] or 0.0 for summary in shown])
        axes.barh(range(bars), share, left=left, height=0.74, color=EMOTION_COLOURS[name], label=name)
        for row in np.flatnonzero(share >= 0.05).tolist():
            axes.text(
                left[row] + share[row] / 2, row, f"{share[row]:.0%}", ha="center", va="center", fontsize=8.5,
                color="white" if name in WHITE_ON else "black",
            )  # fmt: skip
        left += share
    for row in np.flatnonzero(left == 0).tolist():
        axes.text(0.01, row, "no face", va="center", fontsize=9, color=_FAINT)
    labels = [display_name(str(summary["clip"]), longest=34) for summary in shown]
    axes.set_yticks(range(bars), labels, fontfamily=name_fonts(), parse_math=False)
    axes.set_ylim(bars - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    _plain(axes, keep=())
    _legend(figure, axes, height)
    if len(summaries) > bars:
        text = f"{count(len(summaries) - bars, 'further clip')}: see summary.csv"
        figure.text(0.97, 0.08 / height, text, ha="right", va="bottom", fontsize=9.5, color="#a03000")
    return palette_png(draw_pixels(figure))


def average_chart(courses: Sequence[Mapping[str, Any]], *, align: Align = "start") -> bytes:
    """Draw the mean probability of each emotion over clips, with the range of the middle 80 % of clips; a PNG.

    Parameters
    ----------
    courses
        What ``report.course.course_of`` returned, one per clip, at least one.
    align
        ``start``: clips begin together, in seconds. ``fraction``: clips are stretched to one length.
    """
    times, values, num_clips = average_course(courses, by_fraction=align == "fraction")
    height = 6.4
    figure = _figure(height, f"Average of {count(len(courses), 'clip')}")
    grid = figure.subplots(2, 4, sharex=True, sharey=True, gridspec_kw={"hspace": 0.24, "wspace": 0.17})
    figure.subplots_adjust(left=0.055, right=0.975, top=1 - 0.85 / height, bottom=0.85 / height)
    some = num_clips > 0
    for label, (name, axes) in enumerate(zip(EMOTIONS, grid.flat, strict=True)):
        colour = EMOTION_COLOURS[name]
        mean = np.full(len(times), np.nan)
        low, high = mean.copy(), mean.copy()
        mean[some] = np.nanmean(values[:, some, label], axis=0)
        low[some], high[some] = np.nanpercentile(values[:, some, label], [10, 90], axis=0)
        axes.fill_between(times, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(times, mean, color=colour, linewidth=2)
        axes.set_title(name, loc="left", fontsize=10.5, fontweight="bold", color=_INK)
        axes.set_ylim(0, 1.02)
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        _plain(axes, keep=("left", "bottom"))
    _time_axes(grid, times, align)
    band = "Line: mean over clips. Band: the middle 80 % of clips." if len(courses) > 1 else "A single clip."
    fewest = f" At each point at least {count(int(num_clips[some].min()), 'clip')}." if some.any() else ""
    figure.text(0.055, 0.1 / height, band + fewest, fontsize=9.5, color=_FAINT, va="bottom")
    return palette_png(draw_pixels(figure))


def _time_axes(grid: np.ndarray, times: np.ndarray, align: Align) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    by_fraction = align == "fraction"
    end = 1.0 if by_fraction else float(times[-1] + times[0])
    step = 0.25 if by_fraction else time_step(end, most=5.5)
    decimals = 0 if step >= 1 else 1 if step >= 0.1 else 2
    for axes in grid.flat:
        axes.set_xlim(0, end)
        axes.xaxis.set_major_locator(MultipleLocator(step))
        formatter = (lambda t, _: f"{t:.0%}") if by_fraction else (lambda t, _: clock(t, decimals=decimals))
        axes.xaxis.set_major_formatter(FuncFormatter(formatter))
    for axes in grid[-1]:
        axes.set_xlabel("part of the clip" if by_fraction else "time from the start", fontsize=9, color=_FAINT)


def _figure(height: float, title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, facecolor="white")
    figure.text(0.015, 1 - 0.14 / height, title, fontsize=14, fontweight="bold", va="top", color=_INK)
    return figure


def _plain(axes: Axes, *, keep: Sequence[str]) -> None:
    axes.tick_params(labelsize=9, colors=_FAINT, length=0 if not keep else 3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in keep)
        spine.set_color("#bbbbbb")


def _legend(figure: Figure, axes: Axes, height: float) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(0.015, 1 - 0.5 / height), ncols=len(labels), frameon=False,
        fontsize=9.5, handlelength=1.1, handleheight=0.9, columnspacing=1.6, borderpad=0, borderaxespad=0,
        labelcolor=_INK,
    )  # fmt: skip
