"""people.png: who is who in a clip, one picture each with what the person is called."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidfer.report.chart_options import Portrait
from vidfer.report.png import full_colour_png
from vidfer.report.wording import display_name

_PER_ROW = 8
_SIDE, _GAP, _CAPTION = 120, 16, 26  # px
_LETTERS = 17  # of a name under a picture


def portraits_png(portraits: Sequence[Portrait]) -> bytes:
    """Return the strip as a PNG; who does not count is gray."""
    from PIL import Image, ImageDraw, ImageFont

    columns, lines = min(_PER_ROW, len(portraits)), -(-len(portraits) // _PER_ROW)
    step, tall = _SIDE + _GAP, _SIDE + _CAPTION + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, lines * tall + _GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, portrait in enumerate(portraits):
        line, column = divmod(number, _PER_ROW)
        left, top = _GAP + column * step, _GAP + line * tall
        picture = Image.fromarray(portrait.picture).resize((_SIDE, _SIDE))
        if not portrait.include:
            picture = Image.blend(picture.convert("L").convert("RGB"), Image.new("RGB", picture.size, "white"), 0.45)
        sheet.paste(picture, (left, top))
        text = display_name(portrait.label, longest=_LETTERS)
        ink = "#222222" if portrait.include else "#777777"
        pen.text((left + _SIDE / 2, top + _SIDE + 5), text, fill=ink, font=font, anchor="mt")
    return full_colour_png(np.asarray(sheet))
