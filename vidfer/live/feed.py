"""A source read on a thread of its own: frames wait for whoever looks at them, or are passed over."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import av
import numpy as np

from vidfer.errors import VidferError
from vidfer.video.container import why
from vidfer.video.live_source import Connection, LiveSource
from vidfer.video.screen import Screen

logger = logging.getLogger(__name__)

Policy = Literal["latest", "all"]
_Taken = tuple[Connection | Screen, av.VideoFrame, float, float]  # seconds, and when it arrived

FIRST_DELAY_SECONDS = 0.5  # before a lost source is tried again; twice as long each time
MOST_WAITING = 32  # frames with ``all``; then the source has to wait
_LOOK_UP_SECONDS = 0.1  # how soon a stop is seen
_LEAST_STEP = 1e-3  # seconds from the last frame of a connection to the first of the next
_LEAVE_SECONDS = 0.5  # a thread inside FFmpeg ends at its time limit, or with the process: nobody waits for it


@dataclass(frozen=True)
class Shot:
    """A frame as it came.

    Attributes
    ----------
    picture
        (H, W, 3) uint8 RGB.
    seconds
        Since the first frame: by the source's clock, and across lost connections by this machine's.
    arrived
        ``time.perf_counter()`` when it was there, decoded.
    """

    picture: np.ndarray
    seconds: float
    arrived: float


class Feed:
    """Iterates over the frames of a source until it ends or ``stop`` is called.

    A camera or network source that is lost is opened again, after 0.5 s, 1 s, 2 s, ... Whatever FFmpeg may wait for, it
    waits on the feed's own thread: ``stop`` is heeded at once.

    Parameters
    ----------
    source
        What is read. The first connection is made when a ``with`` block begins.
    longest_delay_seconds
        From one try to open a lost source to the next.
    policy
        ``latest``: the newest frame; those that came while another was looked at are passed over. ``all``: every frame,
        however late. A file plays at its own speed with ``latest``, and as fast as it goes with ``all``.

    Attributes
    ----------
    num_passed_over, num_lost
        Frames that nobody looked at, and connections that were lost.
    codec
        Of the first connection.
    """

    def __init__(self, source: LiveSource, *, policy: Policy, longest_delay_seconds: float = 30.0) -> None:
        self._source, self._policy, self._longest_delay = source, policy, longest_delay_seconds
        self._waiting: deque[_Taken] = deque()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._opened = self._ended = False
        self._failure: BaseException | None = None
        self._started: float | None = None  # perf_counter of the first frame
        self._latest = -math.inf  # seconds: a source that sends ahead of time is ahead of our clock when it is lost
        self.num_passed_over = self.num_lost = 0
        self.codec = ""

    def __enter__(self) -> Self:
        """Open the source; raises VidferError if it cannot be."""
        self._thread = threading.Thread(target=self._run, name="vidfer-feed", daemon=True)
        self._thread.start()
        with self._changed:
            while not (self._opened or self._ended or self._stopped.is_set()):
                self._changed.wait(_LOOK_UP_SECONDS)
        if self._failure is not None and not self._opened:
            raise self._failure
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        self._thread.join(timeout=_LEAVE_SECONDS)

    def stop(self) -> None:
        """Let the iteration end; may be called from a signal handler."""
        self._stopped.set()

    def __iter__(self) -> Iterator[Shot]:
        while (taken := self._take()) is not None:
            connection, frame, seconds, arrived = taken
            yield Shot(connection.picture(frame), seconds, arrived)
        if self._failure is not None:
            raise self._failure

    def _take(self) -> _Taken | None:
        with self._changed:
            while not self._waiting and not self._ended and not self._stopped.is_set():
                self._changed.wait(_LOOK_UP_SECONDS)
            if not self._waiting or self._stopped.is_set():
                return None
            taken = self._waiting.popleft()
            self._changed.notify_all()
            return taken

    def _run(self) -> None:
        try:
            self._read_all()
        except BaseException as error:  # whoever iterates is told
            self._failure = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read_all(self) -> None:
        first = self._source.open()  # what is wrong at the first try waiting does not mend
        self._note_opened(first.codec)
        connection: Connection | Screen | None = first
        delay = FIRST_DELAY_SECONDS
        while not self._stopped.is_set():
            problem = "the stream has ended"
            try:
                with connection or self._source.open() as opened:
                    if self._read(opened):
                        delay = FIRST_DELAY_SECONDS
                    if opened.ends:
                        return
            except (av.FFmpegError, OSError) as error:
                if connection is not None and connection.ends:
                    raise VidferError(f"{self._source}: {why(error)}") from error
                problem = why(error)
            except VidferError as error:
                problem = str(error)
            connection = None
            if not self._stopped.is_set():
                self.num_lost += 1
                logger.warning("%s: %s; trying again in %g s", self._source, problem, delay)
                self._stopped.wait(delay)
                delay = min(2 * delay, self._longest_delay)

    def _note_opened(self, codec: str) -> None:
        with self._changed:
            self.codec, self._opened = codec, True
            self._changed.notify_all()

    def _read(self, connection: Connection | Screen) -> bool:
        """Read a connection to its end; return whether there was a frame."""
        first: float | None = None  # its clock at its first frame that has a time
        begun = 0.0  # our seconds at that frame
        any_frame = False
        paced = self._policy == "latest" and self._source.kind == "file"
        is_network = self._source.kind == "network"
        for frame, clock in connection.frames():
            arrived = time.perf_counter()
            if self._started is None:
                self._started = arrived
            any_frame = True
            seconds = arrived - self._started
            if clock is not None:
                # A network source sets its clock right once the server has told the time: that may put it back.
                is_back = first is not None and is_network and begun + clock - first <= self._latest
                if first is None or is_back:
                    first, begun = clock, max(seconds, self._latest + _LEAST_STEP)
                seconds = begun + clock - first
            self._latest = max(self._latest, seconds)
            if paced and self._stopped.wait(max(0.0, self._started + seconds - arrived)):
                break
            self._offer(connection, frame, seconds, time.perf_counter() if paced else arrived)
            if self._stopped.is_set():
                break
        return any_frame

    def _offer(self, connection: Connection | Screen, frame: av.VideoFrame, seconds: float, arrived: float) -> None:
        with self._changed:
            if self._policy == "latest":
                self.num_passed_over += len(self._waiting)
                self._waiting.clear()
            while len(self._waiting) >= MOST_WAITING and not self._stopped.is_set():
                self._changed.wait(_LOOK_UP_SECONDS)
            self._waiting.append((connection, frame, seconds, arrived))
            self._changed.notify_all()
