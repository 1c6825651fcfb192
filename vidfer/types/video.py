"""What is known about a video, and its frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Annotated, Self

import numpy as np

from vidfer.types.validation import Columns, Rows


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What probing a file tells without decoding it.

    Attributes
    ----------
    path
        The file as it was given.
    width, height
        Displayed size in square pixels, after rotation: anamorphic video (pixels that are not square) has its stored
        height and is as wide as players show it. Every box and landmark is in these pixels.
    duration_seconds
        From the first frame's timestamp to the end of the last frame.
    average_fps
        Frames per second from the first frame to the last; for information only, never used to compute a time.
    codec
        The codec's name as FFmpeg spells it, e.g. ``h264``.
    rotation_degrees
        How far the stored picture is turned clockwise for display: 0, 90, 180 or 270.
    turned_degrees
        Of these, how far vidfer turns it beyond what the file says, and players show.
    num_frames
        Frames that the container announces packets for.
    fingerprint
        sha256 of the file's content, in hex.
    stream
        Number of the video stream in the file, as FFmpeg counts.
    start_seconds
        When players show the first frame, on the container's clock: other than 0 where the sound begins before it.
    """

    path: str
    width: int
    height: int
    duration_seconds: float
    average_fps: float
    codec: str
    rotation_degrees: int
    num_frames: int
    fingerprint: str
    stream: int = 0
    start_seconds: float = 0.0
    turned_degrees: int = 0

    @property
    def frame_bytes(self) -> int:
        """Of a decoded frame."""
        return 3 * self.width * self.height


@dataclass(frozen=True, kw_only=True)
class FrameBatch(Rows):
    """Consecutive sampled frames of one video, in display order.

    Attributes
    ----------
    images
        (B, H, W, 3) uint8 RGB as players show them: turned upright, in square pixels, without the comb of two fields.
    frame_index
        (B,) int64, the frame's number in display order among all frames of the video, from 0.
    pts_seconds
        (B,) float64, the container's timestamp relative to the video's first frame; strictly increasing.
    """

    images: Annotated[np.ndarray, "B", "H", "W", 3, np.uint8]
    frame_index: Annotated[np.ndarray, "B", np.int64]
    pts_seconds: Annotated[np.ndarray, "B", np.float64]


@dataclass(frozen=True, kw_only=True)
class SampledFrames(Columns):
    """Every frame that was looked at, with or without a face.

    Attributes
    ----------
    frame_index
        (F,) int64, strictly increasing.
    pts_seconds
        (F,) float64, strictly increasing.
    is_cut
        (F,) bool, True where a hard cut lies between the previous sampled frame and this one.
    end_seconds
        Where the clip ends, on the clock of ``pts_seconds``; infinite where that is not known.
    """

    frame_index: Annotated[np.ndarray, "F", np.int64]
    pts_seconds: Annotated[np.ndarray, "F", np.float64]
    is_cut: Annotated[np.ndarray, "F", np.bool_]
    end_seconds: float = math.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.any(np.diff(self.frame_index) <= 0) or np.any(np.diff(self.pts_seconds) <= 0):
            raise ValueError("SampledFrames: frame_index and pts_seconds must strictly increase")

    def of_clip(self, duration_seconds: float) -> Self:
        """Return the same frames, which know where their clip, that lasts so long from the first of them, ends."""
        return replace(self, end_seconds=float(self.pts_seconds[:1].sum()) + duration_seconds)

    @property
    def durations_seconds(self) -> np.ndarray:
        """How long each frame stands for, (F,) float64: until the next sampled one.

        The last stands for the median of the others, but not beyond the clip's end. A single frame, of which nothing
        can be known, counts for 1/25 s at most.
        """
        steps = np.diff(self.pts_seconds)
        last = float(np.median(steps)) if len(steps) else 1 / 25
        left = self.end_seconds - self.pts_seconds[-1:].sum()
        return np.append(steps, min(last, left) if left > 0 else last)[: len(self)]


@dataclass(frozen=True, kw_only=True)
class DecodeReport:
    """How decoding went, known once the last frame was read.

    Attributes
    ----------
    reader
        The reader that gave the frames: ``decord`` or ``pyav``.
    expected_frames, decoded_frames
        Frames that packets announced, and frames that came out.
    bad_packets, corrupt_frames
        Packets that the decoder refused; frames that it marked as damaged.
    truncated
        True if the video ends early or has lost frames.
    warnings
        For people, one sentence each.
    """

    reader: str
    expected_frames: int
    decoded_frames: int
    bad_packets: int = 0
    corrupt_frames: int = 0
    truncated: bool = False
    warnings: tuple[str, ...] = field(default_factory=tuple)
