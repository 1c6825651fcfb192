"""Write a video again with something painted over every picture: same times, same sound."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.container
import numpy as np

from vidfer.video.container import demux_packets, open_container
from vidfer.video.probe import VideoProbe, clock_origin, probe, turned
from vidfer.video.pyav_reader import PyAVReader
from vidfer.video.stream_choice import AUTO

BATCH_FRAMES = 8
_ROUNDING = 1e-6  # of seconds
_COPIED = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})  # sound that MP4 players know
# Few threads, always as many: their number changes what x264 writes. No B-frames: every frame keeps its plain time.
_X264 = {"crf": "20", "preset": "veryfast", "threads": "2", "bf": "0"}


def repaint(
    source: Path,
    target: Path,
    paint: Callable[[np.ndarray, float], np.ndarray],
    *,
    stream: int = AUTO,
    turned_degrees: int = 0,
    on_progress: Callable[[], None] = lambda: None,
) -> None:
    """Write ``target`` as H.264 in MP4 from what ``paint`` makes of each frame of ``source``.

    Parameters
    ----------
    source
        The video. Frames that cannot be decoded are left out; the others keep their times.
    target
        The file to write, whatever its suffix. Its clock is the one that players show of the source; where the source's
        jumps it goes on.
    paint
        Gets a frame, upright (H, W, 3) uint8 RGB, and its seconds from the first; returns the same shape.
    stream
        Number of the video stream in the file; ``AUTO`` = as ``probe`` chooses.
    turned_degrees
        See ``VideoInfo``.
    on_progress
        Called every few frames.

    Raises
    ------
    BadVideo
        The source cannot be read.
    """
    video = turned(probe(source, stream=stream, on_progress=on_progress), turned_degrees)
    write_painted(video, target, paint, on_progress=on_progress)


def write_painted(
    video: VideoProbe,
    target: Path,
    paint: Callable[[np.ndarray, float], np.ndarray],
    *,
    between: tuple[float, float] | None = None,
    on_progress: Callable[[], None] = lambda: None,
) -> None:
    """Write a probed video, or the part [start, end) of it in seconds from its first frame, which then begins at 0."""
    reader = PyAVReader(video)
    rows = np.arange(video.num_frames) if between is None else frames_between(video, *between)
    height, width = video.info.height // 2 * 2, video.info.width // 2 * 2  # 4:2:0 colour needs even sizes
    origin = max(0.0, video.info.start_seconds)
    sound_between = (-math.inf, math.inf)
    if between is not None:
        shown = origin + float((video.frame_pts[rows[0]] - video.frame_pts[0]) * video.time_base)
        origin, sound_between = 0.0, (shown, shown + between[1] - between[0])
    with av.open(str(target), "w", format="mp4") as container:
        written = container.add_stream("libx264", options=_X264)
        written.width, written.height, written.pix_fmt = width, height, "yuv420p"
        written.codec_context.time_base = written.time_base = video.time_base
        ticks = round(origin / video.time_base) + video.frame_pts - video.frame_pts[rows[0]]
        sound = Sound(Path(video.info.path), container, video.stream_index, *sound_between)
        for batch in reader.read(rows, batch_size=BATCH_FRAMES):
            for image, index, seconds in zip(batch.images, batch.frame_index, batch.pts_seconds, strict=True):
                painted = paint(image, float(seconds))
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(painted[:height, :width]), format="rgb24")
                frame.pts, frame.time_base = int(ticks[index]), video.time_base
                sound.write(float(frame.pts * video.time_base))
                container.mux(written.encode(frame))
            on_progress()
        container.mux(written.encode())
        sound.write()


def frames_between(video: VideoProbe, start: float, end: float) -> np.ndarray:
    """Return the rows of the frames that begin in [start, end), in seconds from the first one; at least the last."""
    seconds = (video.frame_pts - video.frame_pts[0]) * float(video.time_base)
    rows = np.flatnonzero((seconds >= start - _ROUNDING) & (seconds < end - _ROUNDING))
    return rows if len(rows) else np.array([video.num_frames - 1])


class Sound:
    """Writes a video's sound into another file, in turn with its pictures.

    ``since`` and ``until`` are seconds on the clock that players show; where they are given the sound begins at 0.
    """

    def __init__(
        self, source: Path, container: av.container.OutputContainer, video_stream: int, since: float, until: float
    ) -> None:
        self._container = container
        self._packets = _sound_packets(source, container, video_stream, since, until)
        self._next = next(self._packets, None)

    def write(self, until: float | Fraction = math.inf) -> None:
        """Write what begins until then, in seconds."""
        while self._next is not None and float((self._next.dts or 0) * self._next.time_base) <= until:
            self._container.mux(self._next)
            self._next = next(self._packets, None)


def _sound_packets(
    source: Path, container: av.container.OutputContainer, video_stream: int, since: float, until: float
) -> Iterator[av.Packet]:
    """Add a stream for the video's sound to ``container`` and yield its packets in order."""
    with open_container(source) as opened:
        audio = opened.streams.best("audio", related=opened.streams[video_stream])
        if not isinstance(audio, av.AudioStream) or audio.codec_context is None:
            return
        codec, packets = audio.codec_context, _on_one_clock(opened, audio, since, until)
        if codec.name in _COPIED or codec.codec.canonical_name in _COPIED:
            copied = container.add_stream_from_template(audio)
            for packet in packets:
                packet.stream = copied
                yield packet
        else:
            yield from _encoded(packets, container.add_stream("aac", rate=codec.sample_rate))


def _encoded(packets: Iterator[av.Packet], stream: av.AudioStream) -> Iterator[av.Packet]:
    for packet in packets:
        with contextlib.suppress(av.FFmpegError):
            for frame in packet.decode():
                if isinstance(frame, av.AudioFrame):
                    yield from stream.encode(frame)
    yield from stream.encode(None)


def _on_one_clock(
    opened: av.container.InputContainer, audio: av.AudioStream, since: float, until: float
) -> Iterator[av.Packet]:
    """Yield the sound's packets on the clock that players show, which goes on where the container's jumps back."""
    shift, due = None, 0  # ticks
    for packet in demux_packets(opened, audio):
        if packet.dts is None or packet.time_base is None:
            continue
        if shift is None:
            shift = -round(clock_origin(opened, audio) / packet.time_base)
        elif packet.dts + shift < due - (packet.duration or 0):
            shift = due - packet.dts
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts += shift
        due = packet.dts + (packet.duration or 0)
        if not since <= packet.dts * packet.time_base < until:
            continue
        if since > -math.inf:
            moved = round(since / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - moved
            packet.dts -= moved
        yield packet
