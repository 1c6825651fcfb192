"""Telling want of memory from other failures: libraries name it in their own ways, or name something else."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from vidfer.errors import VidferError

_SIGNS = (  # what PyTorch, oneDNN, the loader of libraries, OpenMP, OpenBLAS, FFmpeg and Python say
    "could not create a primitive",
    "could not create a memory object",
    "could not execute a primitive",
    "cannot allocate memory",
    "can't allocate memory",
    "not enough memory",
    "unable to allocate",
    "failed to map segment",
    "cannot create shared object descriptor",
    "unable to mmap",
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "can't start new thread",
    "thread creation failed",
    "pthread_create failed",
    "memoryerror",
)
_NEAR_BYTES = 64 << 20  # nearer than this a limit counts as reached: memory that was refused is not counted


def limit_bytes() -> int:
    """Return the most address space that this process may take (``ulimit -v``); 0 where there is no limit."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        return 0 if limit == resource.RLIM_INFINITY else limit
    return 0


def says_out_of_memory(text: str) -> bool:
    """Return whether a library's message, or what a process last printed, says that memory or threads ran out."""
    return any(sign in text.lower() for sign in _SIGNS)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception, or one that it came from, means that memory or threads ran out.

    Where a limit is nearly reached, so does every exception that is not vidfer's own, whatever it says.
    """
    one: BaseException | None = error
    while one is not None:
        if isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno == errno.ENOMEM):
            return True
        if says_out_of_memory(str(one)):
            return True
        one = one.__cause__
    return not isinstance(error, VidferError) and 0 < limit_bytes() < _peak_bytes() + _NEAR_BYTES


def blame_memory(error: Exception) -> None:
    """Raise MemoryError where FFmpeg got no memory or no thread, which is no fault of the file that it reads.

    Damaged files make it ask for absurd amounts, so without a limit being refused memory is the file's fault.
    """
    number = getattr(error, "errno", None)
    if (number == errno.ENOMEM and limit_bytes()) or (number == errno.EAGAIN and "avcodec_open2" in str(error)):
        raise MemoryError(f"FFmpeg got no memory or no thread: {error}") from error


def memory_advice() -> str:
    """Return what to do for want of memory, in a few words."""
    if limit := limit_bytes():
        return f"a process may take {limit / 2**30:.1f} GiB here: raise that limit (ulimit -v unlimited)"
    return "free some memory or use fewer --jobs"


def _peak_bytes() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmPeak:"):
                return int(line.split()[1]) * 1024
    return 0
