"""emotions.vtt: episodes as subtitles (WebVTT, https://www.w3.org/TR/webvtt1/), which video players show."""

from __future__ import annotations

from html import escape

from vidfer.exporters import exporter
from vidfer.people.by_person import by_person
from vidfer.types import ClipResult


@exporter("vtt", filenames=("emotions.vtt",), version=3)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return emotions.vtt: a cue per episode, on the container's clock, with who it is if there are several."""
    clip = by_person(clip)
    several = len({segment.track_id for segment in clip.segments}) > 1
    lines = ["WEBVTT", ""]
    cues = sorted(clip.segments, key=lambda segment: (segment.start_seconds, segment.track_id))
    for number, segment in enumerate(cues, start=1):
        start, end = (
            max(0, round((clip.info.start_seconds + seconds) * 1000))
            for seconds in (segment.start_seconds, segment.end_seconds)
        )
        who = f"{escape(clip.label(segment.track_id))}: " if several else ""
        lines += [
            str(number),
            f"{_time(start)} --> {_time(max(end, start + 1))}",
            f"{who}{segment.emotion} {segment.mean_probability * 100:.0f} %",
            "",
        ]
    return {"emotions.vtt": "\n".join(lines).encode()}


def _time(milliseconds: int) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"
