"""The networks of a service, for pictures and streams: loaded when they are first needed, one picture at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from vidfer.config import PipelineConfig
from vidfer.device import leave_a_core
from vidfer.errors import VidferError
from vidfer.executors import available_cpus

if TYPE_CHECKING:
    from vidfer.pipeline.pipeline import Pipeline
    from vidfer.pipeline.stream import Stream

ValueT = TypeVar("ValueT")

MOST_WAITING = 64  # pictures and frames, each of up to serve.max_picture_mib


class Busy(VidferError):
    """As many pictures or streams are in work as may."""


class Networks:
    """Looks at pictures on a thread of its own, since networks are not to be used from several.

    Parameters
    ----------
    pictures, streams
        The settings for single pictures and for streams.
    max_pixels
        Of a picture; larger ones are not decoded.
    max_streams
        At a time.
    """

    def __init__(
        self, pictures: PipelineConfig, streams: PipelineConfig, *, max_pixels: float, max_streams: int
    ) -> None:
        self._configs = {"pictures": pictures, "streams": streams}
        self._pipelines: dict[str, Pipeline] = {}
        self._max_pixels, self._max_streams = max_pixels, max_streams
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vidfer-networks")
        self._waiting = self._streams = 0

    def close(self) -> None:
        """Look at nothing more."""
        self._thread.shutdown(cancel_futures=True)

    async def picture(self, data: bytes) -> dict[str, Any]:
        """Return size and faces of a JPEG, PNG or WebP file; raises Busy or DataError."""
        return await self._soon(self._look, data)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Callable[[bytes, float], Awaitable[str]]]:
        """Give what looks at the frames of one client: file and seconds in, out what ``vidfer live`` prints of it.

        That is empty for a frame whose time is not later than the last one's. Raises Busy; its calls Busy or DataError.
        """
        if self._streams >= self._max_streams:
            raise Busy(f"{self._max_streams} streams are open, as many as may: try again later")
        self._streams += 1
        try:
            with await self._soon(lambda: self._pipeline("streams").stream()) as stream:
                yield partial(self._soon, self._line, stream)
        finally:
            self._streams -= 1

    def _look(self, data: bytes) -> dict[str, Any]:
        from vidfer.live.lines import face_values
        from vidfer.video.pictures import decode_picture

        picture = decode_picture(data, max_pixels=self._max_pixels)
        faces = self._pipeline("pictures").image(picture)
        height, width, _ = picture.shape
        return {"width": width, "height": height, "faces": [face_values(face) for face in faces]}

    def _line(self, stream: Stream, data: bytes, seconds: float) -> str:
        from vidfer.live.lines import json_line
        from vidfer.video.pictures import decode_picture

        began = time.perf_counter()
        frame = stream.process(decode_picture(data, max_pixels=self._max_pixels), seconds)
        return "" if frame is None else json_line(frame, latency_seconds=time.perf_counter() - began)

    def _pipeline(self, name: str) -> Pipeline:
        from vidfer.pipeline.pipeline import Pipeline

        if name not in self._pipelines:
            pipeline = self._pipelines[name] = Pipeline(self._configs[name])
            leave_a_core(pipeline.device, available_cpus())
        return self._pipelines[name]

    async def _soon(self, look: Callable[..., ValueT], *arguments: object) -> ValueT:
        if self._waiting >= MOST_WAITING:
            raise Busy("too many pictures are waiting: try again in a second")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, partial(look, *arguments))
        finally:
            self._waiting -= 1
