"""Connections of a service: who takes too long to ask for something, or to read what is sent, is cut off."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 500  # more are answered with 503 ...
_MAX_OPEN = 600  # ... and still more cut off at once: each takes a file handle, of which a process may have 1024


def bounded_by(seconds: float) -> type[H11Protocol]:
    """Return uvicorn's protocol with the limits that it lacks.

    A connection without a request in work, be it that its head is not whole or that it goes on sending what was
    refused, lasts no longer than so many seconds; so does one that does not read its answer.
    """

    class Bounded(H11Protocol):
        _asking: asyncio.TimerHandle | None = None
        _reading: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > _MAX_OPEN:
                transport.abort()
            self._expect_a_request()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete and self._asking is not None:
                self._asking.cancel()

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            self._cancel_all()
            super().handle_websocket_upgrade(event)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.cycle.response_complete:  # or it has gone on to the next
                self._expect_a_request()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reading = self.loop.call_later(seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._reading is not None:
                self._reading.cancel()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._cancel_all()

        def _expect_a_request(self) -> None:
            if self._asking is not None:
                self._asking.cancel()
            self._asking = self.loop.call_later(seconds, self.transport.abort)

        def _cancel_all(self) -> None:
            for timer in (self._asking, self._reading):
                if timer is not None:
                    timer.cancel()

    return Bounded
