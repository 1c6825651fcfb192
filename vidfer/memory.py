"""When memory that is free inside this process goes back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_KEEP_BYTES, _LARGE_BYTES = 128 << 20, 8 << 20


def give_back_free_memory() -> None:
    """Let the C library return what it keeps of freed memory; without effect where it is not glibc.

    After an hour of video that is about 100 MB, which would else count in the worker's peak while files are written.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def keep_memory_at_hand() -> None:
    """Have the C library keep small freed blocks and hand back large ones; without effect where it is not glibc.

    Networks ask for the same few megabytes for every chunk of frames. Left alone, the library hands some of it back
    each time, and touching fresh memory takes a twentieth of the whole time; and it raises the size from which blocks
    are handed back at all, so that a long video holds more and more.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
            library.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
