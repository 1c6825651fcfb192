"""Look into a video by demuxing it: codec, size, rotation and the time of every frame, at about 1 % of decoding.

Only the first frames are decoded, until one comes out: it tells the displayed size and rotation for sure.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from vidfer.video.container import MAX_PIXELS, demux_packets, open_container, video_stream
from vidfer.video.display import Display, display_of
from vidfer.video.packets import NO_TIME, PacketTable, displayed

_FIRST_FRAME_PACKETS = 300  # give up looking for a first decodable frame after so many packets
_MISSING_SECONDS = 0.25  # header and packets may differ by so much (and a frame) before a file counts as cut short
_PICTURE_FORMATS = frozenset({"image2", "ico", "tty"})


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
        (F,) int64 ticks, strictly increasing: when each frame is displayed. Of frames that share a time the
        first is kept. Its row is the ``frame_index`` used everywhere.
    mapping
        ``pts``: a decoded frame is found in ``frame_pts`` by its own pts. ``order``: the container's display times
        are missing or useless (elementary streams, h264 in AVI), so the k-th decoded frame is row k.
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
    missing_seconds, missing_frames
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
    missing_seconds: float = 0.0
    missing_frames: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def num_frames(self) -> int:
        """Frames to expect, F."""
        return len(self.frame_pts)


def probe(path: str | Path, *, fingerprint: str = "") -> VideoProbe:
    """Read all packets of a file's first video stream.

    Raises
    ------
    BadVideo
        ``unreadable``, ``no_video_stream``, ``no_frames`` or ``unsupported_codec``, each with what to do.
    """
    path = Path(path)
    with open_container(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise BadVideo(path, "no_video_stream", _describe_streams(container))
        codec = _codec_name(path, stream)
        scan = _Scan(container, stream, codec)
        scan.run()
        if not scan.rows:
            raise BadVideo(path, "no_frames", "the video stream is empty: the recording was cut short; export it again")
        if scan.first_frame is None and not scan.gave_up:
            why = "the file is damaged"
            if not stream.codec_context.width:  # FFmpeg forgets a size that it refused
                why += f", or its pictures have more than {MAX_PIXELS / 1e6:.0f} million pixels: then scale it down"
            raise BadVideo(path, "no_frames", f"none of {len(scan.rows)} packets can be decoded: {why}")
        return _build(path, container, stream, scan, fingerprint)


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
            stream = video_stream(container)
            if stream is not None and "gif" in names:
                return len(list(islice(demux_packets(container, stream), 2))) > 1
            return stream is not None
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

    def run(self) -> None:
        for packet in demux_packets(self.container, *self.container.streams.get()):
            self._extend_time(packet)
            if packet.stream_index != self.stream.index:
                continue
            head = (
                bytes(memoryview(packet)[: headers.HEADER_BYTES]) if packet.is_keyframe or self.codec == "vp8" else b""
            )
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
    path: Path, container: av.container.InputContainer, stream: av.VideoStream, scan: _Scan, fingerprint: str
) -> VideoProbe:
    packets = scan.table()
    time_base = Fraction(stream.time_base or Fraction(1, 90000))
    mapping = _mapping(container, scan.codec, packets)
    frame_pts, time_warnings = _frame_pts(packets, mapping, time_base, stream)
    if not len(frame_pts):
        raise BadVideo(path, "no_frames", "every packet is marked as not to be displayed")
    frame = scan.first_frame
    context = stream.codec_context
    width, height = (frame.width, frame.height) if frame is not None else (context.width, context.height)
    display = display_of(stream, frame, codec=scan.codec, size=(width, height))
    shown_width, shown_height = display.size(height)
    duration = float((frame_pts[-1] - frame_pts[0] + _last_duration(packets, frame_pts)) * time_base)
    missing_seconds, missing_frames = _missing(container, stream, scan, duration / len(frame_pts))
    info = VideoInfo(
        path=str(path),
        width=shown_width,
        height=shown_height,
        duration_seconds=duration,
        average_fps=len(frame_pts) / duration if duration > 0 else 0.0,
        codec=scan.codec,
        rotation_degrees=(-90 * display.quarter_turns) % 360,
        num_frames=len(frame_pts),
        fingerprint=fingerprint,
    )
    return VideoProbe(
        info=info,
        stream_index=stream.index,
        time_base=time_base,
        packets=packets,
        frame_pts=frame_pts,
        mapping=mapping,
        coded_width=width,
        coded_height=height,
        pix_fmt=frame.format.name if frame is not None else (context.pix_fmt or ""),
        display=display,
        may_be_interlaced=display.interlaced or scan.allows_fields,
        size_changes=scan.size_changes,
        missing_seconds=missing_seconds,
        missing_frames=missing_frames,
        warnings=(
            *time_warnings,
            *display.warnings,
            *_cut_short_warning(len(frame_pts), missing_seconds, missing_frames),
        ),
    )


def _mapping(container: av.container.InputContainer, codec: str, packets: PacketTable) -> Literal["pts", "order"]:
    """Return how decoded frames find their time.

    AVI stores no display times: FFmpeg derives them, rightly for mpeg4, but for h264 and hevc as if there were no
    B-frames. A second field's packet may lack a pts, so up to half of them may be missing.
    """
    if np.count_nonzero(packets.pts != NO_TIME) < 0.45 * len(packets):
        return "order"
    return "order" if "avi" in container.format.name and codec in ("h264", "hevc") else "pts"


def _frame_pts(
    packets: PacketTable, mapping: str, time_base: Fraction, stream: av.VideoStream
) -> tuple[np.ndarray, tuple[str, ...]]:
    if mapping == "pts":
        pts = packets.pts[displayed(packets)]
        unique = np.unique(pts)
        same = len(pts) - len(unique)
        return unique, (f"{same} frames share the time of another and are dropped",) if same else ()
    shown = packets.is_shown & ~packets.is_discard
    for times in (packets.dts[shown], packets.pts[shown]):
        if np.all(times != NO_TIME) and len(np.unique(times)) == len(times):
            return np.sort(times), ()
    step = int(np.median(packets.duration[shown])) or round(1 / (float(stream.guessed_rate or 25) * time_base))
    warning = "the file stores no timestamps: its nominal frame rate is used"
    return np.arange(np.count_nonzero(shown), dtype=np.int64) * max(1, step), (warning,)


def _last_duration(packets: PacketTable, frame_pts: np.ndarray) -> int:
    """Return how long the last frame is displayed, in ticks: its packet's duration, else the usual step."""
    last = packets.duration[packets.pts == frame_pts[-1]]
    if len(last) and last[0] > 0:
        return int(last[0])
    return int(np.median(np.diff(frame_pts))) if len(frame_pts) > 1 else 1


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
