"""PNG files of drawings: small, without metadata, the same bytes every time."""

from __future__ import annotations

import io
from typing import Any

import numpy as np


def full_colour_png(pixels: np.ndarray, *, dpi: int | None = None) -> bytes:
    """Return (H, W, 3) uint8 pixels as a PNG, without loss: for pictures that hold photographs; it states ``dpi``."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **_resolution(dpi))
    return buffer.getvalue()


def palette_png(pixels: np.ndarray, *, dpi: int | None = None) -> bytes:
    """Return (H, W, 3) uint8 pixels as a PNG of at most 256 colours, less than half the size of a full-colour one.

    The most frequent colours, which are those of areas, lines and text, are kept exactly; the rest (blended edges)
    take one near them.
    """
    from PIL import Image

    channels = pixels.astype(np.uint32)
    packed = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]  # (H, W)
    colours, uses = np.unique(packed, return_counts=True)
    palette = np.sort(colours[np.argsort(-uses.astype(np.int64), kind="stable")[:256]])  # (P,)
    table = np.stack([palette >> 16, palette >> 8 & 255, palette & 255], axis=1).astype(np.uint8)  # (P, 3)
    reference = Image.new("P", (1, 1))
    reference.putpalette(table.tobytes())
    near = np.asarray(Image.fromarray(pixels).quantize(palette=reference, dither=Image.Dither.NONE))  # (H, W)
    place = np.minimum(np.searchsorted(palette, packed), len(palette) - 1)
    image = Image.fromarray(np.where(palette[place] == packed, place, near).astype(np.uint8), mode="P")
    image.putpalette(table.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **_resolution(dpi))
    return buffer.getvalue()


def _resolution(dpi: int | None) -> dict[str, Any]:
    return {} if dpi is None else {"dpi": (dpi, dpi)}
