"""A picture of which seconds of a track decided what a sequence model says at one moment."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vidfer.labels import EMOTION_COLOURS, EMOTIONS
from vidfer.report.chart_format import SCREEN
from vidfer.report.chart_panel import FAINT, INK

_NEGATIVE_COLOUR = "#b0b0b0"
_NAMED_FROM = 0.25  # probability that a curve must reach to be in the legend


def draw_time_attribution(
    seconds: np.ndarray,
    amount: np.ndarray,
    probabilities: np.ndarray,
    *,
    emotion: int,
    at_seconds: float,
    title: str,
) -> bytes:
    """Return a PNG: the model's probabilities over time, and under them what each step added.

    Parameters
    ----------
    seconds, amount, probabilities
        (G,), (G,) of log-probability, and (G, 8).
    emotion
        Into ``labels.EMOTIONS``.
    at_seconds
        The moment that is explained.
    title
        Above the picture.
    """
    form, name = SCREEN, EMOTIONS[emotion]
    figure = Figure(figsize=(form.width, 4.6), dpi=form.dpi, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=form.title, fontweight="bold", color=INK, parse_math=False)
    curves, parts = figure.subplots(2, 1, sharex=True, height_ratios=[1.2, 1])
    for label in sorted(range(len(EMOTIONS)), key=lambda label: label == emotion):
        named = label == emotion or probabilities[:, label].max() >= _NAMED_FROM
        curves.plot(
            seconds, probabilities[:, label], color=EMOTION_COLOURS[EMOTIONS[label]],
            linewidth=form.line if label == emotion else form.faint_line,
            label=EMOTIONS[label] if named else None,
        )  # fmt: skip
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.1
    colours = np.where(amount >= 0, EMOTION_COLOURS[name], _NEGATIVE_COLOUR)
    parts.bar(seconds, amount, width=step, color=colours.tolist(), linewidth=0)
    parts.axhline(0, color="#bbbbbb", linewidth=0.8)
    for axes in (curves, parts):
        axes.axvline(at_seconds, color=INK, linewidth=1, linestyle=(0, (4, 2)), label="the moment explained")
        _style(axes)
    curves.set_xlim(seconds[0] - step / 2, seconds[-1] + step / 2)
    curves.set_ylim(0, 1.02)
    curves.set_ylabel("probability", fontsize=form.small, color=FAINT)
    curves.legend(
        loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize=form.text, ncols=9, labelcolor=INK,
        borderaxespad=0.2,
    )  # fmt: skip
    parts.set_ylabel("added to log P", fontsize=form.small, color=FAINT)
    parts.set_xlabel("time, s", fontsize=form.text, color=FAINT)
    parts.set_title(_decisive(seconds, amount, step, name), fontsize=form.text, color=FAINT, loc="left")
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _decisive(seconds: np.ndarray, amount: np.ndarray, step: float, name: str) -> str:
    """Return which shortest stretch holds half of what speaks for the emotion."""
    total = np.concatenate([[0.0], np.cumsum(amount.clip(0))])
    if total[-1] <= 0:
        return f"nothing in this track speaks for {name}"
    stops = np.searchsorted(total, total[:-1] + total[-1] / 2 - 1e-9)
    lengths = np.where(stops <= len(amount), stops - np.arange(len(amount)), len(amount) + 1)
    first = int(lengths.argmin())
    last = min(int(stops[first]), len(amount)) - 1
    start, stop = float(seconds[first]) - step / 2, float(seconds[last]) + step / 2
    return f"half of what speaks for {name} lies within {max(start, 0.0):.1f} to {stop:.1f} s; gray speaks against it"


def _style(axes: Axes) -> None:
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SCREEN.small, colors=FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#bbbbbb")
