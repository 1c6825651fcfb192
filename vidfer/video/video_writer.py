"""A video written frame by frame, whole up to the last second whatever ends the process."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np

_MILLISECOND = Fraction(1, 1000)  # Matroska's own clock
# No frame waits in the encoder for a later one, and a cluster of the file lasts half a second at most.
_X264 = {"preset": "veryfast", "tune": "zerolatency", "crf": "20"}
_CLUSTERS = {"cluster_time_limit": "500", "flush_packets": "1"}


class VideoWriter:
    """Writes pictures as H.264 in Matroska, each at its own time.

    Parameters
    ----------
    path
        The file to write.
    height, width
        Of the first picture; others are scaled to it. Odd ones lose a row or column, as 4:2:0 colour needs.
    """

    def __init__(self, path: Path, *, height: int, width: int) -> None:
        self._container = av.open(str(path), "w", format="matroska", options=_CLUSTERS)
        self._stream = self._container.add_stream("libx264", options=_X264)
        self._stream.height, self._stream.width = height // 2 * 2, width // 2 * 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = _MILLISECOND
        self._last = -1

    def add(self, picture: np.ndarray, seconds: float) -> None:
        """Write a picture (H, W, 3) uint8 RGB that is shown from ``seconds`` on, later than the one before."""
        height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
        if (height, width) != (self._stream.height, self._stream.width):
            frame = frame.reformat(width=self._stream.width, height=self._stream.height)
        self._last = max(round(seconds / _MILLISECOND), self._last + 1)
        frame.pts, frame.time_base = self._last, _MILLISECOND
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """End the file."""
        self._container.mux(self._stream.encode())
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
