"""The worker's side of the local executor: a process that runs one function on the items that it is sent."""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import gc
import logging
import os
import pickle
import socket
import threading
import traceback
from collections.abc import Callable
from typing import Any

from vidfer.errors import VidferError
from vidfer.executors import TaskError
from vidfer.executors.channel import TOKEN_BYTES, FrameReader, encode
from vidfer.memory_limit import is_out_of_memory

_send_event: Callable[[Any], None] | None = None


def emit(event: Any) -> None:
    """Send a small picklable progress event to the parent; also the sign of life that puts off the timeout.

    Outside a worker it does nothing, so stage code calls it without knowing where it runs. Any thread may call it.
    """
    if _send_event is not None:
        _send_event(event)


def set_event_sink(sink: Callable[[Any], None] | None) -> None:
    """Direct `emit` elsewhere: for executors with another channel, and for running without any executor."""
    global _send_event
    _send_event = sink


class _Parent:
    """The connection to the parent; when it breaks, the process ends."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        token = b""
        while len(token) < TOKEN_BYTES:
            token += self._receive(TOKEN_BYTES - len(token))
        self._token = token
        self._reader = FrameReader(token)

    def send(self, kind: str, value: Any) -> None:
        frame = encode(self._token, (kind, value))
        try:
            with self._lock:
                self._connection.sendall(frame)
        except OSError:
            os._exit(1)

    def next_message(self) -> Any:
        while True:
            for message in self._reader.feed(self._receive(1 << 16)):
                return message  # the parent sends one message at a time

    def _receive(self, size: int) -> bytes:
        try:
            data = self._connection.recv(size)
        except OSError:
            data = b""
        if not data:
            os._exit(0)  # the parent has closed the connection or died; exit handlers of native code may hang
        return data


class WarningForwarder(logging.Handler):
    """Hands warnings of the library, as (logger, level, text), to a process whose logging the user has configured."""

    def __init__(self, send: Callable[[tuple[str, int, str]], None]) -> None:
        super().__init__(logging.WARNING)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            self._send((record.name, record.levelno, record.getMessage()))


def main(connection_fd: int, lifeline_fd: int) -> None:
    """Serve until the parent closes the connection or dies. Started by `vidfer.executors.process`."""
    _die_with_parent(lifeline_fd)
    gc.set_threshold(10_000, 10, 10)  # imports make many objects and no garbage: 6 % of the time of a short clip
    faulthandler.enable()  # a crash in native code then leaves a stack on stderr, of which the parent keeps the tail
    parent = _Parent(socket.socket(fileno=connection_fd))
    pickled_fn: bytes = parent.next_message()
    logging.getLogger("vidfer").addHandler(WarningForwarder(lambda log: parent.send("log", log)))
    set_event_sink(lambda event: parent.send("event", event))
    try:
        fn = pickle.loads(pickled_fn)
    except BaseException as error:
        parent.send("unusable", describe(error))
        return
    parent.send("ready", None)
    while True:
        _serve(fn, parent.next_message(), parent)


def describe(error: BaseException) -> TaskError:
    """Return an exception as a `TaskError`: one line for people, the traceback apart."""
    message = " ".join(str(error).split()) or "no message"
    known = isinstance(error, VidferError)
    return TaskError(
        kind=type(error).__name__,
        message=message if known else f"{type(error).__name__}: {message}",
        permanent=known,
        ends_run=isinstance(error, VidferError) and error.ends_run,
        reason=str(getattr(error, "reason", "")) if known else "",
        stage=str(getattr(error, "stage", "")),
        traceback="".join(traceback.format_exception(error)),
    )


def _serve(fn: Callable[[Any], Any], pickled_item: bytes, parent: _Parent) -> None:
    try:
        value = fn(pickle.loads(pickled_item))
    except BaseException as error:
        parent.send("exhausted" if is_out_of_memory(error) else "failed", describe(error))
    else:
        try:
            parent.send("ok", value)
        except Exception as error:
            parent.send("failed", describe(TypeError(f"the result cannot be sent to the parent: {error}")))


def _die_with_parent(lifeline_fd: int) -> None:
    """End this process when the parent's end of the lifeline closes, even if native code never comes back.

    The kernel then sends SIGIO, which ends a process that does not handle it; no Python code has to run. The thread
    is for systems that do not signal on pipes.
    """
    with contextlib.suppress(OSError):
        fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, fcntl.fcntl(lifeline_fd, fcntl.F_GETFL) | os.O_ASYNC)

    def watch() -> None:
        os.read(lifeline_fd, 1)
        os._exit(1)

    threading.Thread(target=watch, name="vidfer-lifeline", daemon=True).start()
