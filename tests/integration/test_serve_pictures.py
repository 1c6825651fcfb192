"""Pictures and streams of ``vidfer serve``, and many clients at once."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fixtures.commands import TIMEOUT_SECONDS
from fixtures.service import Service, serving
from PIL import Image

from vidfer import Pipeline
from vidfer.live.lines import face_values

NUM_FRAMES = 8


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    limits = ("--set", "serve.max_streams=1", "--set", "serve.max_picture_mib=1", "--set", "serve.idle_seconds=20")
    out = tmp_path_factory.mktemp("jobs")
    with serving(out, *limits, "--set", "serve.requests_per_second=1000") as running:
        yield running
        assert "Traceback" not in running.log()
        assert not [path for path in out.rglob("*") if path.is_file() and ".vidfer" not in path.parts], (
            "nothing is kept"
        )


@pytest.fixture(scope="module")
def frames(sample_video: Path) -> list[np.ndarray]:
    with av.open(str(sample_video)) as opened:
        return [
            frame.to_ndarray(format="rgb24")
            for _, frame in zip(range(NUM_FRAMES), opened.decode(video=0), strict=False)
        ]


def encoded(picture: Any, kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(data, kind)
    return data.getvalue()


@contextmanager
def connected(service: Service, **options: Any) -> Iterator[Any]:
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    limits = {"open_timeout": TIMEOUT_SECONDS, "ping_timeout": TIMEOUT_SECONDS, "max_size": None}
    with client.connect(f"ws://127.0.0.1:{service.port}/stream", **limits, **options) as connection:
        yield connection


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_faces_of_a_picture_are_those_of_the_pipeline(service: Service, frames: list[np.ndarray], kind: str) -> None:
    data = encoded(frames[0], kind)
    answer = service.ask("POST", "/picture", data)
    assert answer.status == 200
    (face,) = Pipeline("default", device="cpu").image(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    expected = face_values(face)
    assert (answer.json["width"], answer.json["height"]) == (384, 384)
    (got,) = answer.json["faces"]
    assert got.keys() == expected.keys()
    assert got["emotion"] == expected["emotion"]
    numbers = [name for name in expected if name != "emotion"]
    assert [got[name] for name in numbers] == pytest.approx([expected[name] for name in numbers], abs=0.02)


def test_pictures_that_are_none_are_refused(service: Service, frames: list[np.ndarray]) -> None:
    bomb = Image.new("1", (20_000, 20_000))
    bad = {
        "no picture": (b"x" * 100, 422, "expected JPEG, PNG, WEBP"),
        "another format": (encoded(frames[0], "BMP"), 422, "expected JPEG, PNG, WEBP"),
        "cut": (encoded(frames[0])[:5000], 422, "cannot be decoded"),
        "empty": (b"", 422, "expected JPEG, PNG, WEBP"),
        "400 million pixels in 50 kB": (encoded(bomb), 422, "400000000 pixels"),
        "49 million pixels": (
            encoded(bomb.crop((0, 0, 7000, 7000))),
            422,
            "expected at most 40 million pixels, got 7000 x 7000",
        ),
        "more than 1 MiB": (bytes(2 << 20), 413, "expected at most 1048576 bytes"),
    }
    for what, (data, status, says) in bad.items():
        answer = service.ask("POST", "/picture", data)
        assert (answer.status, says in answer.json["detail"]) == (status, True), f"{what}: {answer}"
    assert service.ask("POST", "/picture", encoded(frames[0])).status == 200


def test_a_stream_answers_each_frame_as_the_live_pipeline_does(service: Service, frames: list[np.ndarray]) -> None:
    with connected(service) as connection:
        lines = []
        for number, frame in enumerate(frames):
            connection.send(json.dumps({"seconds": number / 25}))
            connection.send(encoded(frame))
            lines.append(json.loads(connection.recv(TIMEOUT_SECONDS)))
    assert [line["frame"] for line in lines] == list(range(1, NUM_FRAMES + 1))
    with Pipeline("live", device="cpu").stream() as stream:
        expected = [stream.push(frame, number / 25) for number, frame in enumerate(frames)]
    assert [len(line["faces"]) for line in lines] == [len(faces) for faces in expected]
    assert len(lines[-1]["faces"]) == 1
    assert lines[-1]["faces"][0]["happiness"] == pytest.approx(expected[-1][0].probabilities["happiness"], abs=0.02)


def test_what_is_no_frame_is_said_and_the_stream_goes_on(service: Service, frames: list[np.ndarray]) -> None:
    with connected(service) as connection:
        for message, says in (
            (b"no picture", "expected JPEG, PNG, WEBP"),
            ("no time", "expected a picture as a binary message"),
            ('{"seconds": "a"}', "expected a picture as a binary message"),
            (encoded(Image.new("1", (7000, 7000))), "expected at most 40 million pixels"),
        ):
            connection.send(message)
            assert says in json.loads(connection.recv(TIMEOUT_SECONDS))["error"]
        for seconds, key in ((0.0, "faces"), (0.0, "late"), (float("nan"), "error")):
            connection.send(json.dumps({"seconds": seconds}))
            connection.send(encoded(frames[0]))
            assert key in json.loads(connection.recv(TIMEOUT_SECONDS))
        connection.send(encoded(frames[0]))  # now, which is later on any machine
        assert "faces" in json.loads(connection.recv(TIMEOUT_SECONDS))


def test_only_so_many_streams_and_only_our_own_pages(service: Service, frames: list[np.ndarray]) -> None:
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    for headers in (
        {"origin": "http://evil.example"},
        {"additional_headers": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "websocket"}},
    ):
        with pytest.raises(InvalidStatus, match="403"), connected(service, **headers):
            pass
    with connected(service) as first:
        first.send(encoded(frames[0]))
        assert "faces" in json.loads(first.recv(TIMEOUT_SECONDS))
        with connected(service) as second, pytest.raises(ConnectionClosed, match="1 streams are open, as many as may"):
            second.recv(TIMEOUT_SECONDS)
    with connected(service) as third:
        third.send(bytes(2 << 20))
        with pytest.raises(ConnectionClosed, match="too big"):
            third.recv(TIMEOUT_SECONDS)
    with connected(service) as fourth:  # places are given back
        fourth.send(encoded(frames[0]))
        assert "faces" in json.loads(fourth.recv(TIMEOUT_SECONDS))


@pytest.mark.parametrize("num_pictures", [5, pytest.param(200, marks=pytest.mark.torture)])
def test_two_hundred_clients_at_once(service: Service, frames: list[np.ndarray], num_pictures: int) -> None:
    """All are answered; pictures that would have to wait too long are refused, and may be sent again."""
    small = encoded(frames[0][60:200, 90:230])

    def client(number: int) -> list[int]:
        asked: list[tuple[Any, ...]] = [("GET", "/jobs"), ("GET", "/health"), ("GET", "/jobs/none")]
        if number < num_pictures:
            asked.append(("POST", "/picture", small))
        return [service.ask(*request).status for request in asked]

    with ThreadPoolExecutor(200) as clients:
        statuses = list(clients.map(client, range(200)))
    assert all(status[:3] == [200, 200, 404] for status in statuses)
    pictures = [status[3] for status in statuses if len(status) > 3]
    assert set(pictures) <= {200, 503}
    assert pictures.count(200) >= min(num_pictures, 64)
