"""Lines sent on over WebSocket, to real clients: good ones, strangers, and one that never reads."""

from __future__ import annotations

import io
import json
import socket
import threading
import urllib.request
from importlib import util

import numpy as np
import pytest
from PIL import Image

from vidfer.errors import ConfigError, MissingDependency
from vidfer.live.broadcast import PICTURES, Broadcast

client = pytest.importorskip(
    "websockets.sync.client", reason="websockets is not installed (pip install 'vidfer[live]')"
)
exceptions = pytest.importorskip("websockets.exceptions")
WAIT_SECONDS = 60.0


@pytest.fixture
def broadcast():
    with Broadcast(0) as opened:
        yield opened


def sent_to(broadcast: Broadcast, connection, number: int) -> list[bytes | str]:
    """Send a frame until a connection gets it, and return what it gets: its picture before it, if it asked for them."""
    got: list[bytes | str] = []
    while not (got and isinstance(got[-1], str) and json.loads(got[-1]) == {"frame": number}):
        broadcast.send(json.dumps({"frame": number}), picture_of(number))  # the connection may not be served yet
        got.append(connection.recv(timeout=WAIT_SECONDS))
    return got[-2:]


def picture_of(number: int) -> np.ndarray:
    return np.full((48, 64, 3), (10 * number, 100, 200), np.uint8)


def test_who_listens_gets_the_lines_and_pictures_only_when_asked_for(broadcast) -> None:
    address = f"ws://127.0.0.1:{broadcast.port}"
    with client.connect(address) as lines, client.connect(address + PICTURES) as pictures:
        assert all(isinstance(text, str) for text in sent_to(broadcast, lines, 3))
        data, _ = sent_to(broadcast, pictures, 5)
    shown = np.asarray(Image.open(io.BytesIO(data)))
    assert shown.shape == (48, 64, 3)
    assert np.abs(shown.astype(int) - picture_of(5)).max() < 12


def test_a_page_from_elsewhere_is_not_heard(broadcast) -> None:
    address = f"ws://127.0.0.1:{broadcast.port}{PICTURES}"
    with client.connect(address, origin=f"http://localhost:{broadcast.port}"):
        pass
    for stranger in ("http://example.com", f"http://example.com:{broadcast.port}", "null"):
        with pytest.raises(exceptions.InvalidStatus, match="403"):
            client.connect(address, origin=stranger)


def test_the_page_is_served_to_a_browser(broadcast) -> None:
    with urllib.request.urlopen(broadcast.url, timeout=WAIT_SECONDS) as answer:
        assert answer.headers.get_all("Content-Type") == ["text/html; charset=utf-8"]
        text = answer.read().decode()
    assert "happiness" in text
    assert "{{" not in text


def test_one_who_never_reads_holds_up_nobody_and_is_cut_off() -> None:
    large = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)  # 2 MB as JPEG
    broadcast = Broadcast(0)
    with socket.create_connection(("127.0.0.1", broadcast.port)) as mute:
        mute.sendall(
            f"GET {PICTURES} HTTP/1.1\r\nHost: 127.0.0.1:{broadcast.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b"101" in mute.recv(1024)
        for number in range(8):
            broadcast.send(json.dumps({"frame": number}), large)
            threading.Event().wait(0.05)
        closing = threading.Thread(target=broadcast.close, daemon=True)
        closing.start()
        closing.join(WAIT_SECONDS)
        assert not closing.is_alive()
    talking = [
        thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon
    ]
    for thread in talking:
        thread.join(WAIT_SECONDS)
    assert not any(thread.is_alive() for thread in talking), "the process could not end"


def test_a_port_that_is_taken_and_a_package_that_lacks_are_said(broadcast, monkeypatch) -> None:
    with pytest.raises(ConfigError, match=f"--websocket: port {broadcast.port} cannot be had"):
        Broadcast(broadcast.port)
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'vidfer\[live\]'"):
        Broadcast(0)
