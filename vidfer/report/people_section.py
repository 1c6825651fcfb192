"""The people of a clip on its page: who is who, what each shows, and what a user makes of it (people.js)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vidfer.people.table import COLUMNS
from vidfer.report.chart_options import ChartOptions
from vidfer.report.page import cell, data_url, escape, number, percent, row, share_bar, swatch, table
from vidfer.report.png import full_colour_png
from vidfer.report.wording import clock, duration
from vidfer.timeline.summary import state_shares
from vidfer.types import ClipResult

_EDITOR = """<details id="people-editor" class="no-print"><summary>Say who is who, and who counts</summary>
<p class="faint">Give two rows one name to make them one person. <b>Split here</b> makes a new row of what follows the
moment at which the page stands. Then save the table and run <code>vidfer report RESULTS --people people.csv</code>:
summaries, charts and pages follow.</p>
<div class="scroll"><table><thead><tr><th>name</th><th>role</th><th>counts</th><th>faces</th><th>same as</th><th></th>
</tr></thead><tbody></tbody></table></div>
<p><button type="button" id="save-people">save people.csv</button>
<button type="button" id="undo-people">undo all</button>
<span id="people-note" class="faint" role="status"></span></p></details>"""


_UNSURE_NAMED = 5  # of the pairs of people who may be the same


def people_section(clip: ClipResult, summary: Mapping[str, Any], options: ChartOptions) -> str:
    """Return the strip of pictures, the table of people and the place of the editor."""
    everyone = summary["people"]
    if not everyone:
        return "<section><h2>People</h2><p>No face was found in this clip.</p></section>"
    counting = [person for person in everyone if person["include"]]
    others = [person for person in everyone if not person["include"]]
    by_time = sorted(counting, key=_seconds_seen) + sorted(others, key=_seconds_seen)
    headings = [
        *(("person", ""), ("role", ""), ("from – to", ""), ("seen for", "number"), ("mean quality", "number")),
        *(("mostly", ""), ("share of time", "")),
    ]
    rows = [_row(person) for person in by_time]
    editor = _EDITOR if clip.roster else ""
    shown = f'<div class="scroll">{table(headings, rows, name="people")}</div>'
    return f'<section class="long"><h2>People</h2>{_strip(options)}{shown}{_unsure_links(summary)}{editor}</section>'


def _seconds_seen(person: Mapping[str, Any]) -> tuple[float, int]:
    return -(person["seconds_on_screen"] or 0.0), person["person"]


def _row(person: Mapping[str, Any]) -> str:
    if person["include"]:
        attributes = f' data-face="{person["person"]}" data-numbers="{escape(json.dumps(_numbers(person)))}"'
        who = escape(person["label"])
    else:
        attributes = ' class="left-out"'
        who = f'{escape(person["label"])}<br><span class="faint">left out{_because(person["reason"])}</span>'
    return row(
        cell(who, kind="text"),
        cell(escape(person["role"])),
        cell(f"{clock(person['first_seconds'], decimals=1)} – {clock(person['last_seconds'], decimals=1)}"),
        number(duration(person["seconds_on_screen"])),
        number(percent(person["mean_quality"])),
        cell(swatch(person["dominant_emotion"])),
        cell(share_bar(state_shares(person))),
        attributes=attributes,
    )


def _unsure_links(summary: Mapping[str, Any]) -> str:
    """Return who may be the same and was left apart, the likeliest first."""
    labels = {person["person"]: person["label"] for person in summary["people"]}
    links = sorted(summary.get("unsure_links", ()), key=lambda link: -link["confidence"])
    pairs = [
        f"{' and '.join(escape(labels[one]) for one in link['people'])} ({percent(link['confidence'])})"
        for link in links[:_UNSURE_NAMED]
    ]
    more = f"; and {len(links) - _UNSURE_NAMED} more pairs" if len(links) > _UNSURE_NAMED else ""
    return f'<p class="faint">Left apart, and may be one person: {"; ".join(pairs)}{more}.</p>' if pairs else ""


def _because(reason: str) -> str:
    return f": {escape(reason)}" if reason else ""


def _numbers(person: Mapping[str, Any]) -> list[list[float]]:
    """Return seconds seen, then for each emotion and for unsure: share of time, mean probability, episodes."""
    rows = [
        [numbers["share_of_time"] or 0.0, numbers["mean_probability"] or 0.0, numbers["episodes"]]
        for numbers in person["emotions"].values()
    ]
    return [[person["seconds_on_screen"] or 0.0], *rows, [person["unsure_share_of_time"] or 0.0, 0.0, 0]]


def _strip(options: ChartOptions) -> str:
    figures = "".join(
        f'<figure{"" if portrait.include else " class=left-out"}><img alt="" '
        f'src="{data_url(full_colour_png(portrait.picture))}"><figcaption>{escape(portrait.label)}</figcaption></figure>'
        for portrait in options.portraits
    )
    return f'<div class="portraits">{figures}</div>' if figures else ""


def people_data(clip: ClipResult) -> dict[str, Any] | None:
    """Return what people.js edits, JSON-ready: the rows of people.csv, and each track's first and last second."""
    if clip.roster is None:
        return None
    kept = np.flatnonzero(clip.timeline.track_id >= 0)
    seconds = clip.frames.pts_seconds[clip.timeline.frame_row[kept]]
    tracks, of = np.unique(clip.timeline.track_id[kept], return_inverse=True)
    first, last = np.full(len(tracks), np.inf), np.full(len(tracks), -np.inf)
    np.minimum.at(first, of, seconds)
    np.maximum.at(last, of, seconds)
    spans = np.round(np.stack([first, last], axis=1), 3).tolist()
    labels = {person.number: person.label for person in clip.roster.people}
    return {
        "columns": _columns(clip.roster.rows),
        "rows": [dict(row) for row in clip.roster.rows],
        "labels": [labels.get(int(row.get("person") or -1), "") for row in clip.roster.rows],
        "spans": {str(track): span for track, span in zip(tracks.tolist(), spans, strict=True)},
    }


def _columns(rows: Sequence[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)]))
