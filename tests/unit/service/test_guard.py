"""The door of the service, without one behind it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("starlette", reason="fastapi is not installed (pip install 'vidfer[serve]')")

from starlette.middleware.exceptions import ExceptionMiddleware

from vidfer.config import ServeConfig
from vidfer.service import guard as guard_module
from vidfer.service.guard import Guard, is_loopback

TOKEN = "a-token-that-is-long-enough"


def asked(
    guard: Guard, path: str = "/jobs", *, address: str = "10.0.0.1", trickles: bool = False, **headers: str
) -> tuple[int, dict[str, str]]:
    """Return status and headers of the answer to one request; one that ``trickles`` has a body without an end."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "client": (address, 1),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.01 if trickles else 0)
        return {"type": "http.request", "body": b"x" if trickles else b"", "more_body": trickles}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


async def behind(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/mistake":
        raise ValueError("of Anna")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_requests_of_an_address_are_counted_and_grow_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(guard_module.time, "monotonic", lambda: now)
    guard = Guard(behind, limits=ServeConfig(requests_per_second=2), host="0.0.0.0", token="")
    assert [asked(guard)[0] for _ in range(21)] == [200] * 20 + [429]
    assert asked(guard)[1]["retry-after"] == "1"
    assert asked(guard, address="10.0.0.2")[0] == 200
    now += 1
    assert [asked(guard)[0] for _ in range(3)] == [200, 200, 429]
    now += 1e6
    assert [asked(guard)[0] for _ in range(21)] == [200] * 20 + [429]


@pytest.mark.parametrize("path", ["/jobs", "/picture", "/jobs/from-root"])
def test_a_body_takes_no_longer_than_it_may_though_each_piece_comes_in_time(path: str) -> None:
    limits = ServeConfig(max_upload_seconds=0.3) if path == "/jobs" else ServeConfig(idle_seconds=0.3)

    async def reads_all(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass

    guard = Guard(ExceptionMiddleware(reads_all), limits=limits, host="0.0.0.0", token="")
    assert asked(guard, path, trickles=True)[0] == 408


def test_names_are_checked_on_loopback_and_where_they_are_set() -> None:
    own = Guard(behind, limits=ServeConfig(hosts=("faces.example",)), host="127.0.0.1", token="")
    for host, status in (("faces.example", 200), ("Faces.Example:80", 200), ("localhost", 200), ("evil.example", 421)):
        assert asked(own, host=host)[0] == status
    everywhere = Guard(behind, limits=ServeConfig(), host="0.0.0.0", token=TOKEN)
    assert asked(everywhere, host="faces.example", authorization=f"bearer {TOKEN}")[0] == 200
    named = Guard(behind, limits=ServeConfig(hosts=("faces.example",)), host="0.0.0.0", token=TOKEN)
    assert asked(named, host="10.0.0.7", authorization=f"Bearer {TOKEN}")[0] == 421


def test_a_mistake_is_one_line_without_what_the_client_said(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(behind, limits=ServeConfig(), host="0.0.0.0", token="")
    assert asked(guard, "/mistake")[0] == 500
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("ValueError at ")
    assert "Anna" not in line


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
    + [(host, False) for host in ("::", "10.0.0.1", "localhost.example", "")],
)
def test_what_counts_as_loopback(host: str, is_own: bool) -> None:
    assert is_loopback(host) is is_own
