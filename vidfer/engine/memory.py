"""Hand memory that is free inside this process back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import sys


def give_back_free_memory() -> None:
    """Let the C library return what it keeps of freed memory; without effect where it is not glibc.

    After an hour of video that is about 100 MB, which would else count in the worker's peak while files are written.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
