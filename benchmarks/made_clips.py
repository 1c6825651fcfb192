"""Clips that benchmarks make."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np


def write_clip(path: Path, pictures: Iterable[np.ndarray], *, rate: int | Fraction, **options: str) -> Path:
    """Write pictures (H, W, 3) uint8 RGB as H.264 with x264's options; an odd row or column is left out."""
    shown = iter(pictures)
    first = next(shown)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = (side // 2 * 2 for side in first.shape[:2])
        stream.pix_fmt = "yuv420p"
        for picture in chain([first], shown):
            cut = np.ascontiguousarray(picture[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))
        container.mux(stream.encode(None))
    return path
