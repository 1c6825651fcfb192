"""Which of a file's video streams is meant."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import av
import av.container
from av.stream import Disposition

from vidfer.errors import BadVideo
from vidfer.video.container import demux_packets, open_container, video_streams

AUTO = -1
_STILL_SHARE = 0.01  # a stream with fewer of the frames of the longest is a still picture or a row of thumbnails
_SAME_LENGTH = 0.98  # two programmes of one broadcast rarely end with the same frame
_NEVER_MEANT = Disposition.timed_thumbnails | Disposition.still_image


@dataclass(frozen=True)
class _Candidate:
    stream: av.VideoStream
    num_packets: int

    @property
    def is_default(self) -> bool:
        return bool(self.stream.disposition & Disposition.default)

    @property
    def pixels(self) -> int:
        return int(self.stream.width or 0) * int(self.stream.height or 0)

    def __str__(self) -> str:
        context = self.stream.codec_context
        facts = [context.name if context is not None else "unknown codec"]
        if self.pixels:
            facts.append(f"{self.stream.width} x {self.stream.height}")
        facts.append(f"{self.num_packets} frame" + "s" * (self.num_packets != 1))
        return f"{self.stream.index} ({', '.join(facts)}{', default' if self.is_default else ''})"


def choose_stream(
    path: Path, container: av.container.InputContainer, wanted: int = AUTO
) -> tuple[av.VideoStream | None, tuple[str, ...]]:
    """Return the stream to use, and a warning where there are several; None without a video stream.

    Parameters
    ----------
    path
        The file, which is read through once more where there are several streams.
    container
        The opened file.
    wanted
        The stream's number in the file, as FFmpeg counts; ``AUTO`` takes the one that is flagged as default, of
        several the one with most frames, of those the largest. Stills beside a moving picture are never taken.

    Raises
    ------
    BadVideo
        ``no_video_stream``: the wanted number is not a video stream's.
    """
    streams = video_streams(container)
    if not streams or (len(streams) == 1 and wanted in (AUTO, streams[0].index)):
        return (streams[0] if streams else None), ()
    counts = _count_packets(path)
    candidates = [_Candidate(stream, counts[stream.index]) for stream in streams]
    listed = ", ".join(map(str, candidates))
    if wanted != AUTO:
        chosen = next((one for one in candidates if one.stream.index == wanted), None)
        if chosen is None:
            what = "its only video stream is" if len(streams) == 1 else "its video streams are"
            raise BadVideo(path, "no_video_stream", f"video.stream={wanted} is no video stream of it: {what} {listed}")
        return chosen.stream, ()
    chosen = _likeliest(candidates)
    warning = (
        f"{len(streams)} video streams: {listed}: stream {chosen.stream.index} is used; "
        f"another is chosen with --set video.stream=NUMBER"
    )
    return chosen.stream, (warning,)


def _likeliest(candidates: list[_Candidate]) -> _Candidate:
    most = max(one.num_packets for one in candidates)
    moving = [
        one
        for one in candidates
        if one.num_packets > max(most > 1, _STILL_SHARE * most) and not one.stream.disposition & _NEVER_MEANT
    ]
    known = [one for one in moving or candidates if hasattr(one.stream.codec_context, "codec")]
    pool = known or moving or candidates
    pool = [one for one in pool if one.is_default] or pool
    most = max(one.num_packets for one in pool)
    longest = [one for one in pool if one.num_packets >= _SAME_LENGTH * most]
    return max(longest, key=lambda one: (one.pixels, one.num_packets, -one.stream.index))


def _count_packets(path: Path) -> Counter[int]:
    with open_container(path) as container:
        return Counter(packet.stream_index for packet in demux_packets(container, *container.streams.video))
