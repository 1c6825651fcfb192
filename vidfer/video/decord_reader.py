"""The decord reader: in-memory pieces cut at clean keyframes, each read strictly in order.

decord 0.6.0 gives wrong frames when it seeks, misreads several containers and reads ahead without bound. Packets that
PyAV remuxed into a short mp4 with plain times avoid all three; ``reader.decord_objection`` names the rest.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vidfer.types import FrameBatch
from vidfer.video.collect import CollectingReader, Collector
from vidfer.video.container import demux_packets, open_container, stream_at
from vidfer.video.frame_reader import DecoderFailed, DecoderName
from vidfer.video.packets import clean_keyframes
from vidfer.video.probe import VideoProbe

_NUM_THREADS = 2  # VP9 fails at 0 and above 2
_TARGET_BYTES = 128 << 20  # short GOPs are joined up to so much decoded, as opening a piece costs a few ms
_MIN_FRAMES = 8  # decord finds no duration in a VP8 piece of 3 frames; and a piece should be worth opening
_NO_REPEATS = 1e-9  # share of frames that decord may replace by their neighbours before it raises
_TIME_BASE = Fraction(1, 25)


@dataclass(frozen=True)
class _Segment:
    """Packets [start, stop) hold exactly the frames [start, stop) too, in another order."""

    start: int
    stop: int


class DecordReader(CollectingReader):
    """Reads frames with decord; see ``vidfer.video.reader.FrameReader``.

    Parameters
    ----------
    probe
        A file that ``reader.decord_objection`` has nothing against.
    piece_frames
        GOPs are joined up to so many frames.

    Raises
    ------
    DecoderFailed
        From ``read``, on anything unexpected: the clip is to be started again with PyAV.
    """

    name: DecoderName = "decord"

    def __init__(self, probe: VideoProbe, *, piece_frames: int = 256) -> None:
        super().__init__(probe)
        self._piece_frames = piece_frames

    def _batches(self, wanted: np.ndarray, collector: Collector) -> Iterator[FrameBatch]:
        segments = [
            s for s in _segments(self._probe, self._piece_frames) if np.any((wanted >= s.start) & (wanted < s.stop))
        ]
        for segment, piece in self._pieces(segments):
            frames = self._decode(segment, piece)
            try:
                for index, image in frames:
                    batch = collector.add(index, image) if collector.wants(index) else None
                    if batch is not None:
                        yield batch
                    if collector.finished:
                        break
            finally:
                frames.close()
        rest = collector.take()
        if rest is not None:
            yield rest

    def _decode(self, segment: _Segment, piece: bytes) -> Any:
        """Yield (frame index, (H, W, 3) upright view of decord's picture); what goes wrong is DecoderFailed."""
        reader = self._call(_open, piece)
        expected = segment.stop - segment.start
        if len(reader) != expected:
            raise self._failed(f"it sees {len(reader)} frames where {expected} packets are")
        shape = (self._probe.coded_height, self._probe.coded_width, 3)
        for index in range(segment.start, segment.stop):
            image = self._call(reader.next)
            if tuple(image.shape) != shape:
                raise self._failed(f"frame {index} has the shape {tuple(image.shape)}, expected {shape}")
            yield index, self._probe.display.upright(self._call(np.from_dlpack, _Shared(image)))

    def _call(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:  # decord raises RuntimeError, DECORDError, AssertionError, StopIteration and more
            text = str(error).strip().splitlines()
            raise self._failed(f"{type(error).__name__} {text[0] if text else ''}".strip()) from error

    def _pieces(self, segments: list[_Segment]) -> Iterator[tuple[_Segment, bytes]]:
        """Yield each segment with its packets as an mp4 in memory."""
        waiting = iter(segments)
        segment = next(waiting, None)
        with open_container(Path(self._probe.info.path)) as container:
            stream = stream_at(container, self._probe.stream_index)
            packets: list[av.Packet] = []
            for row, packet in enumerate(demux_packets(container, stream)):
                if segment is None:
                    return
                if row < segment.start:
                    continue
                packets.append(packet)
                if row + 1 == segment.stop:
                    yield segment, self._call(self._remux, stream, packets, segment)
                    packets = []
                    segment = next(waiting, None)
        if segment is not None:
            raise self._failed("the file has fewer packets than when it was probed")

    def _remux(self, stream: av.VideoStream, packets: list[av.Packet], segment: _Segment) -> bytes:
        pts = self._probe.packets.pts[segment.start : segment.stop]
        rank = np.argsort(np.argsort(pts))  # (n,) place in display order
        delay = int(max(0, np.max(np.arange(len(rank)) - rank)))  # so that no pts is before its dts
        buffer = io.BytesIO()
        container, options = ("matroska", {}) if self._probe.info.codec == "vp8" else ("mp4", {"use_editlist": "0"})
        with av.open(buffer, "w", format=container, options=options) as output:
            target = output.add_stream_from_template(stream)
            target.set_display_rotation(0)  # decord would turn the pictures; the collector does
            target.time_base = _TIME_BASE
            for dts, packet in enumerate(packets):
                packet.stream = target
                packet.time_base = _TIME_BASE
                packet.dts, packet.pts, packet.duration = dts, int(rank[dts]) + delay, 1
                output.mux(packet)
        return buffer.getvalue()

    def _failed(self, detail: str) -> DecoderFailed:
        return DecoderFailed(self.name, self._probe.info.path, detail)


class _Shared:
    """decord's array as NumPy's protocol wants it, so that it is not copied twice."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack__(self, **_: Any) -> Any:
        return self._array.to_dlpack()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # CPU


def _open(piece: bytes) -> Any:
    import decord  # slow to import and optional

    decord.logging.set_level(decord.logging.QUIET)  # FFmpeg inside decord writes to stderr otherwise
    return decord.VideoReader(io.BytesIO(piece), num_threads=_NUM_THREADS, fault_tol=_NO_REPEATS)


def _segments(probe: VideoProbe, piece_frames: int) -> list[_Segment]:
    """Cut the packets at clean keyframes, joining short GOPs."""
    starts = clean_keyframes(probe.packets)
    stops = np.append(starts[1:], len(probe.packets))
    frame_bytes = probe.coded_width * probe.coded_height * 3
    most = max(1, min(piece_frames, _TARGET_BYTES // frame_bytes))
    segments: list[_Segment] = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        last = segments[-1] if segments else None
        short = last is not None and min(stop - start, last.stop - last.start) < _MIN_FRAMES
        if last is not None and (short or stop - last.start <= most):
            segments[-1] = _Segment(last.start, stop)
        else:
            segments.append(_Segment(start, stop))
    return segments
