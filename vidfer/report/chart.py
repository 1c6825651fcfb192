"""timeline.png: probability over time per face, with the dominant emotion as a ribbon."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.labels import STATE_COLOURS, STATES
from vidfer.people.by_person import by_person
from vidfer.report.chart_format import FORMATS, SCREEN, ChartFormat
from vidfer.report.chart_options import ChartOptions
from vidfer.report.chart_panel import (
    BAND_ALPHA,
    FAINT,
    GAP_COLOUR,
    GAP_LINES,
    INK,
    draw_face,
    draw_no_face,
    is_stacked,
)
from vidfer.report.chart_pictures import draw_pictures, strip_inches
from vidfer.report.drawing import draw_pdf, draw_pixels, draw_svg, name_fonts
from vidfer.report.lanes import LANES, draw_lanes, face_lanes
from vidfer.report.png import full_colour_png, palette_png
from vidfer.report.wording import clock, count, display_name, ends_early, people
from vidfer.timeline.series import end_seconds, main_faces
from vidfer.types import ClipResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLE_INCHES = 0.38
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


def timeline_chart(clip: ClipResult, *, title: bool = True, options: ChartOptions | None = None) -> ChartImage:
    """Draw one clip's timeline; the same clip and options give the same bytes."""
    options = options or ChartOptions()
    form = FORMATS[options.size]
    pixels = draw_pixels(_timeline_figure(clip, options, title=title))
    dpi = form.dpi if options.size == "paper" else None
    png = full_colour_png(pixels, dpi=dpi) if options.apexes else palette_png(pixels, dpi=dpi)
    return ChartImage(png=png, left=form.left, right=form.left + form.part, end_seconds=end_seconds(clip))


def timeline_svg(clip: ClipResult, *, options: ChartOptions | None = None) -> bytes:
    """Draw the same chart as SVG, for print.

    On paper's size text stays text, to be edited and set in the paper's font; else it is drawn as curves, so that it
    needs no font.
    """
    options = options or ChartOptions()
    return draw_svg(_timeline_figure(clip, options, title=True), text_as_text=options.size == "paper")


def timeline_pdf(clip: ClipResult, *, options: ChartOptions | None = None) -> bytes:
    """Draw the same chart as PDF, for print, with its fonts in it."""
    return draw_pdf(_timeline_figure(clip, options or ChartOptions(), title=True))


@dataclass(frozen=True)
class _Panel:
    """The axes of one face; ``lanes`` and ``pictures`` only where there are some."""

    curves: Axes
    ribbon: Axes
    lanes: Axes | None
    pictures: Axes | None

    @property
    def last(self) -> Axes:
        """Those under which the time axis stands."""
        return self.lanes or self.ribbon


def _timeline_figure(clip: ClipResult, options: ChartOptions, *, title: bool) -> Figure:
    form = FORMATS[options.size]
    title = title and form.titled
    clip = by_person(clip)
    shown, hidden = main_faces(clip)
    end = end_seconds(clip)
    stacked = is_stacked(options.style, end)
    notes = _notes(clip, hidden, options, form)
    pictures = [options.of_face(track, most=form.pictures_per_face) for track in shown] or [[]]
    with_lanes = options.lanes and clip.movements is not None and bool(shown)
    figure, panels = _layout(
        [bool(some) for some in pictures], form, title=title, note_lines=len(notes), with_lanes=with_lanes
    )
    banded = False
    for panel, track, some in zip(panels, shown, pictures, strict=False):
        banded |= draw_face((panel.curves, panel.ribbon), clip, track, end=end, stacked=stacked, form=form)
        if panel.lanes is not None and (lanes := face_lanes(clip, track)) is not None:
            draw_lanes(panel.lanes, lanes, form)
        if panel.pictures is not None:
            draw_pictures(panel.pictures, panel.last, some, end=end, decimals=1 if end < 600 else 0, form=form)
    if not shown:
        draw_no_face((panels[0].curves, panels[0].ribbon), clip, end=end, form=form)
    _draw_time_axis(panels[-1].last, end, form)
    _draw_texts(figure, clip, notes, form, title=title, banded=banded)
    return figure


def time_step(span_seconds: float, *, most: float = SCREEN.ticks) -> float:
    """Return the distance of ticks on a time axis, a round number of seconds, minutes or hours."""
    return next((step for step in _STEPS if span_seconds / step < most), float(np.ceil(span_seconds / most)))


def _layout(
    with_pictures: Sequence[bool], form: ChartFormat, *, title: bool, note_lines: int, with_lanes: bool
) -> tuple[Figure, list[_Panel]]:
    """Return a figure with axes for each face, all on the same time axis, which stands under the last of them."""
    from matplotlib.figure import Figure

    last = len(with_pictures) - 1
    panel = form.panel_of_one if last == 0 else form.panel
    head = (_TITLE_INCHES if title else 0.0) + _legend_inches(form) + form.head
    foot = note_lines * 0.022 * form.text + 0.06 if note_lines else 0.02
    above = 0.12
    strips = [
        ((form.axis if row == last else above) + strip_inches(form)) if there else 0.0
        for row, there in enumerate(with_pictures)
    ]
    below = foot if with_pictures[last] else form.axis + foot
    lanes_inches = form.ribbon_gap + len(LANES) * form.lane if with_lanes else 0.0
    panel += lanes_inches
    height = head + (last + 1) * panel + last * form.space + sum(strips) + below
    figure = Figure(figsize=(form.width, height), dpi=form.dpi, facecolor="white")
    panels, top = [], height - head
    ribbon_inches = form.ribbon + form.ribbon_gap
    for strip in strips:

        def place(bottom: float, inches: float) -> tuple[float, float, float, float]:
            return form.left, bottom / height, form.part, inches / height

        under = ribbon_inches + lanes_inches
        curves = figure.add_axes(place(top - panel + under, panel - under))
        ribbon = figure.add_axes(place(top - panel + lanes_inches, form.ribbon), sharex=curves)
        lanes = (
            figure.add_axes(place(top - panel, lanes_inches - form.ribbon_gap), sharex=curves) if with_lanes else None
        )
        top -= panel + strip
        pictures = figure.add_axes(place(top, strip_inches(form))) if strip else None
        panels.append(_Panel(curves, ribbon, lanes, pictures))
        top -= form.space
    return figure, panels


def _legend_inches(form: ChartFormat) -> float:
    """Return how high the legend may become."""
    return -(-(len(STATES) + 2) // form.legend_columns) * form.legend_row


def _draw_time_axis(ribbon: Axes, end: float, form: ChartFormat) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    step = time_step(end, most=form.ticks)
    decimals = 0 if step >= 1 else 1 if step >= 0.1 else 2
    ribbon.xaxis.set_major_locator(MultipleLocator(step))
    ribbon.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds, decimals=decimals)))
    ribbon.tick_params(
        axis="x", bottom=True, labelbottom=True, labelsize=form.text, colors=FAINT, length=0.37 * form.text
    )
    text = "time (h:mm:ss)" if end >= 3600 else "time (m:ss)"
    ribbon.set_xlabel(text, fontsize=form.text, color=FAINT, labelpad=0.2 * form.text)


def _draw_texts(
    figure: Figure, clip: ClipResult, notes: Sequence[str], form: ChartFormat, *, title: bool, banded: bool
) -> None:
    """Add title, legend and, at the foot, what the picture does not show."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    height = figure.get_figheight()
    if title:
        plain: dict[str, Any] = {"parse_math": False, "fontfamily": name_fonts()}
        name = display_name(clip.clip_id, longest=105)
        size = form.title if len(name) <= 60 else form.text
        figure.text(form.left, 1 - 0.14 / height, name, fontsize=size, fontweight="bold", va="top", color=INK, **plain)
    keys: list[Any] = [Patch(facecolor=STATE_COLOURS[name]) for name in STATES]
    keys.append(Patch(facecolor=GAP_COLOUR, edgecolor=GAP_LINES, hatch="////", linewidth=0))
    if banded:
        band = Patch(facecolor="#555555", alpha=2 * BAND_ALPHA, linewidth=0)
        keys.append((band, Line2D([], [], color="#555555", linewidth=form.line)))
    top = 1 - (_TITLE_INCHES + 0.05 if title else 0.05) / height
    figure.legend(
        keys, [*STATES, "not seen", form.band_text][: len(keys)], loc="upper left",
        bbox_to_anchor=(form.legend_left, top), ncols=min(form.legend_columns, len(keys)), frameon=False,
        fontsize=form.text, handlelength=1.1, handleheight=0.9, columnspacing=1.1, handletextpad=0.5,
        labelspacing=0.35, borderpad=0, borderaxespad=0, labelcolor=INK,
    )  # fmt: skip
    figure.text(
        form.left + form.part, 0.05 / height, "\n".join(notes), fontsize=form.text, ha="right", va="bottom",
        color="#a03000",
    )  # fmt: skip


def _notes(clip: ClipResult, hidden: Sequence[int], options: ChartOptions, form: ChartFormat) -> list[str]:
    """Return the lines of text at the foot."""
    notes = [options.note] if options.note else []
    if hidden:
        who = people(len(hidden), "further") if clip.roster else count(len(hidden), "further face")
        notes.append(f"{who} seen for less time: see {'people' if clip.roster else 'timeline'}.csv.")
    if left_out := sum(not person.include for person in clip.roster.people) if clip.roster else 0:
        notes.append(f"{people(left_out)} left out, as people.csv says.")
    if clip.decode.truncated:
        notes.append(ends_early(clip.decode.decoded_frames, clip.decode.expected_frames))
    return textwrap.wrap("  ".join(notes), form.note_letters)
