"""Look into a video by demuxing it: codec, size, rotation and the time of every frame, at about 1 % of decoding.

Only the first frames are decoded, until one comes out: it tells the displayed size and rotation for sure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

import av
import av.container
import numpy as np

from vidfer.errors import BadVideo
from vidfer.memory_limit import blame_memory
from vidfer.types import VideoInfo
from vidfer.video import headers
from vidfer.video.container import MAX_PIXELS, demux_packets, open_container, video_streams
from vidfer.video.decode_pass import DecodedFrames, decode_all
from vidfer.video.display import Display, display_of
from vidfer.video.frame_times import FrameTimes, frame_times
from vidfer.video.packets import NO_TIME, PacketTable
from vidfer.video.picture_size import choose_size
from vidfer.video.stream_choice import AUTO, choose_stream

_FIRST_FRAME_PACKETS = 300  # give up looking for a first decodable frame after so many packets
_MISSING_SECONDS = 0.25  # header and packets may differ by so much (and a frame) before a file counts as cut short
_PICTURE_FORMATS = frozenset({"image2", "ico", "tty"})
_PROGRESS_PACKETS = 4096
_HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics, ITU-T H.273 table 3
_FREE_CLOCKS = frozenset({"mpeg", "mpegts"})  # begin at any time: players count from the first of all streams


@dataclass(frozen=True, kw_only=True)
class VideoProbe:
    """What demuxing a file tells.

    Attributes
    ----------
    info
        The public part.
    stream_index
        The video stream's number in the file.
    time_base
        Seconds per tick.
    packets
        Every packet of the stream.
    frame_pts
        (F,) int64 ticks, strictly increasing: when each frame is displayed. Its row is the ``frame_index`` used
        everywhere.
    mapping
        ``pts``: a decoded frame is found in ``frame_pts`` by its own pts. ``order``: the container's display times
        are missing or useless (elementary streams, h264 in AVI), so the k-th decoded frame is row k.
    is_mended
        The clock jumps, or frames have no time of their own: those of ``packets`` are mended, and are to be given to
        the decoder instead of the container's.
    coded_width, coded_height
        Stored size in pixels, before rotation.
    pix_fmt
        FFmpeg's name of the pixel format.
    display
        How stored pictures are to be shown: square pixels, mirrored, turned.
    may_be_interlaced
        Frames may hold two fields, taken one after the other, now or later.
    size_changes
        The picture size or parameter sets change mid-stream.
    displays
        Where they do: how pictures are to be shown, ``display`` among them.
    frame_display
        (F,) int64: which of ``displays`` is each frame's, -1 where that is not known; else empty.
    missing_seconds
        What the header announces and the file no longer holds; 0 for a complete file.
    warnings
        For people.
    """

    info: VideoInfo
    stream_index: int
    time_base: Fraction
    packets: PacketTable
    frame_pts: np.ndarray
    mapping: Literal["pts", "order"]
    coded_width: int
    coded_height: int
    pix_fmt: str
    display: Display
    may_be_interlaced: bool
    size_changes: bool
    is_mended: bool = False
    displays: tuple[Display, ...] = ()
    frame_display: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    missing_seconds: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def num_frames(self) -> int:
        """Frames to expect, F."""
        return len(self.frame_pts)


def probe(
    path: str | Path,
    *,
    fingerprint: str = "",
    stream: int = AUTO,
    on_progress: Callable[[], None] = lambda: None,
) -> VideoProbe:
    """Read all packets of a file's video stream.

    Parameters
    ----------
    path, fingerprint
        The file, and what is known of its content.
    stream
        The stream's number in the file; ``AUTO`` chooses, see ``stream_choice.choose_stream``.
    on_progress
        Called every now and then, as some files must be decoded for this.

    Raises
    ------
    BadVideo
        ``unreadable``, ``no_video_stream``, ``no_frames`` or ``unsupported_codec``, each with what to do.
    """
    path = Path(path)
    with open_container(path) as container:
        chosen, warnings = choose_stream(path, container, stream)
        if chosen is None:
            raise BadVideo(path, "no_video_stream", _describe_streams(container))
        codec = _codec_name(path, chosen)
        scan = _Scan(container, chosen, codec)
        scan.run(on_progress)
        if not scan.rows:
            raise BadVideo(path, "no_frames", "the video stream is empty: the recording was cut short; export it again")
        if scan.first_frame is None and not scan.gave_up:
            why = "the file is damaged"
            if codec == "webp":
                why = "FFmpeg reads no animated WebP: save it as a video or a GIF"
            elif not chosen.codec_context.width:  # FFmpeg forgets a size that it refused
                why += f", or its pictures have more than {MAX_PIXELS / 1e6:.0f} million pixels: then scale it down"
            raise BadVideo(path, "no_frames", f"none of {len(scan.rows)} packets can be decoded: {why}")
        return _build(path, container, chosen, scan, fingerprint=fingerprint, warnings=warnings, progress=on_progress)


def turned(video: VideoProbe, degrees: int, *, warning: str = "") -> VideoProbe:
    """Return a probed file whose picture is shown turned clockwise by 0, 90, 180 or 270 degrees more."""
    if not degrees:
        return video
    display = video.display.turned(degrees)
    width, height = display.size(video.coded_height)
    info = replace(
        video.info,
        width=width,
        height=height,
        rotation_degrees=(video.info.rotation_degrees + degrees) % 360,
        turned_degrees=degrees,
    )
    return replace(
        video,
        info=info,
        display=display,
        displays=tuple(shown.turned(degrees) for shown in video.displays),
        warnings=(*video.warnings, *((warning,) if warning else ())),
    )


def frame_times_seconds(probe: VideoProbe) -> np.ndarray:
    """Return (F,) float64 seconds from the first frame, strictly increasing: (pts - first) * time_base."""
    ticks = probe.frame_pts - probe.frame_pts[0]
    return ticks * float(probe.time_base.numerator) / float(probe.time_base.denominator)


def is_video(path: str | Path) -> bool:
    """Return whether FFmpeg finds moving pictures in the file: no cover art, no still picture, no text."""
    try:
        with open_container(Path(path)) as container:
            names = set(container.format.name.split(","))
            if names & _PICTURE_FORMATS or any(name.endswith("_pipe") for name in names):
                return False
            streams = video_streams(container)
            if streams and "gif" in names:
                return len(list(islice(demux_packets(container, streams[0]), 2))) > 1
            return bool(streams)
    except BadVideo:
        return False


class _Scan:
    """One pass over all packets, collecting the table and the first decodable frame."""

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream, codec: str) -> None:
        self.container, self.stream, self.codec = container, stream, codec
        self.rows: list[tuple[int, int, int, int, bool, bool, bool, bool]] = []
        self.first_frame: av.VideoFrame | None = None
        self.gave_up = False
        self.size_changes = False
        self.end_seconds = 0.0
        self.start_seconds: float | None = None
        self._signature: bytes | None = None
        extradata = stream.codec_context.extradata or b""
        self._length_bytes = headers.unit_length_bytes(codec, extradata)
        self.allows_fields = headers.allows_fields(codec, extradata)
        stream.codec_context.thread_count = 1  # one frame is all that is decoded

    def run(self, on_progress: Callable[[], None]) -> None:
        for packet in demux_packets(self.container, *self.container.streams.get()):
            if len(self.rows) % _PROGRESS_PACKETS == 0:
                on_progress()
            self._extend_time(packet)
            if packet.stream_index != self.stream.index:
                continue
            tells = packet.is_keyframe or self.codec in ("vp8", "vp9")
            head = bytes(memoryview(packet)[: headers.HEADER_BYTES]) if tells else b""
            self._watch_size(packet, head)
            self.rows.append(
                (
                    NO_TIME if packet.pts is None else packet.pts,
                    NO_TIME if packet.dts is None else packet.dts,
                    packet.duration or 0,
                    packet.size,
                    packet.is_keyframe and headers.starts_clean(self.codec, head, length_bytes=self._length_bytes),
                    packet.is_discard,
                    packet.is_corrupt or not self._is_well_formed(packet),
                    headers.shows_frame(self.codec, head),
                )
            )
            self._look_for_frame(packet)
        self._look_for_frame(None)

    def table(self) -> PacketTable:
        columns = [np.array(column) for column in zip(*self.rows, strict=True)]
        pts, dts, duration, size = (column.astype(np.int64) for column in columns[:4])
        keyframe, discard, corrupt, shown = (column.astype(np.bool_) for column in columns[4:])
        return PacketTable(
            pts=pts, dts=dts, duration=duration, size=size,
            is_keyframe=keyframe, is_discard=discard, is_corrupt=corrupt, is_shown=shown,
        )  # fmt: skip

    def _extend_time(self, packet: av.Packet) -> None:
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or packet.time_base is None:
            return
        start = float(time * packet.time_base)
        self.start_seconds = start if self.start_seconds is None else min(self.start_seconds, start)
        self.end_seconds = max(self.end_seconds, start + float((packet.duration or 0) * packet.time_base))

    def _is_well_formed(self, packet: av.Packet) -> bool:
        return not self._length_bytes or headers.is_well_formed(memoryview(packet), self._length_bytes)

    def _watch_size(self, packet: av.Packet, head: bytes) -> None:
        if not packet.is_keyframe:
            self.size_changes |= headers.resizes(self.codec, head)
            return
        if self.rows and packet.has_sidedata("new_extradata"):
            self.size_changes = True
        signature = headers.size_signature(self.codec, head, length_bytes=self._length_bytes)
        if signature is not None and self._signature not in (None, signature):
            self.size_changes = True
        if signature not in (None, self._signature):
            self.allows_fields |= headers.allows_fields(self.codec, head, length_bytes=self._length_bytes)
        self._signature = signature or self._signature

    def _look_for_frame(self, packet: av.Packet | None) -> None:
        if self.first_frame is not None or self.gave_up:
            return
        if len(self.rows) > _FIRST_FRAME_PACKETS:
            self.gave_up = True
            return
        try:
            frames = self.stream.codec_context.decode(packet)
        except (av.FFmpegError, IndexError) as error:
            blame_memory(error)
            return
        self.first_frame = frames[0] if frames else None


def _build(
    path: Path,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    scan: _Scan,
    *,
    fingerprint: str,
    warnings: tuple[str, ...],
    progress: Callable[[], None],
) -> VideoProbe:
    decoded: list[DecodedFrames] = []  # once at most

    def decode() -> DecodedFrames:
        if not decoded:
            decoded.append(decode_all(path, stream.index, on_progress=progress))
        return decoded[0]

    times = _times(path, container, stream, scan, decode)
    frame = scan.first_frame
    context = stream.codec_context
    width, height = (frame.width, frame.height) if frame is not None else (context.width, context.height)
    display = display_of(stream, frame, codec=scan.codec, size=(width, height))
    warnings = (*warnings, *times.warnings, *display.warnings, *_hdr_warning(context))
    displays: tuple[Display, ...] = ()
    frame_display = np.full(len(times.frame_pts) if scan.size_changes else 0, -1, dtype=np.int64)
    if scan.size_changes and len(decode().packet):
        rows = times.rows(decode().packet)
        aspect = float(stream.sample_aspect_ratio or 1)
        sizes = choose_size(decode(), times.durations_seconds[rows], container_aspect=aspect)
        frame_display[rows] = decode().shape
        displays = tuple(replace(shown, interlaced=display.interlaced) for shown in sizes.displays)
        display, shape = displays[sizes.target], decode().shapes[sizes.target]
        width, height = shape.width, shape.height
        warnings = (*warnings, *sizes.warnings)
    shown_width, shown_height = display.size(height)
    seconds = (times.frame_pts[-1] - times.frame_pts[0]) * times.time_base
    duration = float(seconds + times.last_duration * times.time_base)
    average_fps = float((len(times.frame_pts) - 1) / seconds) if seconds else (1 / duration if duration > 0 else 0.0)
    missing_seconds, missing_frames = _missing(container, stream, scan, 1 / average_fps if average_fps else 0.0)
    info = VideoInfo(
        path=str(path),
        width=shown_width,
        height=shown_height,
        duration_seconds=duration,
        average_fps=average_fps,
        codec=scan.codec,
        rotation_degrees=(-90 * display.quarter_turns) % 360,
        num_frames=len(times.frame_pts),
        fingerprint=fingerprint,
        stream=stream.index,
        start_seconds=float(times.frame_pts[0] * times.time_base - clock_origin(container, stream)),
    )
    return VideoProbe(
        info=info,
        stream_index=stream.index,
        time_base=times.time_base,
        packets=times.packets,
        frame_pts=times.frame_pts,
        mapping=times.mapping,
        is_mended=times.is_mended,
        coded_width=width,
        coded_height=height,
        pix_fmt=frame.format.name if frame is not None else (context.pix_fmt or ""),
        display=display,
        may_be_interlaced=display.interlaced or scan.allows_fields,
        size_changes=scan.size_changes,
        displays=displays,
        frame_display=frame_display,
        missing_seconds=missing_seconds,
        warnings=(*warnings, *_cut_short_warning(len(times.frame_pts), missing_seconds, missing_frames)),
    )


def first_audio_seconds(path: Path) -> float:
    """Return where a file's sound begins on the clock that players show; raises BadVideo where there is none."""
    with open_container(path) as container:
        stream = container.streams.best("audio")
        if stream is None or stream.time_base is None:
            raise BadVideo(path, "unreadable", "it has no sound, so there is no clock of the sound")
        return float((stream.start_time or 0) * stream.time_base - clock_origin(container, stream))


def clock_origin(container: av.container.InputContainer, stream: av.stream.Stream) -> Fraction:
    """Return the seconds on a container's clock that players of a stream call 0.

    Measured in Chromium: it shows the times of Matroska and MP4 as they are, wherever they begin. Broadcasts begin at
    any time, and all players count from their first sound or picture. Programmes of one broadcast have a clock each,
    hours apart, so that only streams that run at the same time as this one count.
    """
    if container.format.name not in _FREE_CLOCKS or container.start_time is None:
        return Fraction(0)
    known = [one for one in container.streams if one.start_time is not None]
    together = [_start(one) for one in known if _start(one) <= _end(stream) and _start(stream) <= _end(one)]
    if stream.start_time is None or len(together) == len(known):
        return Fraction(container.start_time, av.time_base)
    return min(together)


def _start(stream: av.stream.Stream) -> Fraction:
    return (stream.start_time or 0) * (stream.time_base or Fraction(0))


def _end(stream: av.stream.Stream) -> Fraction:
    return _start(stream) + (stream.duration or 0) * (stream.time_base or Fraction(0))


def _times(
    path: Path,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    scan: _Scan,
    decode: Callable[[], DecodedFrames],
) -> FrameTimes:
    times = frame_times(
        scan.table(),
        codec=scan.codec,
        container=container.format.name,
        time_base=Fraction(stream.time_base or Fraction(1, 90000)),
        nominal_rate=float(stream.guessed_rate or 25),
        allows_fields=scan.allows_fields,
        reorders=bool(stream.codec_context.has_b_frames),
        decode_first=lambda count: decode_all(path, stream.index, most_packets=count),
        decode=decode,
    )
    if not len(times.frame_pts):
        raise BadVideo(path, "no_frames", "every packet is marked as not to be displayed")
    return times


def _hdr_warning(context: av.VideoCodecContext) -> tuple[str, ...]:
    name = _HDR.get(int(context.color_trc))
    if name is None:
        return ()
    return (
        f"the video is HDR ({name}): the networks see its colours flat, as no tone mapping is done; convert it to SDR",
    )


def _missing(
    container: av.container.InputContainer, stream: av.VideoStream, scan: _Scan, frame_seconds: float
) -> tuple[float, int]:
    """Return seconds and frames that the header announces beyond the last packet of any stream."""
    names = container.format.name
    if not any(name in names for name in ("mp4", "matroska", "avi")):
        return 0.0, 0  # other containers have no header that could tell
    announced = (container.duration or 0) / av.time_base
    if names == "avi":  # a cut AVI has lost its index, which the duration is taken from; its header counts frames
        announced = max(announced, float(stream.frames * (stream.time_base or 0)))
    start = 0.0 if "matroska" in names else (scan.start_seconds or 0.0)
    missing = announced - (scan.end_seconds - start)
    if missing <= _MISSING_SECONDS + frame_seconds:
        return 0.0, 0
    return missing, max(0, stream.frames - len(scan.rows))


def _cut_short_warning(num_frames: int, missing_seconds: float, missing_frames: int) -> tuple[str, ...]:
    if not missing_seconds:
        return ()
    frames = f" ({num_frames} of {num_frames + missing_frames} frames are there)" if missing_frames else ""
    return (f"the file is cut short: the last {missing_seconds:.1f} s that its header announces are missing{frames}",)


def _codec_name(path: Path, stream: av.VideoStream) -> str:
    context = stream.codec_context
    if context is None or not hasattr(context, "codec"):
        raise BadVideo(path, "unsupported_codec", "FFmpeg has no decoder for it: convert the video to h264")
    name = context.codec.canonical_name if hasattr(context.codec, "canonical_name") else context.name
    return {"libdav1d": "av1", "libaom-av1": "av1"}.get(name, name)


def _describe_streams(container: av.container.InputContainer) -> str:
    kinds = sorted({stream.type for stream in container.streams})
    cover = " (its only picture is cover art)" if container.streams.video else ""
    return f"there is no video in it, only {' and '.join(kinds) or 'nothing'}{cover}"
