"""From a matplotlib figure to pixels or SVG, the same every time, without pyplot and its global state."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Tried first to last; the first comes with matplotlib, the others draw scripts that it lacks, where installed.
_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "Noto Sans", "Arial Unicode MS")


def draw_pixels(figure: Figure) -> np.ndarray:
    """Return the drawn figure, (H, W, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with _glyphs_may_be_missing():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def draw_svg(figure: Figure, *, text_as_text: bool) -> bytes:
    """Return the figure as an SVG file; no date, and ids that do not change from run to run."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    fonttype = "none" if text_as_text else "path"
    with matplotlib.rc_context({"svg.hashsalt": "vidfer", "svg.fonttype": fonttype}), _glyphs_may_be_missing():
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def draw_pdf(figure: Figure) -> bytes:
    """Return the figure as a PDF file of one page; no date, and TrueType fonts, which journals ask for."""
    import matplotlib
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    buffer = io.BytesIO()
    with matplotlib.rc_context({"pdf.fonttype": 42}), _glyphs_may_be_missing():
        FigureCanvasPdf(figure).print_pdf(buffer, metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()


@contextlib.contextmanager
def _glyphs_may_be_missing() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def keep_spines(axes: Axes, *sides: str) -> None:
    """Leave of the frame around axes only these sides, in gray."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
        spine.set_color("#bbbbbb")


def name_fonts() -> list[str]:
    """Return the families for names of files, which may be in any script."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [name for name in _FONTS if name in installed]
