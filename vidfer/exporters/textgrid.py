"""emotions.TextGrid: episodes as intervals for Praat, one tier per person, on the container's clock.

Format: Praat's manual, "TextGrid file formats", https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vidfer.exporters import exporter
from vidfer.people.by_person import by_person
from vidfer.timeline.series import end_seconds
from vidfer.types import ClipResult, EmotionSegment


@exporter("textgrid", filenames=("emotions.TextGrid",), version=2)
def render(clip: ClipResult) -> dict[str, bytes]:
    """Return emotions.TextGrid; where there is no episode the interval is empty."""
    clip = by_person(clip)
    start = clip.info.start_seconds
    tiers: dict[int, list[EmotionSegment]] = {}
    for segment in clip.segments:
        tiers.setdefault(segment.track_id, []).append(segment)
    last = max([end_seconds(clip), *(segment.end_seconds for segment in clip.segments)])
    end = max(0.0, start + last)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end:.6f}"]
    lines += ["tiers? <exists>", f"size = {max(1, len(tiers))}", "item []:"]
    named = [(_text(clip.label(person)), segments) for person, segments in sorted(tiers.items())]
    named = named or [("no episode", [])]
    for number, (name, segments) in enumerate(named):
        intervals = list(_intervals(segments, start, end))
        lines += [f"    item [{number + 1}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {end:.6f}", f"        intervals: size = {len(intervals)}"]
        for place, (low, high, text) in enumerate(intervals):
            lines += [f"        intervals [{place + 1}]:", f"            xmin = {low:.6f}"]
            lines += [f"            xmax = {high:.6f}", f'            text = "{text}"']
    return {"emotions.TextGrid": ("\n".join(lines) + "\n").encode()}


def _text(name: str) -> str:
    """Return a name on one line, quotation marks doubled as Praat wants them."""
    return " ".join(name.split()).replace('"', '""')


def _intervals(segments: Sequence[EmotionSegment], start: float, end: float) -> Iterator[tuple[float, float, str]]:
    """Yield what fills a tier from 0 to its end without a gap, as Praat wants it."""
    at = 0.0
    for segment in segments:
        low, high = max(at, round(start + segment.start_seconds, 6)), round(start + segment.end_seconds, 6)
        if low > at:
            yield at, low, ""
        if high > low:
            yield low, high, segment.emotion
            at = high
    if at < round(end, 6) or not at:
        yield at, end, ""
