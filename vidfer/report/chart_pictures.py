"""The pictures under a chart's axis: the face at the peak of its episodes, each tied to its moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vidfer.labels import EMOTION_COLOURS
from vidfer.report.apex import side_by_side
from vidfer.report.look import ApexFrame
from vidfer.report.wording import clock

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TIE_INCHES, PICTURE_INCHES, CAPTION_INCHES = 0.2, 0.84, 0.36
STRIP_INCHES = TIE_INCHES + PICTURE_INCHES + CAPTION_INCHES
_SPACING_INCHES = 0.97
_TIE_COLOUR = "#999999"


def draw_pictures(
    strip: Axes, ribbon: Axes, apexes: Sequence[ApexFrame], *, end: float, width_inches: float, decimals: int
) -> None:
    """Draw pictures side by side, as near below their moments as they fit, and mark the moments on the ribbon.

    Parameters
    ----------
    strip
        Axes as wide as the time axis and ``STRIP_INCHES`` high; its units become inches.
    ribbon
        The axes of the episodes above.
    apexes
        In order of time; as many as fit (``report.apex.MAX_PER_FACE``).
    end, width_inches
        Seconds and inches that the time axis is long.
    decimals
        Of the second, in captions.
    """
    from matplotlib.patches import Rectangle

    strip.set_xlim(0, width_inches)
    strip.set_ylim(0, STRIP_INCHES)
    strip.axis("off")
    moments = [apex.seconds / end * width_inches for apex in apexes]
    overhang = 0.2  # a picture may stand a little beyond the axis
    places = side_by_side(moments, width=_SPACING_INCHES, low=-overhang, high=width_inches + overhang)
    for apex, moment, place in zip(apexes, moments, places.tolist(), strict=True):
        colour = EMOTION_COLOURS[apex.emotion]
        left, right = place - PICTURE_INCHES / 2, place + PICTURE_INCHES / 2
        top = CAPTION_INCHES + PICTURE_INCHES
        strip.plot([moment, place], [STRIP_INCHES, top], color=_TIE_COLOUR, linewidth=0.8, clip_on=False)
        strip.imshow(
            apex.picture, extent=(left, right, CAPTION_INCHES, top), aspect="auto", interpolation="antialiased",
            clip_on=False, zorder=2,
        )  # fmt: skip
        frame = Rectangle(
            (left, CAPTION_INCHES), PICTURE_INCHES, PICTURE_INCHES, fill=False, edgecolor=colour, linewidth=2.4,
            clip_on=False, zorder=3,
        )  # fmt: skip
        strip.add_patch(frame)
        for line, text in enumerate((apex.emotion, clock(apex.seconds, decimals=decimals))):
            baseline = CAPTION_INCHES - 0.16 * (line + 1)
            strip.text(place, baseline, text, ha="center", va="baseline", fontsize=8, color="#444444")
        ribbon.plot([apex.seconds], [0], marker="^", markersize=5, color="#222222", markeredgecolor="white",
                    markeredgewidth=0.6, clip_on=False, zorder=4)  # fmt: skip
    strip.set_xlim(0, width_inches)  # imshow moves them
    strip.set_ylim(0, STRIP_INCHES)
