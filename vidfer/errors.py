"""Every error that vidfer raises on purpose.

A message says what was expected, what was found and what to do. Anything else that escapes is a bug.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

BadVideoReason = Literal["unreadable", "no_video_stream", "no_frames", "unsupported_codec", "truncated"]


class VidferError(Exception):
    """Base of all errors that a user can act on. Shown as one line; a traceback only with -v.

    Attributes
    ----------
    ends_run
        Every clip would meet it: it ends the run with one message instead of filling failures.csv.
    """

    ends_run: ClassVar[bool] = False


class ConfigError(VidferError):
    """A pipeline file, a ``--set`` or a recipe is wrong: unknown key, bad value, unknown component."""

    ends_run = True


class BadVideo(VidferError):
    """A file cannot give frames. Permanent: not retried unless asked.

    Parameters
    ----------
    path
        The file.
    reason
        ``unreadable``, ``no_video_stream``, ``no_frames``, ``unsupported_codec`` or, with ``--strict``
        only, ``truncated``.
    detail
        What was found and what to do, for people.
    """

    def __init__(self, path: str | Path, reason: BadVideoReason, detail: str) -> None:
        super().__init__(str(path), reason, detail)
        self.path = Path(path)
        self.reason: BadVideoReason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}: {self.detail}"


class VideoTooLong(VidferError):
    """A video is longer than ``run.longest_seconds`` allows; with another limit it may be worked on."""

    reason = "too_long"


class WeightsError(VidferError):
    """A weight file is missing, damaged or of the wrong shape."""

    ends_run = True


class CacheError(VidferError):
    """A cache file failed verification, or the cache folder cannot be used."""


class OutputError(VidferError):
    """A result cannot be written (permission, disk full, locked by another run)."""

    ends_run = True


class ClipFolderError(OutputError):
    """Something else lies where one clip's results are to go; other clips are not concerned."""

    reason = "folder_taken"
    ends_run = False


class ClusterError(VidferError):
    """There is no cluster where one was expected, or a machine of it cannot do its part; names the machine."""

    ends_run = True


class DataError(VidferError):
    """Training or evaluation data is missing, damaged or mislabelled; names the file and row."""


class MissingDependency(VidferError):
    """An optional package is needed for what was asked."""

    ends_run = True

    def __init__(self, package: str, *, needed_for: str, extra: str | None = None, detail: str = "") -> None:
        how = f"pip install 'vidfer[{extra}]'" if extra else f"pip install {package}"
        because = f" ({detail})" if detail else ""
        super().__init__(f"{needed_for} needs the package {package}, which cannot be imported{because}: {how}")


@contextmanager
def blamed_on(stage: str) -> Iterator[None]:
    """Note on an exception that leaves the block which stage it came from, as ``stage``; the innermost block counts."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "stage"):
            error.stage = stage  # type: ignore[attr-defined]
        raise
