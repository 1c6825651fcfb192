"""What players do to a decoded picture before they show it: make pixels square, mirror, turn, undo interlacing."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace

import av
import av.filter
import numpy as np

from vidfer.video.container import MAX_PIXELS

_SQUARE_ENOUGH = 0.01  # a pixel aspect this near to 1 comes from rounding sizes, and resampling would only blur
_WIDEST_PIXEL = 4.0  # in use are 8:9 to 2:1; beyond lies damage
_FIELD_LINES = 4  # fields of 4:2:0 pictures need a height that is a multiple of it; interlaced coding gives only such


@dataclass(frozen=True, kw_only=True)
class Display:
    """How a video's stored pictures are to be shown.

    Attributes
    ----------
    square_width
        Width of the stored picture in square pixels; its height stays.
    quarter_turns
        ``k`` of ``np.rot90`` that turns it upright.
    mirrored
        It is to be mirrored left to right before that, as some front cameras announce.
    interlaced
        The first frame holds two fields; later ones tell for themselves.
    warnings
        For people.
    """

    square_width: int
    quarter_turns: int = 0
    mirrored: bool = False
    interlaced: bool = False
    warnings: tuple[str, ...] = ()

    def size(self, stored_height: int) -> tuple[int, int]:
        """Return (width, height) in pixels as shown."""
        shown = self.square_width, stored_height
        return shown[::-1] if self.quarter_turns % 2 else shown

    def turned(self, degrees: int) -> Display:
        """Return it turned clockwise by 0, 90, 180 or 270 degrees more."""
        return replace(self, quarter_turns=(self.quarter_turns - degrees // 90) % 4)

    def upright(self, picture: np.ndarray) -> np.ndarray:
        """Return a view of a picture (stored height, square width, 3) as it is shown."""
        return np.rot90(picture[:, ::-1] if self.mirrored else picture, self.quarter_turns)


def display_of(stream: av.VideoStream, frame: av.VideoFrame | None, *, codec: str, size: tuple[int, int]) -> Display:
    """Return how a stream is shown, from its first frame (None where there is none) and its stored width and height."""
    # the aspect is the container's, else the codec's
    width, warnings = square_width(*size, float(stream.sample_aspect_ratio or 1))
    if frame is None:
        return Display(square_width=width, warnings=warnings)
    interlaced = has_two_fields(frame, codec)
    if interlaced:
        warnings += ("the video is interlaced: of each frame the field that was taken first is used",)
    turns, mirrored = orientation(frame)
    return Display(square_width=width, quarter_turns=turns, mirrored=mirrored, interlaced=interlaced, warnings=warnings)


def square_width(width: int, height: int, pixel_aspect: float) -> tuple[int, tuple[str, ...]]:
    """Return the width of a stored picture in square pixels, and a warning where its aspect is not believed."""
    if not 1 / _WIDEST_PIXEL <= pixel_aspect <= _WIDEST_PIXEL or width * pixel_aspect * height > MAX_PIXELS:
        return width, (f"pixels {pixel_aspect:.3g} times as wide as high are not believed: taken as square",)
    if abs(pixel_aspect - 1) > _SQUARE_ENOUGH:
        return max(1, round(width * pixel_aspect)), ()
    return width, ()


def orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Return quarter turns and mirroring from the display matrix (ISO 14496-12 8.3.2), which FFmpeg keeps with frames.

    Stored x, y are shown at a x + c y and b x + d y, with y downwards. A negative determinant mirrors.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    data = b"" if matrix is None else bytes(memoryview(matrix))  # type: ignore[arg-type]  # the stubs say object
    if len(data) < 36:
        return 0, False
    a, b, _, c, d = struct.unpack("=9i", data[:36])[:5]
    mirrored = a * d - b * c < 0
    if mirrored:  # without the mirroring, which turns the sign of what becomes of x
        a, b = -a, -b
    return round(math.atan2(-b, a) / (math.pi / 2)) % 4, mirrored


def has_two_fields(frame: av.VideoFrame, codec: str) -> bool:
    """Return whether a frame holds two pictures, line by line; hevc codes fields as frames of their own."""
    return frame.interlaced_frame and codec != "hevc" and frame.height % _FIELD_LINES == 0


class FirstField:
    """Takes from interlaced frames the field that was taken first: half the lines, one moment, no comb.

    The frame's timestamp is this field's. It depends on no other frame, so reading may start anywhere; scaled back to
    full height the picture lies half a pixel from where both fields would put it. FFmpeg's filter ``separatefields``
    knows which field is the first.
    """

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._takes: tuple[int, int, str] | None = None

    def of(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the first field, as wide as the frame and half as high."""
        kind = (frame.width, frame.height, frame.format.name)
        if self._graph is None or kind != self._takes:
            self._graph, self._takes = _field_graph(frame), kind
        self._graph.push(frame)
        field = self._graph.pull()
        while True:  # the filter gives the second field of the frame before, and then the first of this one
            try:
                field = self._graph.pull()
            except (BlockingIOError, EOFError):
                assert isinstance(field, av.VideoFrame)
                return field


def _field_graph(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    fields, sink = graph.add("separatefields"), graph.add("buffersink")
    source.link_to(fields)
    fields.link_to(sink)
    graph.configure()
    return graph
