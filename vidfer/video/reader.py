"""The reader protocol, and which reader is right for which file."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np

from vidfer.errors import MissingDependency, VidferError
from vidfer.types import DecodeReport, FrameBatch
from vidfer.video.packets import clean_keyframes
from vidfer.video.probe import VideoProbe

DecoderName = Literal["decord", "pyav"]
DecoderChoice = Literal["auto", "decord", "pyav"]

MAX_SEGMENT_BYTES = 1 << 29  # decord reads ahead without bound, so a segment must fit into memory decoded
_DECORD_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "mpeg4", "mjpeg"})
_DECORD_PIXELS = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"})


class DecoderFailed(VidferError):
    """A reader gave up in the middle, or cannot read this file rightly.

    Batches may have gone out already and are not to be mixed with another reader's: start the clip again from its
    first frame with ``decoder="pyav"``. PyAV's reader never raises this.

    Parameters
    ----------
    reader
        The reader's name.
    path
        The file.
    detail
        What happened, for people.
    """

    def __init__(self, reader: str, path: str, detail: str) -> None:
        super().__init__(reader, path, detail)
        self.reader = reader
        self.path = path
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.path}: the {self.reader} reader cannot decode it: {self.detail}; use --decoder auto"


class FrameReader(Protocol):
    """Reads chosen frames of one video, in display order, in bounded batches.

    Attributes
    ----------
    name
        ``decord`` or ``pyav``: part of the cache key.
    """

    @property
    def name(self) -> DecoderName: ...

    def read(self, frame_indices: np.ndarray, *, batch_size: int) -> Iterator[FrameBatch]:
        """Yield these frames, RGB as players show them, ``batch_size`` at a time (the last batch may be smaller).

        Parameters
        ----------
        frame_indices
            (S,) int64, strictly increasing rows of ``VideoProbe.frame_pts``. Decoding starts at the last clean
            keyframe at or before the first, so reading the tail of a video gives what the full read gives there.
        batch_size
            Frames per batch; memory is one batch at a time plus the decoder's own.

        Raises
        ------
        DecoderFailed
            Only decord's reader: see there.
        BadVideo
            Every frame of the video was asked for and none could be decoded (``no_frames``).

        Notes
        -----
        A frame that is lost to damage is not yielded; ``report`` counts it. Where the size changes mid-stream,
        frames of other sizes are fitted into the video's, their aspect kept, on black.
        """
        ...

    def report(self, *, start: int = 0, stop: int | None = None) -> DecodeReport:
        """Return how the last ``read`` went for frames [start, stop); final once frame ``stop`` came or it ended.

        Counts of adjoining ranges add up, so a caller that keeps one per segment has the right sums after a resume.
        """
        ...


def choose_reader(probe: VideoProbe, decoder: DecoderChoice = "auto") -> DecoderName:
    """Return the reader that ``open_reader`` would take; raises like it."""
    if decoder == "pyav":
        return "pyav"
    installed = importlib.util.find_spec("decord") is not None
    objection = decord_objection(probe)
    if decoder == "auto":
        return "decord" if installed and objection is None else "pyav"
    if not installed:
        raise MissingDependency("decord", needed_for="--decoder decord")
    if objection is not None:
        raise DecoderFailed("decord", probe.info.path, objection)
    return "decord"


def open_reader(probe: VideoProbe, *, decoder: DecoderChoice = "auto", num_threads: int = 0) -> FrameReader:
    """Return a reader for a probed file.

    Parameters
    ----------
    probe
        From ``vidfer.video.probe.probe``.
    decoder
        ``auto`` takes decord where it is right and installed, PyAV otherwise.
    num_threads
        Decoding threads of PyAV, 0 = one per core; decord always uses 2 (more fail on VP9).

    Raises
    ------
    DecoderFailed
        ``decoder`` is ``decord`` and decord would give wrong frames of this file.
    MissingDependency
        ``decoder`` is ``decord`` and it is not installed.
    """
    if choose_reader(probe, decoder) == "decord":
        from vidfer.video.decord_reader import DecordReader

        return DecordReader(probe)
    from vidfer.video.pyav_reader import PyAVReader

    return PyAVReader(probe, num_threads=num_threads)


def decord_objection(probe: VideoProbe) -> str | None:
    """Return why decord would give wrong frames of this file, or None where it is right."""
    packets = probe.packets
    if probe.info.codec not in _DECORD_CODECS:
        return f"it is wrong on the codec {probe.info.codec}"
    if probe.pix_fmt not in _DECORD_PIXELS:
        return f"it is wrong on the pixel format {probe.pix_fmt}"
    if probe.mapping != "pts" or len(packets) != probe.num_frames:
        return "packets and frames do not match one to one"
    if probe.display.square_width != probe.coded_width:
        return "its pixels are not square, which decord does not know"
    if probe.may_be_interlaced:
        return "it may be interlaced, which decord does not tell"
    if probe.is_mended:
        return "its clock jumps or frames have no time of their own"
    if packets.is_corrupt.any() or probe.missing_seconds > 0:
        return "the file is damaged"
    if probe.info.codec == "vp8" and probe.num_frames < 8:
        return "it finds no frames in so short a VP8 video"
    if _has_hole(probe.frame_pts):
        return "frames may be missing: there is a hole in a constant frame rate"
    if probe.size_changes:
        return "the picture's size or format changes mid-stream"
    return _segment_objection(probe)


def _has_hole(frame_pts: np.ndarray) -> bool:
    """Return whether a constant frame rate is broken by a pause: damaged Matroska loses whole clusters so."""
    steps = np.diff(frame_pts)
    if len(steps) < 10:
        return False
    usual = np.median(steps)
    is_constant = np.mean(np.abs(steps - usual) <= 0.1 * usual) > 0.9
    return bool(is_constant and steps.max() > 3 * usual)


def _segment_objection(probe: VideoProbe) -> str | None:
    starts = clean_keyframes(probe.packets)
    if not len(starts) or starts[0] != 0:
        return "it does not begin with a keyframe"
    longest = int(np.diff(np.append(starts, len(probe.packets))).max())
    if longest * probe.coded_width * probe.coded_height * 3 > MAX_SEGMENT_BYTES:
        return f"its {longest} frames between keyframes would need more than 512 MiB"
    return None
