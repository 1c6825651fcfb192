"""highlights/: short videos around the strongest moments of each person, with highlights.html and highlights.csv."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from vidfer.exporters import EXPORTERS, MadeSnippet, Paint, Snippet, SnippetExporter
from vidfer.people.by_person import by_person
from vidfer.report.chart_options import ChartOptions
from vidfer.report.page import cell, escape, number, page, row, swatch, table
from vidfer.report.wording import clock, display_name
from vidfer.spreadsheet import guarded
from vidfer.types import ClipResult, EmotionSegment

_COLUMNS = (
    *("file", "person", "emotion", "peak_seconds", "peak_probability", "start_seconds", "end_seconds", "is_copied"),
)


def moments(clip: ClipResult, *, most: int, apart_seconds: float) -> list[EmotionSegment]:
    """Return the episodes with the highest peaks of each person, by time, without neutral ones.

    People who do not count are left out and, where people.csv names anyone in the clip, those without a name. Moments
    nearer than ``apart_seconds`` to a stronger one of the same person are dropped.
    """
    named = {person.number for person in clip.roster.people if person.name} if clip.roster else set()
    kept: dict[int, list[EmotionSegment]] = defaultdict(list)
    shown = by_person(clip).segments
    for one in sorted(shown, key=lambda segment: (-segment.peak_probability, segment.peak_seconds)):
        mine = kept[one.track_id]
        if one.emotion == "neutral" or (named and one.track_id not in named) or len(mine) >= most:
            continue
        if all(abs(one.peak_seconds - other.peak_seconds) >= apart_seconds for other in mine):
            mine.append(one)
    return sorted((one for of in kept.values() for one in of), key=lambda one: (one.peak_seconds, one.track_id))


def _choose(clip: ClipResult, options: ChartOptions) -> list[Snippet]:
    margin = options.highlight_margin_seconds
    chosen = moments(clip, most=options.highlights_per_person, apart_seconds=margin)
    return [
        Snippet(
            filename=_filename(one),
            start_seconds=max(0.0, one.peak_seconds - margin),
            end_seconds=one.peak_seconds + margin,
        )
        for one in chosen
    ]


def _filename(moment: EmotionSegment) -> str:
    return f"{moment.peak_seconds:08.2f}s_person{moment.track_id}_{moment.emotion}.mp4"


def _index(clip: ClipResult, made: Sequence[MadeSnippet], *, folder: str, names: tuple[str, str]) -> dict[str, bytes]:
    of = {_filename(segment): segment for segment in by_person(clip).segments}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    rows = []
    for one in made:
        moment, place = of[one.filename], f"{folder}/{one.filename}"
        person = display_name(clip.label(moment.track_id))
        times = [f"{seconds:.3f}" for seconds in (moment.peak_seconds, one.start_seconds, one.end_seconds)]
        probability = f"{moment.peak_probability:.4f}"
        cells = [place, guarded(person), moment.emotion, times[0], probability, *times[1:], int(one.is_copied)]
        writer.writerow(cells)
        peak = clock(moment.peak_seconds, decimals=1)
        how = "the source's own pictures, from the key frame before" if one.is_copied else "encoded anew"
        stretch = f"{clock(one.start_seconds, decimals=1)} to {clock(one.end_seconds, decimals=1)}; {how}"
        rows.append(
            row(
                cell(f"<video src='{escape(place)}' controls preload='metadata' style='width:320px'></video>"),
                *map(cell, (escape(person), swatch(moment.emotion))),
                number(f"<a href='report.html#t={moment.peak_seconds:.3f}'>{peak}</a>"),
                number(f"{moment.peak_probability:.2f}"),
                cell(escape(stretch), kind="text"),
            )
        )
    headings = [("", ""), ("person", ""), ("emotion", ""), ("peak", "number"), ("probability", "number"), ("cut", "")]
    title = f"Highlights of {display_name(clip.clip_id)}"
    body = [
        f"<header><h1>{escape(title)}</h1></header>",
        f"<section class='long'>{table(headings, rows)}</section>" if rows else "<p>There is no strong moment.</p>",
        f"<p class='faint'>What people would call the expression, no measure of a feeling. Table: {names[0]}.</p>",
    ]
    return {names[0]: text.getvalue().encode(errors="backslashreplace"), names[1]: page(f"{title} – vidfer", body)}


def _hiding(clip: ClipResult) -> Paint:
    """Return what hides the faces, as in the blurred overlay, and draws nothing."""
    from vidfer.report.face_painter import FacePainter

    return FacePainter(clip, blur_faces=True).hidden


def _register(name: str, painter: Callable[[ClipResult], Paint] | None, replaces: str = "") -> None:
    folder = name.replace("-", "_")
    names = (f"{folder}.csv", f"{folder}.html")
    EXPORTERS.register(name)(
        SnippetExporter(
            name=name,
            filenames=names,
            version=1,
            folder=folder,
            choose=_choose,
            painter=painter,
            index=partial(_index, folder=folder, names=names),
            replaces=replaces,
        )
    )


_register("highlights", None)
_register("highlights-blurred", _hiding, replaces="highlights")
