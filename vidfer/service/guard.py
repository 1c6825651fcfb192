"""Who may ask for what: the door that every request and stream goes through before the service sees it."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidfer.config import ServeConfig

logger = logging.getLogger(__name__)

COOKIE = "vidfer_token"
OPEN_PATHS = frozenset({"/", "/page.js", "/page.css", "/health"})  # nothing of anybody
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_BURST_SECONDS = 10
_MAX_ADDRESSES = 10_000
_SMALL_BODY = 64 << 10  # bytes, of what is neither a video nor a picture
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    # Reports have scripts and styles in them, and ask for nothing beyond their own files.
    "content-security-policy": "default-src 'none'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


class _Refusal(NamedTuple):
    status: int
    detail: str
    headers: dict[str, str] | None = None


def is_loopback(host: str) -> bool:
    """Return whether a host to listen at is reached from this machine only."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class Guard:
    """ASGI middleware: host names, origins, rate, token, sizes of bodies, headers of answers, and the log.

    Parameters
    ----------
    app
        What is guarded.
    limits
        ``[serve]``.
    host
        Where the service listens. On loopback any page in a browser may try to reach it under a name of its own
        (DNS rebinding): there, only loopback's names and ``limits.hosts`` are heard.
    token
        What clients must show, as ``Authorization: Bearer TOKEN`` or, in a browser, as a cookie; empty: nothing.
    """

    def __init__(self, app: ASGIApp, *, limits: ServeConfig, host: str, token: str) -> None:
        self._app, self._token = app, token.encode()
        names = (*_LOOPBACK_NAMES, host, *limits.hosts) if is_loopback(host) else limits.hosts
        self._names = frozenset(name.lower() for name in names)
        self._rate = _Rate(limits.requests_per_second)
        self._idle_seconds = limits.idle_seconds
        self._bodies = {  # bytes and seconds
            "/jobs": (limits.max_upload_mib << 20, limits.max_upload_seconds),
            "/picture": (limits.max_picture_mib << 20, limits.idle_seconds),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.detail})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.perf_counter(), 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        try:
            if refusal is None:
                await self._app(scope, self._bounded(scope, receive), send_guarded)
            else:
                answer = JSONResponse({"detail": refusal.detail}, refusal.status, refusal.headers)
                await answer(scope, receive, send_guarded)
        except ClientDisconnect:
            pass
        except Exception as error:
            if not status:
                await JSONResponse({"detail": "the service has made a mistake"}, 500)(scope, receive, send_guarded)
            where = traceback.extract_tb(error.__traceback__)[-1]  # the message may name files or people
            logger.error("%s at %s:%s", type(error).__name__, where.filename, where.lineno)
        route = getattr(scope.get("route"), "path", "-")  # without what clients put into it
        logger.info("%s %s %d %.0f ms", scope["method"], route, status, 1000 * (time.perf_counter() - began))

    def _refusal(self, scope: Scope) -> _Refusal | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self._names and name not in self._names:
            return _Refusal(421, "this service is not called by that name: see the setting serve.hosts")
        origin = headers.get("origin")
        is_foreign = origin is not None and origin.partition("://")[2].lower() != host
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):  # as browsers tell, also where no origin is
            is_foreign |= headers.get("sec-fetch-mode") != "navigate"  # but for a link that is followed
        if is_foreign:
            return _Refusal(403, "only pages of this service may use it")
        wait = self._rate.wait_seconds(scope["client"][0] if scope.get("client") else "")
        if wait:
            return _Refusal(429, "too many requests from this address", {"retry-after": str(int(wait) + 1)})
        if self._token and scope["path"] not in OPEN_PATHS and not self._is_known(HTTPConnection(scope)):
            return _Refusal(401, "expected the header Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"})
        return None

    def _is_known(self, connection: HTTPConnection) -> bool:
        scheme, _, shown = connection.headers.get("authorization", "").partition(" ")
        tokens: Iterable[str] = (
            shown.strip() if scheme.lower() == "bearer" else "",
            connection.cookies.get(COOKIE, ""),
        )
        return any(hmac.compare_digest(token.encode(), self._token) for token in tokens)

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """Return what receives a request's body no further, and no longer, than it may go."""
        size, seconds = self._bodies.get(scope["path"], (_SMALL_BODY, self._idle_seconds))
        declared = Headers(scope=scope).get("content-length", "")
        left, due, is_whole = size, time.monotonic() + seconds, False

        async def receive_bounded() -> Message:
            nonlocal left, is_whole
            if is_whole:  # then it is asked whether the client is still there
                return await receive()
            if declared.isdecimal() and int(declared) > size:
                raise HTTPException(413, f"expected at most {size} bytes, got {declared}")
            try:
                async with asyncio.timeout(min(self._idle_seconds, due - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                late = time.monotonic() >= due
                problem = (
                    f"not all was sent in {seconds:g} s" if late else f"nothing was sent for {self._idle_seconds:g} s"
                )
                raise HTTPException(408, problem) from None
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, f"expected at most {size} bytes")
            is_whole = not message.get("more_body", False)
            return message

        return receive_bounded


class _Rate:
    """Requests that an address may still make; grows with time."""

    def __init__(self, per_second: float) -> None:
        self._per_second, self._most = per_second, per_second * _BURST_SECONDS
        self._left: dict[str, tuple[float, float]] = {}

    def wait_seconds(self, address: str) -> float:
        """Count a request; return 0 if it may pass, else after how long one may."""
        now = time.monotonic()
        left, at = self._left.get(address, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_second)
        if left < 1:
            return (1 - left) / self._per_second
        if len(self._left) >= _MAX_ADDRESSES:
            whole = now - _BURST_SECONDS  # who asked nothing for so long has all requests again
            self._left = {who: entry for who, entry in self._left.items() if entry[1] > whole}
        self._left[address] = (left - 1, now)
        return 0.0
