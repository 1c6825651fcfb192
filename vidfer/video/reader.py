"""Which reader is right for which file."""

from __future__ import annotations

import importlib.util
from typing import Literal

import numpy as np

from vidfer.errors import MissingDependency
from vidfer.video.frame_reader import DecoderFailed as DecoderFailed
from vidfer.video.frame_reader import DecoderName as DecoderName
from vidfer.video.frame_reader import FrameReader as FrameReader
from vidfer.video.packets import clean_keyframes
from vidfer.video.probe import VideoProbe

DecoderChoice = Literal["auto", "decord", "pyav"]

MAX_SEGMENT_BYTES = 1 << 29  # decord reads ahead without bound, so a segment must fit into memory decoded
_DECORD_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "mpeg4", "mjpeg"})
_DECORD_PIXELS = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"})


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
