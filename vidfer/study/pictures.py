"""Pictures of a study for a paper: 85 and 180 mm wide, letters of 7 pt, the emotions' colours as everywhere.

Of conditions the reference is black and broken; the others have the emotion's colour and lines of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.labels import EMOTION_COLOURS, EMOTIONS, STATE_COLOURS, STATES, UNSURE
from vidfer.report.chart import time_step
from vidfer.report.chart_panel import FAINT, INK
from vidfer.report.drawing import draw_pdf, draw_pixels, draw_svg, keep_spines, name_fonts
from vidfer.report.png import full_colour_png
from vidfer.report.wording import clock, display_name
from vidfer.study.comparisons import interval
from vidfer.study.measures import words_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 300
_GAP = 8  # mm between rows of panels
_FOOT = 11  # mm below the panels: ticks and what they mean
_MIN_SPAN = 0.1  # of probability on an axis: no picture of noise
_TEXT = 7.0  # pt
_ACCENT = "#3b6ea5"  # of what belongs to no emotion
_LINES: tuple[Any, ...] = ((0, (3, 1.5)), "-", "-.", ":")
_BAND_SAMPLES = 999
_MAX_STEPS = 300  # of a drawn time course: more than there are pixels between


def saved(figure: Figure, formats: Collection[str]) -> dict[str, bytes]:
    """Return the figure's files by suffix."""
    # Pixels first: drawing as SVG and PDF leaves the figure at 72 dots per inch.
    makers: dict[str, Callable[[], bytes]] = {
        "png": lambda: full_colour_png(draw_pixels(figure), dpi=DPI),
        "svg": lambda: draw_svg(figure, text_as_text=True),
        "pdf": lambda: draw_pdf(figure),
    }
    return {suffix: make() for suffix, make in makers.items() if suffix in formats}


class Panels:
    """A grid with a panel for each emotion, in one of the two widths."""

    def __init__(
        self,
        emotions: Sequence[str],
        width_mm: int,
        *,
        conditions: Sequence[str],
        legend: bool,
        row_mm: float = 28,
        foot_mm: float = _FOOT,
    ) -> None:
        from matplotlib.figure import Figure

        self.emotions, self.conditions, self.narrow = emotions, conditions, width_mm < 100
        columns = min(len(emotions), 2 if self.narrow else 4)
        rows = -(-len(emotions) // columns)
        head = 9 if legend else 5  # mm
        self.height = head + rows * row_mm - _GAP + foot_mm
        self.figure = Figure(figsize=(width_mm / 25.4, self.height / 25.4), dpi=DPI, facecolor="white")
        grid = self.figure.subplots(rows, columns, sharex=True, squeeze=False)
        left, right = 13.5 / width_mm, 1 - 4 / width_mm  # mm: an axis of changes has ticks like −0.04 beside its name
        self.figure.subplots_adjust(
            left=left,
            right=right,
            top=1 - head / self.height,
            bottom=foot_mm / self.height,
            hspace=_GAP / (row_mm - _GAP),
            wspace=0.3,
        )
        self.axes: list[Axes] = list(grid.flat)[: len(emotions)]
        for unused in list(grid.flat)[len(emotions) :]:
            unused.set_visible(False)
        self.lowest = self.axes[-columns:]
        for axes, emotion in zip(self.axes, emotions, strict=True):
            axes.set_title(emotion, loc="left", fontsize=_TEXT, fontweight="bold", color=INK, pad=3)
            plain(axes)
        for axes in self.lowest:  # also where nothing stands in the last row below
            axes.tick_params(labelbottom=True)

    def colour(self, emotion: str, place: int) -> str:
        """Return the colour of a condition by its place; the first is the reference."""
        return INK if place == 0 and len(self.conditions) > 1 else EMOTION_COLOURS.get(emotion, _ACCENT)

    def legend(self) -> None:
        """Name the conditions above the panels."""
        from matplotlib.lines import Line2D

        if len(self.conditions) < 2:
            return
        handles = [
            Line2D([], [], color=INK if place == 0 else FAINT, linestyle=_LINES[place % 4], linewidth=1.2)
            for place in range(len(self.conditions))
        ]
        names = [display_name(name, longest=24) for name in self.conditions]
        self.figure.legend(
            handles, names, loc="upper left", bbox_to_anchor=(0.02, 1 - 0.8 / self.height), ncols=4, frameon=False,
            fontsize=_TEXT, borderpad=0, borderaxespad=0, labelcolor=INK, handlelength=2.2, prop=_family(),
        )  # fmt: skip


def plain(axes: Axes) -> None:
    """Leave of an axis what is needed."""
    axes.tick_params(labelsize=_TEXT, colors=FAINT, length=2, width=0.5, pad=1.5)
    keep_spines(axes, "left", "bottom")
    axes.spines[:].set_linewidth(0.5)


def _family() -> Any:
    from matplotlib.font_manager import FontProperties

    return FontProperties(family=name_fonts(), size=_TEXT)


TimeCourses = tuple[np.ndarray, np.ndarray]  # times (T,); of each participant (P, T, K), NaN where unseen


def participant_time_courses(time_courses: pd.DataFrame, condition: str) -> TimeCourses:
    """Return each participant's time course in a condition, the mean over his or her clips, for the pictures below.

    ``time_courses``: ``aligned``, or ``event_courses`` of one type.
    """
    chosen = time_courses[time_courses["condition"] == condition]
    if chosen.empty:  # nobody is seen in it
        return np.zeros(0), np.zeros((0, 0, len(EMOTIONS)))
    mean = chosen.groupby(["participant", "seconds"], observed=True)[list(EMOTIONS)].mean()
    wide = mean.unstack("participant").sort_index()  # (T, K * P)
    times = wide.index.to_numpy(np.float64)
    values = wide.to_numpy(np.float64).reshape(len(times), len(EMOTIONS), -1).transpose(2, 0, 1)
    every = max(1, -(-len(times) // _MAX_STEPS))
    return times[::every], values[:, ::every]


def time_course_picture(
    time_courses: Sequence[TimeCourses],
    conditions: Sequence[str],
    emotions: Sequence[str],
    width_mm: int,
    *,
    seed: int,
    clusters: pd.DataFrame | None = None,
    alpha: float = 0.05,
) -> Figure:
    """Draw the mean time course of each condition over participants, with a bootstrap band of 1 - alpha.

    Parameters
    ----------
    time_courses
        Of each condition; where they are around an event, with the ``clusters`` to mark below the curves.
    conditions, emotions
        What is drawn, in order.
    width_mm
        85 or 180.
    """
    panels = Panels(emotions, width_mm, conditions=conditions, legend=len(conditions) > 1)
    counts: list[tuple[np.ndarray, np.ndarray]] = []
    for place, (times, stacked) in enumerate(time_courses):
        if not len(times):  # nobody is seen
            continue
        seen = (~np.isnan(stacked[..., 0])).sum(axis=0)
        hidden = seen < max(1, -(-int(seen.max(initial=0)) // 2))  # what is left of fewer stands for them no more
        stop = len(times) - int(np.argmin(hidden[::-1]))
        counts.append((times[:stop], seen[:stop]))
        low, high = _band(stacked, np.random.default_rng([seed, place]), alpha)
        mean = np.nansum(stacked, axis=0) / np.maximum(seen, 1)[:, None]
        for axes, emotion in zip(panels.axes, emotions, strict=True):
            label, colour = EMOTIONS.index(emotion), panels.colour(emotion, place)
            middle, bottom, top = (np.where(hidden, np.nan, part[:, label]) for part in (mean, low, high))
            axes.fill_between(times, bottom, top, color=colour, alpha=0.22, linewidth=0)
            axes.plot(times, middle, color=colour, linewidth=1.0, linestyle=_LINES[(place + (len(conditions) < 2)) % 4])
    if clusters is not None:
        _mark(panels, clusters, alpha)
    _time_axis(panels, counts, from_event=clusters is not None)
    panels.legend()
    return panels.figure


def _band(stacked: np.ndarray, rng: np.random.Generator, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the bootstrap interval of the mean over participants at each step, two of (T, K)."""
    people = len(stacked)
    weights = rng.multinomial(people, np.full(people, 1 / people), _BAND_SAMPLES).astype(np.float64)  # (B, P)
    flat = stacked.reshape(people, -1)
    known = ~np.isnan(flat)
    total = weights @ known
    means = np.where(total > 0, (weights @ np.where(known, flat, 0.0)) / np.maximum(total, 1), np.nan)
    means[:, ~known.any(axis=0)] = 0.0  # not drawn
    low, high = interval(means, alpha)
    return low.reshape(stacked.shape[1:]), high.reshape(stacked.shape[1:])


def _mark(panels: Panels, clusters: pd.DataFrame, alpha: float) -> None:
    for axes, emotion in zip(panels.axes, panels.emotions, strict=True):
        axes.axvline(0, color=FAINT, linewidth=0.5)
        axes.axhline(0, color="#dddddd", linewidth=0.5, zorder=0)
        for one in clusters[(clusters["emotion"] == emotion) & (clusters["p"] < alpha)].itertuples():
            axes.plot(
                [one.from_seconds, one.to_seconds], [0.02, 0.02], color=INK, linewidth=2, solid_capstyle="butt",
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip


def _time_axis(panels: Panels, counts: Sequence[tuple[np.ndarray, np.ndarray]], *, from_event: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

    first, last = min(times[0] for times, _ in counts), max(times[-1] for times, _ in counts)
    widest = sum(len(str(seen.max())) + 1 for _, seen in counts)  # characters
    step = time_step(float(last - first), most=max(1, (24 if panels.narrow else 28) // max(widest, 5)))
    decimals = 0 if step >= 1 else 1

    def tick(seconds: float, _: int) -> str:
        n = [int(seen[np.abs(times - seconds).argmin()]) for times, seen in counts]
        at = f"{seconds:.{decimals}f}" if from_event else clock(seconds, decimals=decimals)
        return f"{at}\n{'/'.join(map(str, n))}"

    for axes in panels.axes:
        axes.set_xlim(min(first, 0.0), last)
        axes.xaxis.set_major_locator(MultipleLocator(step))
        axes.xaxis.set_major_formatter(FuncFormatter(tick))
        axes.yaxis.set_major_locator(MaxNLocator(3))
        _widen(axes, is_change=from_event)
    what = "seconds from the event" if from_event else "time"
    panels.figure.text(
        0.995, 1 / panels.height, f"{what}; below: participants seen", ha="right", va="bottom", fontsize=_TEXT,
        color=FAINT,
    )  # fmt: skip
    panels.figure.supylabel(
        "change of probability" if from_event else "probability", x=0.005, fontsize=_TEXT, color=FAINT
    )


def _widen(axes: Axes, *, is_change: bool = False) -> None:
    """Give the axis of a probability its least span; where nothing is below 0 the axis begins there."""
    low, high = axes.dataLim.intervaly
    if high - low < _MIN_SPAN:
        low, high = (low + high - _MIN_SPAN) / 2, (low + high + _MIN_SPAN) / 2
        if low < 0 <= axes.dataLim.y0 and not is_change:
            low, high = 0.0, high - low
    margin = 0.05 * (high - low)
    axes.set_ylim(low - margin, high + margin)


def estimate_picture(
    participants: pd.DataFrame,
    comparisons: pd.DataFrame,
    panels: Sequence[tuple[str, str]],
    conditions: Sequence[str],
    width_mm: int,
    *,
    paired: bool,
) -> Figure:
    """Draw every participant as a dot, the means, and beside them the differences with their intervals.

    The differences of all conditions from the reference are drawn from its mean on (Gardner, Altman 1986).

    Parameters
    ----------
    participants, comparisons
        The tables.
    panels
        Measure and emotion of each; a measure of people has the emotion ``""``.
    conditions, width_mm
        What is drawn, in order; 85 or 180.
    paired
        Whether lines join the dots of a participant.
    """
    others = len(conditions) - 1
    titles = [emotion or words_of(measure) for measure, emotion in panels]
    grid = Panels(titles, width_mm, conditions=conditions, legend=False, row_mm=31, foot_mm=11 if others < 2 else 15)
    ticks = [display_name(name, longest=11) for name in conditions]
    ticks += ["difference"] if others == 1 else [f"Δ {name}" for name in ticks[1:]]
    for axes, (measure, emotion) in zip(grid.axes, panels, strict=True):
        chosen = participants[participants["emotion"] == (emotion or EMOTIONS[0])]
        wide = chosen.pivot_table(index="participant", columns="condition", values=measure, observed=True)
        wide = wide.reindex(columns=list(conditions))
        if paired:
            broken = wide.assign(gap=np.nan).to_numpy(np.float64).ravel()  # one line: a gap after each
            places = np.tile(np.arange(others + 2.0), len(wide))
            axes.plot(places, broken, color="#bbbbbb", linewidth=0.4, zorder=1)
        for place, name in enumerate(conditions):
            known, colour = wide[name].dropna().to_numpy(np.float64), grid.colour(emotion, place)
            axes.scatter(place + _spread(known, paired), known, s=5, color=colour, alpha=0.7, linewidths=0, zorder=2)
            if len(known):
                axes.plot([place - 0.25, place + 0.25], [known.mean()] * 2, color=colour, linewidth=1.6, zorder=3)
        found = comparisons[(comparisons["measure"] == measure) & (comparisons["emotion"] == emotion)]
        for one in found[found["reference"] == conditions[0]].itertuples():
            place, base = others + conditions.index(one.condition), one.mean_reference
            axes.plot([-0.25, place + 0.4], [base] * 2, color=FAINT, linewidth=0.4, linestyle=(0, (2, 2)), zorder=0)
            interval = [base + one.difference_low, base + one.difference_high]
            axes.plot([place] * 2, interval, color=INK, linewidth=1.2, zorder=3)
            axes.plot([place], [base + one.difference], "o", color=INK, markersize=3.2, zorder=4)
        axes.set_xlim(-0.5, len(ticks) - 0.4)
        axes.set_xticks(range(len(ticks)), ticks, rotation=25 if others < 2 else 40)
        axes.locator_params(axis="y", nbins=4)
        if "probability" in measure or "share" in measure:
            _widen(axes)
    for axes in grid.lowest:
        for text in axes.get_xticklabels():
            text.set(fontfamily=name_fonts(), ha="right", rotation_mode="anchor", parse_math=False)
    if panels[0][1]:
        grid.figure.supylabel(words_of(panels[0][0]), x=0.005, fontsize=_TEXT, color=FAINT)
    return grid.figure


def _spread(values: np.ndarray, paired: bool) -> np.ndarray:
    """Return shifts that keep dots of like values apart, the same every time."""
    if paired or not len(values):
        return np.zeros(len(values))
    places = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return ((places * 0.618034) % 1 - 0.5) * 0.36


def heat_picture(
    time_courses: Sequence[TimeCourses], conditions: Sequence[str], emotions: Sequence[str], width_mm: int
) -> Figure:
    """Draw participants by time, a row for each participant and condition, darker where an emotion is likelier."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    rows = [len(values) for _, values in time_courses]
    longest = max((times for times, _ in time_courses), key=len)
    stacked = np.full((sum(rows), len(longest), len(EMOTIONS)), np.nan)
    for start, (times, values) in zip(np.cumsum([0, *rows]), time_courses, strict=False):
        stacked[start : start + len(values), : len(times)] = values
    panels = Panels(
        emotions,
        width_mm,
        conditions=conditions,
        legend=False,
        row_mm=float(np.clip(16 + 1.1 * sum(rows), 28, 46 if width_mm < 100 else 68)),
    )
    edges = np.cumsum(rows)
    step = time_step(float(longest[-1]), most=4)
    for axes, emotion in zip(panels.axes, emotions, strict=True):
        scale = LinearSegmentedColormap.from_list(emotion, ["#ffffff", EMOTION_COLOURS[emotion], INK])
        colours = scale.with_extremes(bad="#e8e8e8")
        axes.imshow(
            stacked[..., EMOTIONS.index(emotion)], cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest",
            extent=(0, float(longest[-1] + longest[0]), sum(rows), 0),
        )  # fmt: skip
        for edge in edges[:-1]:
            axes.axhline(edge, color=INK, linewidth=0.7)
        names = [display_name(name, longest=9) for name in conditions]
        axes.set_yticks(edges - np.array(rows) / 2, names, rotation=90, va="center", fontfamily=name_fonts())
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MultipleLocator(step))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: clock(t, decimals=0 if step >= 1 else 1)))
    people = ", ".join(map(str, rows))
    breaks = "\n" if panels.narrow else " "
    panels.figure.text(
        0.995, 1 / panels.height, f"a row is a participant (n = {people});{breaks}white 0, black 1, gray: not seen",
        ha="right", va="bottom", fontsize=_TEXT, color=FAINT,
    )  # fmt: skip
    return panels.figure


def share_picture(participants: pd.DataFrame, conditions: Sequence[str], width_mm: int) -> Figure:
    """Draw how each condition divides its time among emotions and unsure: the mean of its participants' shares."""
    from matplotlib.figure import Figure

    height = 14 + 7.5 * len(conditions) + (8 if width_mm < 100 else 4)
    figure = Figure(figsize=(width_mm / 25.4, height / 25.4), dpi=DPI, facecolor="white")
    left = 26 / width_mm
    axes = figure.add_axes((left, 7 / height, 1 - left - 6 / width_mm, 7.5 * len(conditions) / height))
    shares = participants.groupby(["condition", "emotion"], observed=True)["share_of_time"].mean()
    people = participants.groupby("condition", observed=True)["participant"].nunique()
    start = np.zeros(len(conditions))
    for state in STATES:
        known = [shares.get((name, state), 0.0) for name in conditions] if state != UNSURE else 1 - start
        share = np.array(known, np.float64)
        axes.barh(range(len(conditions)), share, left=start, height=0.72, color=STATE_COLOURS[state], label=state)
        start += share
    labels = [f"{display_name(name, longest=14)}\nn = {people.get(name, 0)}" for name in conditions]
    axes.set_yticks(range(len(conditions)), labels, fontfamily=name_fonts(), parse_math=False)
    axes.set_ylim(len(conditions) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    plain(axes)
    figure.legend(
        loc="upper left", bbox_to_anchor=(0.02, 1 - 1 / height), ncols=4 if width_mm < 100 else 9, frameon=False,
        fontsize=_TEXT, handlelength=1, handleheight=0.9, columnspacing=1.0, handletextpad=0.4, borderpad=0,
        borderaxespad=0, labelcolor=INK,
    )  # fmt: skip
    return figure
