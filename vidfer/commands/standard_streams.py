"""Standard output and error that may be closed, full or a pipe without a reader: no run ends for want of a listener."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any, TextIO


class _Lossy(io.FileIO):
    """A descriptor to write to; what cannot be written is dropped, and the first reason kept."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, or drop what cannot be written."""
        try:
            return super().write(data) or 0
        except OSError as error:
            self.error = self.error or error
            return len(data)


def use_lossy_streams() -> _Lossy | None:
    """Have the process write to its standard output and error whatever becomes of them.

    A closed descriptor is taken, so that no file of results gets its number, which native code writes warnings to.

    Returns
    -------
    Standard output's descriptor, which knows whether something was lost; None where somebody has replaced the stream.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest number; writing to it fails, as it did
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(_Lossy(2, "w", closefd=False), sys.stderr, errors="backslashreplace")
    if sys.stdout is not sys.__stdout__:
        return None
    descriptor = _Lossy(1, "w", closefd=False)
    sys.stdout = _stream(descriptor, sys.stdout, errors="surrogateescape")
    return descriptor


def _stream(descriptor: _Lossy, old: TextIO | None, *, errors: str) -> TextIO:
    encoding, errors = (old.encoding, old.errors or errors) if old is not None else ("utf-8", errors)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        old.flush()  # type: ignore[union-attr]
    is_stderr = descriptor.fileno() == 2
    return io.TextIOWrapper(
        io.BufferedWriter(descriptor), encoding=encoding, errors=errors, line_buffering=is_stderr or descriptor.isatty()
    )
