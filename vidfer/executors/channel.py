"""Messages between the parent and a worker: pickles in frames that betray anything that is not a message.

A frame is the channel's random token (8 bytes), the length and the CRC-32 of the body (4 bytes each), and the body.
Native code that writes to a wrong file descriptor, or a worker that dies in the middle of a message, thereby shows
up as a ChannelError or as an incomplete frame; neither can make the reader wait or unpickle garbage.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

TOKEN_BYTES = 8
MAX_BODY_BYTES = 64 << 20  # summaries are small; arrays travel through the cache
_HEAD = struct.Struct(f">{TOKEN_BYTES}sII")


class ChannelError(Exception):
    """The other side sent something that is not a message."""


def pickled_function(fn: Callable[..., Any]) -> bytes:
    """Return a function as other processes find it, by its name; TypeError for one that has none there."""
    try:
        return pickle.dumps(fn)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"expected a function that can be imported by its name, got {fn!r}: {error}") from error


def encode(token: bytes, message: Any) -> bytes:
    """Return the frame of a message; whatever pickle raises if it cannot be pickled, ValueError if too large."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"a message of {len(body)} bytes: expected at most {MAX_BODY_BYTES}; use the cache for arrays")
    return _HEAD.pack(token, len(body), zlib.crc32(body)) + body


class FrameReader:
    """Puts messages together from bytes that come in pieces of any size."""

    def __init__(self, token: bytes) -> None:
        self._token = token
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Add bytes and yield the messages that are now complete; raises ChannelError at the first wrong frame."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            token, length, checksum = _HEAD.unpack_from(self._buffer)
            if token != self._token or length > MAX_BODY_BYTES:
                raise ChannelError(f"expected a message, got {bytes(self._buffer[:40])!r}")
            end = _HEAD.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_HEAD.size : end])
            del self._buffer[:end]
            if zlib.crc32(body) != checksum:
                raise ChannelError("a message arrived damaged")
            try:
                message = pickle.loads(body)
            except Exception as error:
                raise ChannelError(f"a message cannot be read: {type(error).__name__}: {error}") from error
            yield message
