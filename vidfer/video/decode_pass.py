"""What only decoding tells of a video: the order of its frames, and the size and position of each picture.

Demuxing costs a hundredth of it, so it is done only where the packets are not to be trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np

from vidfer.video.container import demux_packets, open_container, stream_at
from vidfer.video.display import orientation

_PROGRESS_PACKETS = 256


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a picture is stored, and how it is to be turned.

    Attributes
    ----------
    width, height
        Stored, in pixels.
    pixel_aspect
        How wide a pixel is for its height, as the codec says; 0 where it does not.
    quarter_turns, mirrored
        See ``Display``.
    """

    width: int
    height: int
    pixel_aspect: float
    quarter_turns: int
    mirrored: bool


@dataclass(frozen=True, kw_only=True)
class DecodedFrames:
    """The frames of a video in the order in which the decoder gives them.

    Attributes
    ----------
    packet
        (F,) int64, row of the packet that each comes from.
    shape
        (F,) int64 into ``shapes``.
    shapes
        All that occur.
    """

    packet: np.ndarray
    shape: np.ndarray
    shapes: tuple[Shape, ...]


def decode_all(
    path: Path, stream_index: int, *, most_packets: int | None = None, on_progress: Callable[[], None] = lambda: None
) -> DecodedFrames:
    """Decode a stream, or its first packets, and keep nothing but this."""
    rows: list[int] = []
    shapes: dict[Shape, int] = {}
    shape_of: list[int] = []
    keyframes: set[int] = set()
    position = (0, False)  # quarter turns, mirrored
    with open_container(path) as container:
        stream = stream_at(container, stream_index)
        context = stream.codec_context
        context.thread_type = "AUTO"

        def take(packet: av.Packet | None) -> None:
            nonlocal position
            try:
                frames = context.decode(packet)
            except (av.FFmpegError, IndexError):
                return
            for frame in frames:
                if frame.pts is None:
                    continue
                if frame.pts in keyframes or frame.side_data.get("DISPLAYMATRIX") is not None:
                    position = orientation(frame)  # holds until the next keyframe (H.264 D.2.27)
                shape = Shape(
                    width=frame.width,
                    height=frame.height,
                    pixel_aspect=float(context.sample_aspect_ratio or 0),
                    quarter_turns=position[0],
                    mirrored=position[1],
                )
                rows.append(frame.pts)
                shape_of.append(shapes.setdefault(shape, len(shapes)))

        for row, packet in enumerate(islice(demux_packets(container, stream), most_packets)):
            if packet.is_keyframe:
                keyframes.add(row)
            packet.pts, packet.dts = row, None  # decoders hand a packet's time on to its frame
            take(packet)
            if row % _PROGRESS_PACKETS == 0:
                on_progress()
        take(None)
    packet_rows, first = np.unique(np.array(rows, dtype=np.int64), return_index=True)
    order = np.sort(first) if len(packet_rows) < len(rows) else np.arange(len(rows))
    return DecodedFrames(
        packet=np.array(rows, dtype=np.int64)[order],
        shape=np.array(shape_of, dtype=np.int64)[order],
        shapes=tuple(shapes),
    )
