"""What a reader of frames is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np

from vidfer.errors import VidferError
from vidfer.types import DecodeReport, FrameBatch

DecoderName = Literal["decord", "pyav"]


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
