"""Open a file with PyAV and walk its packets; what is wrong with a file is said here."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import av
import av.container
import av.stream

from vidfer.errors import BadVideo
from vidfer.memory_limit import blame_memory

logger = logging.getLogger(__name__)

MAX_PIXELS = 8192 * 4608  # 8K and what is called so; a header may claim any size, and FFmpeg would take memory for it
_DEMUX_ERRORS = 1000  # consecutive read errors after which the file counts as ended
DECODER_OPTIONS = {"max_pixels": str(MAX_PIXELS)}  # the decoder refuses larger pictures before it allocates them
# Formats that have FFmpeg open what they name: a stranger's video must not lead to other files of this machine.
_LISTS = frozenset({"concat", "dash", "hls", "imf", "rtsp", "sdp", "webm_dash_manifest"})
_OPEN_OPTIONS = {**DECODER_OPTIONS, "format_whitelist": ",".join(sorted(av.formats_available - _LISTS))}
_TEXT_CODECS = frozenset({"ansi", "bintext", "xbin", "idf"})  # FFmpeg shows text files as video


def open_container(path: Path) -> av.container.InputContainer:
    """Open a file for demuxing; raises BadVideo(``unreadable``) that says what is wrong with it."""
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise BadVideo(path, "unreadable", "the file is empty (0 bytes): copy or record it again")
        # absolute: FFmpeg would read "12:30.mp4" as the protocol "12"
        return av.open(str(path.absolute()), metadata_errors="ignore", options=_OPEN_OPTIONS)
    except FileNotFoundError:
        raise BadVideo(path, "unreadable", "the file does not exist") from None
    except PermissionError:
        raise BadVideo(path, "unreadable", "no permission to read it: chmod +r, or run as its owner") from None
    except IsADirectoryError:
        raise BadVideo(path, "unreadable", "this is a folder, not a video file") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        blame_memory(error)
        raise BadVideo(path, "unreadable", _why_not_opened(path, error)) from None


def video_streams(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Return the video streams that are neither cover art nor text shown as video."""
    return [
        _bounded(stream)
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
        and not (stream.codec_context is not None and stream.codec_context.name in _TEXT_CODECS)
    ]


def stream_at(container: av.container.InputContainer, index: int) -> av.VideoStream:
    """Return the video stream with this number in the file."""
    return _bounded(next(stream for stream in container.streams.video if stream.index == index))


def demux_packets(container: av.container.InputContainer, *streams: av.stream.Stream) -> Iterator[av.Packet]:
    """Yield the packets that hold data; a read error is skipped, unless it repeats: then the file has ended."""
    errors = 0
    while errors < _DEMUX_ERRORS:
        try:
            for packet in container.demux(*streams):
                if packet.size:
                    errors = 0
                    yield packet
            return
        except (av.FFmpegError, OSError, IndexError) as error:  # IndexError: a stream that damage seems to add
            blame_memory(error)
            errors += 1
            logger.debug("%s: read error %d: %s", container.name, errors, error)


def _bounded(stream: av.VideoStream) -> av.VideoStream:
    if stream.codec_context is not None:
        stream.codec_context.options = DECODER_OPTIONS
    return stream


def _why_not_opened(path: Path, error: Exception) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as problem:
        return f"cannot be read: {problem.strerror}"
    if head[4:8] in (b"ftyp", b"mdat", b"free", b"wide", b"skip"):
        return "the index (moov atom) is missing: the recording or copy was cut short; copy or export it again"
    if head.startswith((b"ffconcat", b"#EXTM3U")):
        return "this is a list of other files, not a video: give those"
    return f"not a video that FFmpeg knows ({why(error)})"


def why(error: Exception) -> str:
    """Return an error of FFmpeg's in its own words; a sentence can go on with them."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text[:1].lower() + text[1:]
