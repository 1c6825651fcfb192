"""Faces as OSC messages, to a real UDP server on loopback; and to nobody."""

from __future__ import annotations

import sys

import pytest
from fixtures.live_frames import live_frame
from fixtures.live_receivers import WAIT_SECONDS, osc_server
from fixtures.stream_servers import free_port

from vidfer.errors import ConfigError, MissingDependency
from vidfer.live.osc import OscSender


def test_each_frame_and_each_face_is_a_message() -> None:
    with osc_server() as (address, came):
        sender = OscSender(address)
        for number, num_faces in enumerate((0, 2)):
            sender.send(live_frame(number, num_faces))
        messages = [came.get(timeout=WAIT_SECONDS) for _ in range(4)]
        sender.close()
    assert messages[:2] == [("/vidfer/frame", 1, 0.0, 0), ("/vidfer/frame", 2, 1.0, 2)]
    shares = [[(k + 1 + face_id) / 1024 for k in range(8)] for face_id in range(2)]
    assert messages[2] == ("/vidfer/face", 0, "contempt", 0.0, 20.0, 30.0, 40.0, *shares[0])
    assert messages[3] == ("/vidfer/face", 1, "contempt", 1.0, 20.0, 30.0, 40.0, *shares[1])


def test_a_host_is_looked_up_once_and_nobody_need_listen(monkeypatch) -> None:
    pytest.importorskip("pythonosc", reason="python-osc is not installed (pip install 'vidfer[osc]')")
    sender = OscSender(f"localhost:{free_port()}")
    for number in range(100):
        sender.send(live_frame(number, 4))
    sender.close()
    sender.send(live_frame(0, 1))  # a socket that cannot send costs nothing either


@pytest.mark.parametrize(
    "address", ["", "9000", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", ":9000", "no.invalid:1"]
)
def test_what_is_no_address_is_said(address: str) -> None:
    pytest.importorskip("pythonosc", reason="python-osc is not installed (pip install 'vidfer[osc]')")
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        OscSender(address)


def test_a_missing_package_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pythonosc.udp_client", None)
    with pytest.raises(MissingDependency, match=r"pip install 'vidfer\[osc\]'"):
        OscSender("127.0.0.1:9000")
