"""What both readers share: filling batches, and counting what was lost."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from vidfer.errors import BadVideo
from vidfer.types import DecodeReport, FrameBatch
from vidfer.video.frame_reader import DecoderName
from vidfer.video.probe import VideoProbe, frame_times_seconds

_POOL_SIZE = 6  # batches in flight with a prefetching consumer; those beyond are simply not used again


def check_indices(frame_indices: np.ndarray, num_frames: int) -> np.ndarray:
    """Return the indices as (S,) int64; raises ValueError unless they strictly increase within the video."""
    wanted = np.asarray(frame_indices, dtype=np.int64)
    if wanted.ndim != 1 or np.any(np.diff(wanted) <= 0):
        raise ValueError("frame_indices: expected a strictly increasing vector")
    if len(wanted) and (wanted[0] < 0 or wanted[-1] >= num_frames):
        raise ValueError(f"frame_indices: expected 0..{num_frames - 1}, got {wanted[0]}..{wanted[-1]}")
    return wanted


class BufferPool:
    """Batch arrays that are used again once nothing refers to them.

    Touching fresh memory costs as much as converting the picture (measured: 6 ms for a 2.3 MB frame on one virtual
    machine), and the allocator gives arrays of this size back to the system each time. An array is free when the pool
    holds its only reference: views, and tensors made from them, keep the array that owns the memory alive.
    """

    def __init__(self) -> None:
        self._buffers: list[np.ndarray] = []
        self._free_count = _references([np.empty(0)], 0)

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an uninitialised uint8 array of this shape."""
        self._buffers = [buffer for buffer in self._buffers if buffer.shape == shape]
        for k in range(len(self._buffers)):
            if _references(self._buffers, k) == self._free_count:
                return self._buffers[k][:]
        self._buffers = [*self._buffers[1 - _POOL_SIZE :], np.empty(shape, dtype=np.uint8)]
        return self._buffers[-1][:]


def _references(buffers: list[np.ndarray], k: int) -> int:
    return sys.getrefcount(buffers[k])


class Collector:
    """Takes decoded pictures one by one and hands out full batches; keeps the counts for the report.

    A batch's array is filled in place, so each picture is copied exactly once.
    """

    def __init__(self, probe: VideoProbe, *, reader: str, wanted: np.ndarray, batch_size: int) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected 1 or more, got {batch_size}")
        self._probe = probe
        self._reader = reader
        self._wanted = wanted
        self._batch_size = batch_size
        self._times = frame_times_seconds(probe)
        self._pool = BufferPool()
        self._images: np.ndarray | None = None
        self._indices: list[int] = []
        self._cursor = 0  # into wanted
        self.decoded: list[int] = []
        self.bad_packets: list[int] = []  # the frames that they would have given
        self.corrupt: list[int] = []

    @property
    def finished(self) -> bool:
        """Every wanted frame has come or been passed."""
        return self._cursor >= len(self._wanted)

    def wants(self, index: int) -> bool:
        """Return whether the frame is next to be taken; wanted frames before it count as lost."""
        self._cursor += int(np.searchsorted(self._wanted[self._cursor :], index))
        return not self.finished and int(self._wanted[self._cursor]) == index

    def add(self, index: int, shown: np.ndarray, *, is_corrupt: bool = False) -> FrameBatch | None:
        """Take the (H, W, 3) picture, as it is shown, of a frame that ``wants`` said yes to.

        Returns the batch that it completes, if it does.
        """
        if self._images is None:
            info = self._probe.info
            size = min(self._batch_size, len(self._wanted) - self._cursor)
            self._images = self._pool.take((size, info.height, info.width, 3))  # (B, H, W, 3)
        self._images[len(self._indices)] = shown
        self._indices.append(index)
        self.decoded.append(index)
        if is_corrupt:
            self.corrupt.append(index)
        self._cursor += 1
        return self.take() if len(self._indices) == len(self._images) else None

    def take(self) -> FrameBatch | None:
        """Return the frames collected so far as a batch; None without any."""
        if self._images is None or not self._indices:
            return None
        index = np.array(self._indices, dtype=np.int64)
        batch = FrameBatch(images=self._images[: len(index)], frame_index=index, pts_seconds=self._times[index])
        self._images, self._indices = None, []
        return batch

    def check_not_empty(self) -> None:
        """Raise BadVideo where the whole video was wanted and nothing came."""
        if len(self._wanted) and self._wanted[0] == 0 and not self.decoded:
            path, packets = self._probe.info.path, len(self._probe.packets)
            raise BadVideo(path, "no_frames", f"none of {packets} packets can be decoded: the file is damaged")

    def report(self, *, start: int, stop: int | None) -> DecodeReport:
        """Return the counts for frames [start, stop)."""
        end = self._probe.num_frames if stop is None else stop
        expected, decoded, bad, corrupt = (
            int(np.count_nonzero((rows >= start) & (rows < end)))
            for rows in (self._wanted, *(np.array(x, dtype=np.int64) for x in self._lists()))
        )
        at_end = end >= self._probe.num_frames
        truncated = decoded < expected or corrupt > 0 or (at_end and self._probe.missing_seconds > 0)
        return DecodeReport(
            reader=self._reader,
            expected_frames=expected,
            decoded_frames=decoded,
            bad_packets=bad,
            corrupt_frames=corrupt,
            truncated=truncated,
            warnings=(*(self._probe.warnings if at_end else ()), *damage_warnings(expected, decoded, bad, corrupt)),
        )

    def _lists(self) -> tuple[list[int], list[int], list[int]]:
        return list(self.decoded), list(self.bad_packets), list(self.corrupt)


def damage_warnings(expected: int, decoded: int, bad: int, corrupt: int) -> tuple[str, ...]:
    """Return the warning about frames that were lost, at most one line."""
    if decoded == expected and not bad and not corrupt:
        return ()
    return (f"damaged: {decoded} of {expected} frames decoded, {bad} bad packets, {corrupt} corrupt frames",)


class CollectingReader(ABC):
    """What both readers are: one ``Collector`` for each ``read``, and its report."""

    name: DecoderName

    def __init__(self, probe: VideoProbe) -> None:
        self._probe = probe
        self._collector: Collector | None = None

    def read(self, frame_indices: np.ndarray, *, batch_size: int) -> Iterator[FrameBatch]:
        """Yield the wanted frames; see ``FrameReader.read``."""
        wanted = check_indices(frame_indices, self._probe.num_frames)
        self._collector = Collector(self._probe, reader=self.name, wanted=wanted, batch_size=batch_size)
        return self._batches(wanted, self._collector)

    def report(self, *, start: int = 0, stop: int | None = None) -> DecodeReport:
        """Return how the last read went; see ``FrameReader.report``."""
        if self._collector is None:
            raise RuntimeError("report: read was not called")
        return self._collector.report(start=start, stop=stop)

    @abstractmethod
    def _batches(self, wanted: np.ndarray, collector: Collector) -> Iterator[FrameBatch]:
        """Decode the wanted frames into the collector and yield its batches."""
