"""Write a video again with something painted over every picture: same times, same sound."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import av.container
import numpy as np

from vidfer.video.container import demux_packets, open_container
from vidfer.video.probe import probe
from vidfer.video.pyav_reader import PyAVReader

BATCH_FRAMES = 8
_COPIED = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})  # sound that MP4 players know
# Few threads, always as many: their number changes what x264 writes. No B-frames: every frame keeps its plain time.
_X264 = {"crf": "20", "preset": "veryfast", "threads": "2", "bf": "0"}


def repaint(
    source: Path,
    target: Path,
    paint: Callable[[np.ndarray, float], np.ndarray],
    *,
    on_progress: Callable[[], None] = lambda: None,
) -> None:
    """Write ``target`` as H.264 in MP4 from what ``paint`` makes of each frame of ``source``.

    Parameters
    ----------
    source
        The video. Frames that cannot be decoded are left out; the others keep their times.
    target
        The file to write, whatever its suffix.
    paint
        Gets a frame, upright (H, W, 3) uint8 RGB, and its seconds from the first; returns the same shape.
    on_progress
        Called every few frames.

    Raises
    ------
    BadVideo
        The source cannot be read.
    """
    video = probe(source)
    reader = PyAVReader(video)
    height, width = video.info.height // 2 * 2, video.info.width // 2 * 2  # 4:2:0 colour needs even sizes
    with av.open(str(target), "w", format="mp4") as container:
        stream = container.add_stream("libx264", options=_X264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = stream.time_base = video.time_base
        sound = _sound(source, container)
        heard = next(sound, None)
        for batch in reader.read(np.arange(video.num_frames), batch_size=BATCH_FRAMES):
            for image, index, seconds in zip(batch.images, batch.frame_index, batch.pts_seconds, strict=True):
                painted = paint(image, float(seconds))
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(painted[:height, :width]), format="rgb24")
                frame.pts, frame.time_base = int(video.frame_pts[index]), video.time_base
                until = float(frame.pts * video.time_base)
                while heard is not None and float((heard.dts or 0) * heard.time_base) <= until:  # in turn, as played
                    container.mux(heard)
                    heard = next(sound, None)
                container.mux(stream.encode(frame))
            on_progress()
        container.mux(stream.encode())
        while heard is not None:
            container.mux(heard)
            heard = next(sound, None)


def _sound(source: Path, container: av.container.OutputContainer) -> Iterator[av.Packet]:
    """Add a stream for the source's first sound to ``container`` at once, and return its packets in order."""
    opened = open_container(source)
    heard = opened.streams.audio[0] if opened.streams.audio else None
    if heard is None or heard.codec_context is None:
        opened.close()
        return iter(())
    if heard.codec_context.name in _COPIED or heard.codec_context.codec.canonical_name in _COPIED:
        return _copied(opened, heard, container.add_stream_from_template(heard))
    return _encoded(opened, heard, container.add_stream("aac", rate=heard.codec_context.sample_rate))


def _copied(opened: av.container.InputContainer, heard: av.AudioStream, stream: av.AudioStream) -> Iterator[av.Packet]:
    with opened:
        for packet in demux_packets(opened, heard):
            if packet.dts is not None:
                packet.stream = stream
                yield packet


def _encoded(opened: av.container.InputContainer, heard: av.AudioStream, stream: av.AudioStream) -> Iterator[av.Packet]:
    with opened:
        for packet in demux_packets(opened, heard):
            with contextlib.suppress(av.FFmpegError):
                for frame in packet.decode():
                    if isinstance(frame, av.AudioFrame):
                        yield from stream.encode(frame)
        yield from stream.encode(None)
