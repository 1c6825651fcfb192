"""Answers sent on over WebSocket as they come, with a page that draws them: what ``--websocket`` does.

Only this machine is heard, and of pages only our own: any page in a browser may try to connect to a local port.
"""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from importlib import resources, util
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from PIL import Image

from vidfer.errors import ConfigError, MissingDependency
from vidfer.labels import EMOTION_COLOURS, EMOTIONS
from vidfer.report.chart_options import INKS

HOST = "127.0.0.1"
PICTURES = "/pictures"  # who connects here gets each frame's JPEG before its line
_CLOSE_SECONDS = 0.5  # to say goodbye in; then connections are cut
_JPEG_QUALITY = 80


class _Message(NamedTuple):
    number: int
    line: str
    picture: np.ndarray


class Broadcast:
    """Sends the newest line of JSON to whoever listens at ``ws://127.0.0.1:PORT``; a slow listener misses some.

    ``http://127.0.0.1:PORT`` is a page with the picture, the boxes and a moving chart.

    Parameters
    ----------
    port
        0: any that is free.

    Raises
    ------
    MissingDependency
        The package websockets is not installed.
    ConfigError
        The port cannot be had.
    """

    def __init__(self, port: int) -> None:
        if util.find_spec("websockets") is None:
            raise MissingDependency("websockets", needed_for="vidfer live --websocket", extra="live")
        from websockets.sync.server import serve
        from websockets.typing import Origin

        try:
            listening = socket.create_server((HOST, port))
        except (OSError, OverflowError) as error:
            raise ConfigError(f"--websocket: port {port} cannot be had: {error}") from error
        self.port: int = listening.getsockname()[1]
        self._page = _page()
        self._changed = threading.Condition()
        self._newest: _Message | None = None
        self._closed = False
        self._connections: set[Any] = set()
        self._server = serve(
            self._talk,
            sock=listening,
            origins=[*(Origin(f"http://{host}:{self.port}") for host in (HOST, "localhost")), None],
            process_request=self._answer,
            close_timeout=_CLOSE_SECONDS,
            compression=None,
        )
        threading.Thread(target=self._server.serve_forever, name="vidfer-websocket", daemon=True).start()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.port}/"

    def send(self, line: str, picture: np.ndarray) -> None:
        """Let listeners have a frame's line and its picture (H, W, 3) uint8 RGB, which nobody may change any more."""
        with self._changed:
            number = 0 if self._newest is None else self._newest.number + 1
            self._newest = _Message(number, line, picture)
            self._changed.notify_all()

    def close(self) -> None:
        """Say goodbye to listeners; who does not answer is cut off."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        given_up = time.monotonic() + _CLOSE_SECONDS
        while self._connections and time.monotonic() < given_up:
            time.sleep(0.01)
        for connection in list(self._connections):
            with suppress(OSError):  # it has gone by now
                connection.socket.shutdown(socket.SHUT_RDWR)  # wakes who waits to send; to close it would not
        self._server.shutdown()  # last: it waits for every connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _answer(self, connection: Any, request: Any) -> Any:
        """Return the page to who does not ask for a WebSocket, None to the others."""
        if "Upgrade" in request.headers:
            return None
        response = connection.respond(HTTPStatus.OK, self._page)
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "text/html; charset=utf-8"
        return response

    def _talk(self, connection: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        self._connections.add(connection)
        with_pictures = connection.request.path == PICTURES
        number = -1
        with suppress(ConnectionClosed, OSError):  # it has gone
            while (message := self._after(number)) is not None:
                number = message.number
                if with_pictures:
                    connection.send(_jpeg(message.picture))
                connection.send(message.line)
            connection.close()
        self._connections.discard(connection)

    def _after(self, number: int) -> _Message | None:
        """Wait for a newer message; None when there will be none."""
        with self._changed:
            while not self._closed and (self._newest is None or self._newest.number <= number):
                self._changed.wait()
            return None if self._closed else self._newest


def _page() -> str:
    about = {"labels": EMOTIONS, "colours": EMOTION_COLOURS, "inks": INKS, "pictures": PICTURES}
    text = (resources.files("vidfer.live") / "page.html").read_text(encoding="utf-8")
    drawing = (resources.files("vidfer.report") / "faces_over_time.js").read_text(encoding="utf-8")
    return text.replace("{{about}}", json.dumps(about)).replace("{{drawing}}", drawing)


def _jpeg(picture: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=_JPEG_QUALITY)
    return data.getvalue()
