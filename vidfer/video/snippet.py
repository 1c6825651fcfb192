"""Cut a piece out of a video, with its sound: its own pictures where that is possible, else encoded anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from vidfer.video.container import demux_packets, open_container, stream_at
from vidfer.video.packets import NO_TIME
from vidfer.video.probe import VideoProbe
from vidfer.video.repaint import Sound, frames_between, write_painted

_COPIED = frozenset({"h264", "hevc", "av1", "mpeg4"})  # pictures that MP4 players know
_MAX_LEAD_SECONDS = 2.0  # from the key frame to the wanted start: where that is longer it is encoded anew


def cut(
    video: VideoProbe,
    target: Path,
    between: tuple[float, float],
    paint: Callable[[np.ndarray, float], np.ndarray] | None = None,
    *,
    on_progress: Callable[[], None] = lambda: None,
) -> tuple[float, float, bool]:
    """Write the part [start, end) of a video as MP4.

    Parameters
    ----------
    video
        The probed file.
    target
        The file to write, whatever its suffix.
    between
        Seconds from the first frame.
    paint
        What each picture becomes, see ``repaint``; None: it stays as it is.

    Returns
    -------
    Where it really begins and ends, in seconds from the first frame, and whether its pictures are the source's own.
    Those can begin at a key frame only: the one before ``start``.
    """
    rows = frames_between(video, *between)
    packets = None if paint else _packets(video, rows)
    if packets is None:
        write_painted(video, target, paint or (lambda image, _: image), between=between, on_progress=on_progress)
        return (*_ends(video, int(rows[0]), int(rows[-1])), False)
    key = int(np.searchsorted(video.frame_pts, video.packets.pts[packets.start]))
    start, end = _ends(video, key, int(rows[-1]))
    _copy(video, target, packets, end - start)
    return start, end, True


def _ends(video: VideoProbe, first: int, last: int) -> tuple[float, float]:
    """Return when a frame begins and another one ends, in seconds from the first frame."""
    pts = video.frame_pts
    after = pts[last + 1] if last + 1 < len(pts) else pts[last] + (pts[last] - pts[last - 1] if last else 0)
    return float((pts[first] - pts[0]) * video.time_base), float((after - pts[0]) * video.time_base)


def _packets(video: VideoProbe, rows: np.ndarray) -> slice | None:
    """Return the packets from the key frame before these frames to the last of them; None where they cannot be copied.

    They can if players of MP4 know the codec, packets have times of their own, and nothing tells how pictures are to
    be turned.
    """
    packets, info = video.packets, video.info
    plain = not (video.is_mended or video.size_changes or info.rotation_degrees or video.mapping != "pts")
    if info.codec not in _COPIED or not plain:
        return None
    first, last = video.frame_pts[rows[0]], video.frame_pts[rows[-1]]
    keys = np.flatnonzero(packets.is_keyframe & (packets.pts <= first))
    if not len(keys) or (first - packets.pts[keys[-1]]) * video.time_base > _MAX_LEAD_SECONDS:
        return None
    wanted = np.flatnonzero((packets.pts >= packets.pts[keys[-1]]) & (packets.pts <= last))
    found = slice(int(keys[-1]), int(wanted.max()) + 1)
    is_whole = (packets.dts[found] != NO_TIME).all() and not packets.is_discard[found].any()
    return found if is_whole else None


def _copy(video: VideoProbe, target: Path, packets: slice, seconds: float) -> None:
    """Write packets of the video and its sound, on a clock on which the key frame is at 0."""
    source = Path(video.info.path)
    key = int(video.packets.pts[packets.start])
    shown = max(0.0, video.info.start_seconds) + float((key - video.frame_pts[0]) * video.time_base)
    with open_container(source) as opened, av.open(str(target), "w", format="mp4") as container:
        stream = stream_at(opened, video.stream_index)
        written = container.add_stream_from_template(stream)
        sound = Sound(source, container, video.stream_index, shown, shown + seconds)
        for row, packet in enumerate(demux_packets(opened, stream)):
            if row >= packets.stop:
                break
            if row < packets.start or packet.pts is None or packet.dts is None or packet.pts < key:
                continue  # of pictures before an open key frame the others are missing
            packet.pts, packet.dts = packet.pts - key, packet.dts - key
            packet.stream = written
            sound.write(packet.dts * video.time_base)
            container.mux(packet)
        sound.write()
