"""The screen, or a region of it, as a source of frames through the package mss: a video call, say."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import av
import numpy as np

from vidfer.errors import MissingDependency, VidferError

MAX_FPS = 30.0
_REGION = re.compile(r"screen(?::(-?\d+),(-?\d+),(\d+)x(\d+))?")


class Screen:
    """The screen, opened; stands in for a ``Connection``.

    Parameters
    ----------
    name
        ``screen``: the first monitor; ``screen:X,Y,WxH``: a region, px from the top left corner.

    Raises
    ------
    MissingDependency
        The package mss is not installed.
    VidferError
        There is no such region, or no screen that can be read.
    """

    ends = False
    codec = "rawvideo"

    def __init__(self, name: str) -> None:
        region = _REGION.fullmatch(name)
        if region is None:
            raise VidferError(f"{name}: expected screen or screen:X,Y,WxH, e.g. screen:0,0,640x480")
        try:
            import mss
        except ImportError as error:
            raise MissingDependency("mss", needed_for=f"the source {name}", extra="screen") from error
        self._name, self._error = name, mss.ScreenShotError
        try:
            # On Linux by Xlib: by XCB, its default, mss 10.2 was seen to end the process where memory cannot be shared.
            self._mss = mss.MSS(backend="xlib" if sys.platform == "linux" else "default")
            self._region = self._mss.monitors[1]
        except (self._error, IndexError) as error:
            raise VidferError(f"{name}: there is no screen that can be read: {error}") from error
        if region[1] is not None:
            self._region = dict(zip(("left", "top", "width", "height"), map(int, region.groups()), strict=True))
        self._grabbed()  # raises now if the screen cannot be read

    def _grabbed(self) -> av.VideoFrame:
        try:
            return av.VideoFrame.from_ndarray(np.asarray(self._mss.grab(self._region)), format="bgra")
        except self._error as error:
            raise VidferError(f"{self._name}: cannot be read: is the region on the screen? {error}") from error

    def frames(self) -> Iterator[tuple[av.VideoFrame, float | None]]:
        """Yield what is shown, at most ``MAX_FPS`` times a second; it has no clock of its own."""
        due = time.monotonic()
        while True:
            yield self._grabbed(), None
            due = max(due + 1 / MAX_FPS, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def picture(self, frame: av.VideoFrame) -> np.ndarray:
        """Return one of ``frames`` (H, W, 3) uint8 RGB."""
        return frame.to_ndarray(format="rgb24")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._mss.close()
