"""The pictures under a chart's axis: the face at the peak of its episodes, each tied to its moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vidfer.labels import EMOTION_COLOURS
from vidfer.report.apex import side_by_side
from vidfer.report.chart_format import ChartFormat
from vidfer.report.chart_options import ApexFrame
from vidfer.report.wording import clock

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TIE_INCHES = 0.2
_TIE_COLOUR = "#999999"


def strip_inches(form: ChartFormat) -> float:
    """Return how high a row of pictures is, with what ties it to the axis and the captions."""
    return _TIE_INCHES + form.picture + form.picture_caption


def draw_pictures(
    strip: Axes, ribbon: Axes, apexes: Sequence[ApexFrame], *, end: float, decimals: int, form: ChartFormat
) -> None:
    """Draw pictures side by side, as near below their moments as they fit, and mark the moments on the ribbon.

    Parameters
    ----------
    strip
        Axes as wide as the time axis and ``strip_inches`` high; its units become inches.
    ribbon
        The axes of the episodes above.
    apexes
        In order of time; as many as fit (``form.pictures_per_face``).
    end
        Seconds that the time axis is long.
    decimals
        Of the second, in captions.
    form
        Sizes.
    """
    from matplotlib.patches import Rectangle

    width, height = form.axis_inches, strip_inches(form)
    strip.set_xlim(0, width)
    strip.set_ylim(0, height)
    strip.axis("off")
    moments = [apex.seconds / end * width for apex in apexes]
    overhang = 0.2 * form.picture  # a picture may stand a little beyond the axis
    places = side_by_side(moments, width=form.picture_spacing, low=-overhang, high=width + overhang)
    for apex, moment, place in zip(apexes, moments, places.tolist(), strict=True):
        colour = EMOTION_COLOURS[apex.emotion]
        left, right = place - form.picture / 2, place + form.picture / 2
        top = form.picture_caption + form.picture
        strip.plot([moment, place], [height, top], color=_TIE_COLOUR, linewidth=0.8, clip_on=False)
        strip.imshow(
            apex.picture, extent=(left, right, form.picture_caption, top), aspect="auto", interpolation="antialiased",
            clip_on=False, zorder=2,
        )  # fmt: skip
        frame = Rectangle(
            (left, form.picture_caption), form.picture, form.picture, fill=False, edgecolor=colour,
            linewidth=1.4 * form.line, clip_on=False, zorder=3,
        )  # fmt: skip
        strip.add_patch(frame)
        for line, text in enumerate((apex.emotion, clock(apex.seconds, decimals=decimals))):
            baseline = form.picture_caption * (1 - 0.44 * (line + 1))
            strip.text(
                place, baseline, text, ha="center", va="baseline", fontsize=max(7, form.small - 1), color="#444444"
            )
        ribbon.plot([apex.seconds], [0], marker="^", markersize=3 * form.line, color="#222222", markeredgecolor="white",
                    markeredgewidth=0.6, clip_on=False, zorder=4)  # fmt: skip
    strip.set_xlim(0, width)  # imshow moves them
    strip.set_ylim(0, height)
