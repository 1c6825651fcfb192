"""The PyAV reader: right on every file that FFmpeg knows, and gets out of a damaged one what there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from vidfer.memory_limit import blame_memory
from vidfer.types import FrameBatch
from vidfer.video.collect import CollectingReader, Collector
from vidfer.video.container import demux_packets, open_container, stream_at
from vidfer.video.display import Display, FirstField, has_two_fields
from vidfer.video.frame_reader import DecoderName
from vidfer.video.packets import NO_TIME, clean_keyframes
from vidfer.video.picture_size import placed
from vidfer.video.probe import VideoProbe


class PyAVReader(CollectingReader):
    """Reads frames with PyAV; see ``vidfer.video.reader.FrameReader``.

    Packets are demuxed from the file's beginning and those of GOPs without a wanted frame are passed over; the
    container is never asked to seek. Each packet is tried once, so that one bad packet costs its own frames only.
    """

    name: DecoderName = "pyav"

    def __init__(self, probe: VideoProbe, *, num_threads: int = 0) -> None:
        super().__init__(probe)
        self._num_threads = num_threads
        self._first_field = FirstField()

    def _batches(self, wanted: np.ndarray, collector: Collector) -> Iterator[FrameBatch]:
        if not len(wanted):
            return
        last = -1
        for index, frame in self._frames(wanted, collector):
            if index <= last:
                continue  # a time given twice, or one that goes backwards
            last = index
            if collector.wants(index):
                batch = collector.add(index, self._pixels(index, frame), is_corrupt=frame.is_corrupt)
                if batch is not None:
                    yield batch
            if collector.finished:
                break
        rest = collector.take()
        if rest is not None:
            yield rest
        collector.check_not_empty()

    def _frames(self, wanted: np.ndarray, collector: Collector) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield (frame index, frame) in the order in which the decoder gives them."""
        needed = needed_packets(self._probe, wanted)
        first_wanted = int(wanted[0])
        position = _Position(self._probe)
        with open_container(Path(self._probe.info.path)) as container:
            stream = stream_at(container, self._probe.stream_index)
            context = stream.codec_context
            context.thread_type = "AUTO"
            context.thread_count = self._num_threads
            passed_over = False
            for row, packet in enumerate(demux_packets(container, stream)):
                if row >= len(needed):
                    break  # the file has grown since it was probed
                if not needed[row]:
                    passed_over = True
                    continue
                if passed_over and row:
                    yield from map(position.locate, _decode(context, None))
                    context.flush_buffers()
                passed_over = False
                if self._probe.is_mended:  # decoders hand a packet's time on to its frame
                    time = int(self._probe.packets.pts[row])
                    packet.pts, packet.dts = (None if time == NO_TIME else time), None
                try:
                    frames = context.decode(packet)
                except (av.FFmpegError, IndexError) as error:
                    blame_memory(error)
                    frame_index = position.of_packet(row)
                    if frame_index >= first_wanted:
                        collector.bad_packets.append(frame_index)
                    continue
                yield from map(position.locate, frames)
            yield from map(position.locate, _decode(context, None))

    def _pixels(self, index: int, frame: av.VideoFrame) -> np.ndarray:
        """Return the frame as it is shown, (H, W, 3) RGB, a view where it can be one.

        Most happens in one pass: taking one field, making pixels square, conversion from YUV. A picture of another
        size or position than the video's is fitted into that, on black.
        """
        info = self._probe.info
        size, display = (frame.width, frame.height), self._display(index, frame)
        if has_two_fields(frame, info.codec):
            frame = self._first_field.of(frame)
        if size == (self._probe.coded_width, self._probe.coded_height) and display == self._probe.display:
            return display.upright(rgb_view(frame, display.square_width, size[1]))
        left, top, width, height = placed(display.size(size[1]), (info.width, info.height))
        stored = (height, width) if display.quarter_turns % 2 else (width, height)
        canvas = np.zeros((info.height, info.width, 3), np.uint8)
        canvas[top : top + height, left : left + width] = display.upright(rgb_view(frame, *stored))
        return canvas

    def _display(self, index: int, frame: av.VideoFrame) -> Display:
        probe = self._probe
        known = int(probe.frame_display[index]) if len(probe.frame_display) else -1
        if known >= 0:
            return probe.displays[known]
        if (frame.width, frame.height) == (probe.coded_width, probe.coded_height):
            return probe.display
        width = max(1, round(frame.width * probe.display.square_width / probe.coded_width))
        return replace(probe.display, square_width=width)


def rgb_view(frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
    """Return the frame as (height, width, 3) RGB, a view."""
    converted = frame.reformat(width=width, height=height, format="rgb24")
    plane = converted.planes[0]
    rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(plane.height, plane.line_size)  # (h, line)
    return rows[:height, : width * 3].reshape(height, width, 3)


class _Position:
    """Finds a decoded frame's index: by its time, or by counting where the container's times are useless."""

    def __init__(self, probe: VideoProbe) -> None:
        self._probe = probe
        self._next = 0

    def locate(self, frame: av.VideoFrame) -> tuple[int, av.VideoFrame]:
        """Return (index, frame); index -1 for a frame that no packet announced."""
        index = self._next
        time = frame.pts if frame.pts is not None else frame.dts
        if self._probe.mapping == "pts" and time is not None:
            index = self._row(time)
        if index >= self._probe.num_frames:
            return -1, frame
        self._next = max(self._next, index + 1)
        return index, frame

    def of_packet(self, row: int) -> int:
        """Return the index of the frame that the packet in this row would have given."""
        pts = int(self._probe.packets.pts[row])
        if self._probe.mapping == "order" or pts == NO_TIME:
            return min(row, self._probe.num_frames - 1)
        return min(int(np.searchsorted(self._probe.frame_pts, pts)), self._probe.num_frames - 1)

    def _row(self, pts: int) -> int:
        row = int(np.searchsorted(self._probe.frame_pts, pts))
        known = row < self._probe.num_frames and int(self._probe.frame_pts[row]) == pts
        return row if known else -1


def needed_packets(probe: VideoProbe, wanted: np.ndarray) -> np.ndarray:
    """Return (P,) bool: packets of the stretches between clean keyframes that hold a wanted frame."""
    needed = np.ones(len(probe.packets), dtype=np.bool_)
    starts = clean_keyframes(probe.packets)
    if probe.mapping == "order" or not len(starts):
        return needed
    # The packets before the first clean keyframe belong to its stretch.
    first_frame = np.searchsorted(probe.frame_pts, probe.packets.pts[starts])  # (K,)
    first_frame[0], starts[0] = 0, 0
    bounds = np.append(first_frame, probe.num_frames)
    has_wanted = np.searchsorted(wanted, bounds[1:]) > np.searchsorted(wanted, bounds[:-1])  # (K,)
    return np.repeat(has_wanted, np.diff(np.append(starts, len(needed))))


def _decode(context: av.VideoCodecContext, packet: av.Packet | None) -> list[av.VideoFrame]:
    """Return the frames that draining the decoder gives; damaged transport streams raise there."""
    try:
        return list(context.decode(packet))
    except (av.FFmpegError, IndexError) as error:
        blame_memory(error)
        return []
