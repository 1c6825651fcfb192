"""A feed over real servers that go, come back, fall silent, or say nothing from the start. No wait here is for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import av
import numpy as np
import pytest
from fixtures.stream_servers import MjpegServer, free_port, mute_server, rtsp_server, sending

from vidfer.errors import VidferError
from vidfer.live.feed import Feed, Shot
from vidfer.video.live_source import LiveSource

HANG_SECONDS = 90.0  # a feed that still runs then is stopped, and the test fails
NEVER_SECONDS = 3600.0


@pytest.fixture(scope="module")
def pictures(sample_video) -> list[np.ndarray]:
    with av.open(str(sample_video)) as video:
        return [frame.to_ndarray(format="rgb24") for _, frame in zip(range(10), video.decode(video=0), strict=False)]


@contextmanager
def fed(source: LiveSource, policy: str = "latest", longest_delay_seconds: float = 0.5) -> Iterator[Feed]:
    """A feed that is stopped after a while, whatever it waits for."""
    feed = Feed(source, policy=policy, longest_delay_seconds=longest_delay_seconds)
    watchdog = threading.Timer(HANG_SECONDS, feed.stop)
    watchdog.start()
    try:
        with feed:
            yield feed
    finally:
        watchdog.cancel()


def take(shots: Iterator[Shot], count: int, until: Callable[[], bool] = lambda: True) -> list[Shot]:
    """Return at least ``count`` shots, and as many more as it takes."""
    taken: list[Shot] = []
    for shot in shots:
        taken.append(shot)
        if len(taken) >= count and until():
            return taken
    raise AssertionError(f"it ended, or was silent for {HANG_SECONDS:g} s, after {len(taken)} frames")


def rise(shots: list[Shot]) -> bool:
    return bool(np.all(np.diff([shot.seconds for shot in shots]) > 0))


def test_an_http_camera_that_goes_and_comes_back(pictures, caplog) -> None:
    port = free_port()
    source = LiveSource(name=f"http://user:secret@127.0.0.1:{port}/video")
    with ExitStack() as stack:
        with MjpegServer(port, pictures):
            feed = stack.enter_context(fed(source))
            shots = iter(feed)
            seen = take(shots, 3)
        with MjpegServer(port, pictures):
            seen += take(shots, 3, lambda: feed.num_lost > 0)
            seen += take(shots, 3)
    assert np.abs(seen[0].picture.astype(int) - pictures[0]).mean() < 10
    assert rise(seen), "the time goes on behind the gap"
    assert "trying again in 0.5 s" in caplog.text
    assert "secret" not in caplog.text


def test_an_rtsp_camera_that_goes_and_comes_back(sample_video) -> None:
    port = free_port()
    with ExitStack() as stack:
        with rtsp_server(sample_video, port) as url:
            feed = stack.enter_context(fed(LiveSource(name=url, open_timeout_seconds=HANG_SECONDS)))
            shots = iter(feed)
            seen = take(shots, 3)
        lost = feed.num_lost
        with rtsp_server(sample_video, port):
            seen += take(shots, 3, lambda: feed.num_lost > lost)
            seen += take(shots, 3)
    assert rise(seen)


@pytest.mark.parametrize("senseless", [False, True])
def test_a_camera_that_stays_connected_and_shows_nothing_is_opened_again(pictures, senseless) -> None:
    server = MjpegServer(free_port(), pictures)
    with server, fed(LiveSource(name=server.url, read_timeout_seconds=0.5)) as feed:
        shots = iter(feed)
        seen = take(shots, 3)
        quiet = server.senseless if senseless else server.silent
        quiet.set()
        wait_until(lambda: feed.num_lost > 0)
        quiet.clear()
        seen += take(shots, 3, lambda: server.num_clients > 1)
    assert rise(seen)


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:{}/x", "http://127.0.0.1:{}/x", "tcp://127.0.0.1:{}"])
def test_a_server_that_says_nothing_is_given_up_in_time(address) -> None:
    with mute_server() as server:
        source = LiveSource(name=address.format(server.getsockname()[1]), open_timeout_seconds=0.3)
        with pytest.raises(VidferError, match="cannot be opened"), fed(source):
            pass


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:{}/x", "udp://127.0.0.1:{}"])
def test_stop_is_heeded_while_a_source_is_opened(address) -> None:
    with mute_server() as server:
        port = free_port() if "udp" in address else server.getsockname()[1]
        source = LiveSource(name=address.format(port), open_timeout_seconds=NEVER_SECONDS)
        feed = Feed(source, policy="latest")
        threading.Timer(0.3, feed.stop).start()
        began = time.monotonic()
        with feed:
            assert list(feed) == []
        assert time.monotonic() - began < HANG_SECONDS


def test_stop_is_heeded_while_a_source_is_silent_and_while_it_is_gone(pictures) -> None:
    for is_gone in (False, True):
        with ExitStack() as stack:
            server = stack.enter_context(MjpegServer(free_port(), pictures))
            source = LiveSource(name=server.url, read_timeout_seconds=NEVER_SECONDS)
            began = time.monotonic()
            with fed(source, longest_delay_seconds=NEVER_SECONDS) as feed:
                take(iter(feed), 1)
                server.silent.set()
                if is_gone:
                    stack.close()
                    wait_until(lambda: feed.num_lost > 0)
                threading.Timer(0.3, feed.stop).start()
                list(feed)
            assert time.monotonic() - began < HANG_SECONDS


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_mpeg_ts_that_ends_and_is_sent_again(sample_video, protocol) -> None:
    address = f"{protocol}://127.0.0.1:{free_port()}"
    name = address + ("?listen=1" if protocol == "tcp" else "")
    source = LiveSource(name=name, open_timeout_seconds=HANG_SECONDS)
    with sending(sample_video, address), fed(source, policy="all") as feed:
        assert rise(take(iter(feed), 12))


def test_a_frame_can_be_shown_when_its_connection_is_closed(sample_video) -> None:
    with LiveSource(name=str(sample_video)).open() as connection:
        frames = [frame for _, (frame, _) in zip(range(3), connection.frames(), strict=False)]
    shown = [connection.picture(frame) for frame in frames]
    assert [picture.shape[2] for picture in shown] == [3, 3, 3]


def wait_until(done: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < HANG_SECONDS
        time.sleep(0.02)
