"""Answers as Open Sound Control (OSC) messages over UDP, for Max, Pure Data, TouchDesigner: what ``--osc`` does."""

from __future__ import annotations

import socket
from contextlib import suppress

from vidfer.errors import ConfigError, MissingDependency
from vidfer.labels import EMOTIONS
from vidfer.pipeline.stream import LiveFrame

FRAME, FACE = "/vidfer/frame", "/vidfer/face"


class OscSender:
    """Sends ``/vidfer/frame`` (frame, timestamp, number of faces), then ``/vidfer/face`` for each face.

    A face is its face_id, emotion, x, y, width and height in px, and the probabilities in the order of ``EMOTIONS``.
    What cannot be sent at once is dropped.

    Parameters
    ----------
    address
        ``HOST:PORT``; the host is looked up once.

    Raises
    ------
    MissingDependency
        The package python-osc is not installed.
    ConfigError
        The address is none.
    """

    def __init__(self, address: str) -> None:
        try:
            from pythonosc.udp_client import SimpleUDPClient
        except ImportError as error:
            raise MissingDependency("python-osc", needed_for="vidfer live --osc", extra="osc") from error
        host, _, port = address.rpartition(":")
        problem = f"--osc {address}: expected HOST:PORT, e.g. 127.0.0.1:9000"
        if not (host and port.isdecimal() and 0 < int(port) < 1 << 16):
            raise ConfigError(problem)
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"{problem}: {error}") from error
        self._client = SimpleUDPClient(*found[0][4][:2])

    def send(self, frame: LiveFrame) -> None:
        """Send a frame and its faces."""
        self._message(FRAME, [frame.frame_index + 1, frame.seconds, len(frame.faces)])
        for face in frame.faces:
            x, y, right, bottom = face.xyxy.tolist()
            box = [x, y, right - x, bottom - y]
            shares = [face.probabilities[emotion] for emotion in EMOTIONS]
            self._message(FACE, [face.face_id, face.emotion, *box, *shares])

    def _message(self, address: str, values: list[int | float | str]) -> None:
        with suppress(OSError):  # a full buffer, no route
            self._client.send_message(address, values)

    def close(self) -> None:
        """Let go of the socket."""
        self._client.close()
