"""Frames as they come: cameras, network streams, files, pipes, the screen, one connection at a time; through PyAV."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import av
import av.container
import numpy as np

from vidfer.errors import VidferError
from vidfer.video.container import DECODER_OPTIONS, stream_at, video_streams, why
from vidfer.video.display import Display, FirstField, display_of, has_two_fields
from vidfer.video.pyav_reader import rgb_view
from vidfer.video.screen import Screen

SourceKind = Literal["camera", "screen", "network", "file", "pipe"]

_NETWORK = {
    "rtsp_flags": "prefer_tcp",  # UDP loses packets, and each loss grays the picture until the next keyframe
    "analyzeduration": "1000000",  # µs; FFmpeg would look at five seconds of MPEG-TS before the first frame
}


@dataclass(frozen=True, kw_only=True)
class RawFormat:
    """How the bytes of raw frames on standard input are to be read.

    Attributes
    ----------
    width, height, fps, pixel_format
        As FFmpeg's ``rawvideo`` takes them; the pixel format by FFmpeg's name, e.g. ``rgb24``.
    """

    width: int
    height: int
    fps: float = 30.0
    pixel_format: str = "rgb24"


@dataclass(frozen=True, kw_only=True)
class LiveSource:
    """What a user names: a camera, a URL, a file, a part of the screen, or ``-``.

    Attributes
    ----------
    name
        ``0``, ``/dev/video0``, ``rtsp://...``, ``clip.mp4``, ``screen:X,Y,WxH``, ``-``.
    raw
        For ``-``: raw frames of this format; None = a container that FFmpeg knows.
    rotation
        Degrees clockwise to turn the picture by, beyond what the source says.
    open_timeout_seconds, read_timeout_seconds
        A network source that cannot be opened in the first, or gives no picture for the second, counts as lost.
    """

    name: str
    raw: RawFormat | None = None
    rotation: int = 0
    open_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 10.0

    @property
    def kind(self) -> SourceKind:
        """What it is, by its name."""
        if self.name == "-":
            return "pipe"
        if self.name.isdecimal() or self.name.startswith("/dev/"):
            return "camera"
        if self.name.partition(":")[0] == "screen":
            return "screen"
        return "network" if re.match(r"[a-z][a-z0-9+.-]+://", self.name, re.IGNORECASE) else "file"

    def is_late(self, since: float) -> bool:
        """Return whether more than the time for reading has gone by since ``time.monotonic()`` was this."""
        return time.monotonic() - since > self.read_timeout_seconds

    def __str__(self) -> str:
        return re.sub(r"(://)[^/@]*@", r"\1", self.name)  # without user and password

    def open(self) -> Connection | Screen:
        """Return the source, opened; raises VidferError that says what is wrong."""
        if self.kind == "screen":
            return Screen(self.name)
        if self.kind == "file" and not Path(self.name).is_file():
            raise VidferError(f"{self}: no such file; expected a camera (0), a URL (rtsp://...), a file or -")
        try:
            return Connection(self, _opened(self))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise VidferError(f"{self}: cannot be opened: {why(error)}{_hint(self)}") from error


class Connection:
    """An opened source.

    Parameters
    ----------
    source, container
        What was opened.

    Attributes
    ----------
    ends
        Whether the source has an end of its own, behind which there is nothing to wait for.
    codec
        By FFmpeg's name.
    """

    def __init__(self, source: LiveSource, container: av.container.InputContainer) -> None:
        self._source, self._container = source, container
        streams = video_streams(container)
        if not streams:
            container.close()
            raise VidferError(f"{source}: expected video, found none in it")
        self._stream = stream_at(container, streams[0].index)
        context = self._stream.codec_context
        context.thread_type = "SLICE"  # threads by frame would hold back a frame each
        context.flags |= av.codec.context.Flags.low_delay
        is_file = source.name.lower().startswith(("http:", "https:")) and bool(container.duration)
        self.ends = source.kind in ("file", "pipe") or is_file
        self._field = FirstField()
        self._displays: dict[tuple[int, int], Display] = {}  # by size, which may change on the way
        self.codec = context.name

    def frames(self) -> Iterator[tuple[av.VideoFrame, float | None]]:
        """Yield decoded frames, and their seconds on the source's clock, if it gives any.

        Raises
        ------
        TimeoutError
            A network source has sent for too long what gives no picture.
        """
        waiting_since = time.monotonic()
        for packet in self._container.demux(self._stream):
            if self._source.kind == "network" and self._source.is_late(waiting_since):
                raise TimeoutError("no picture came in what was sent")
            try:
                frames = packet.decode()
            except (av.error.InvalidDataError, av.error.ArgumentError):
                continue  # joined in the middle, cut off or damaged on its way: the next keyframe mends it
            for frame in frames:
                if frame.is_corrupt:
                    continue
                self._note_display(frame)
                yield frame, None if frame.time is None else float(frame.time)
                waiting_since = time.monotonic()

    def _note_display(self, frame: av.VideoFrame) -> None:
        """Ask the container how the frame is shown: when a picture is wanted it may be closed."""
        size = frame.width, frame.height
        if size not in self._displays:
            display = display_of(self._stream, frame, codec=self.codec, size=size)
            self._displays[size] = display.turned(self._source.rotation)

    def picture(self, frame: av.VideoFrame) -> np.ndarray:
        """Return one of ``frames`` as it is shown, (H, W, 3) uint8 RGB; also behind the end of the connection."""
        size = frame.width, frame.height
        display = self._displays[size]
        if has_two_fields(frame, self.codec):
            frame = self._field.of(frame)
        return np.ascontiguousarray(display.upright(rgb_view(frame, display.square_width, size[1])))

    def close(self) -> None:
        """Let go of the source."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _opened(source: LiveSource) -> av.container.InputContainer:
    options: dict[str, Any] = {"options": dict(DECODER_OPTIONS), "metadata_errors": "ignore"}
    if source.kind == "network":
        limits = source.open_timeout_seconds, source.read_timeout_seconds
        return av.open(source.name, timeout=limits, **{**options, "options": {**DECODER_OPTIONS, **_NETWORK}})
    if source.kind == "pipe":
        if source.raw is None:
            return av.open("pipe:0", **options)
        raw = source.raw
        described = {"video_size": f"{raw.width}x{raw.height}", "pixel_format": raw.pixel_format}
        return av.open("pipe:0", format="rawvideo", options={**described, "framerate": f"{raw.fps:g}"})
    if source.kind == "camera":
        if not sys.platform.startswith("linux"):
            raise ValueError("cameras by number are known on Linux only (V4L2)")
        device = f"/dev/video{source.name}" if source.name.isdecimal() else source.name
        return av.open(device, format="v4l2", **options)
    return av.open(str(Path(source.name).absolute()), **options)


def _hint(source: LiveSource) -> str:
    if source.kind == "camera":
        return "; ls /dev/video* shows the cameras, and your user needs the group video"
    if source.kind == "network":
        return "; is the address right, and is the stream sent?"
    return ""
