"""index.html: the start page of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from vidfer.report.page import cell, escape, number, page, percent, row, share_bar, swatch, table
from vidfer.report.sparkline import sparkline
from vidfer.report.wording import count, duration
from vidfer.timeline.summary import state_shares

# What a clip's row links to: file below the clip's folder -> text of the link.
LINKS: dict[str, str] = {
    "report.html": "report",
    "timeline.png": "chart",
    "timeline.csv": "table",
    "segments.csv": "episodes",
}

PICTURES: dict[str, str] = {
    "batch_share.png": "Share of time per emotion",
    "batch_average.png": "Average course over clips",
}


def render_index(
    summaries: Sequence[Mapping[str, Any]],
    failures: Sequence[Mapping[str, Any]] = (),
    *,
    title: str = "vidfer results",
    files: Iterable[str] = tuple(LINKS),
    pictures: Iterable[str] = (),
) -> bytes:
    """Return the start page.

    Parameters
    ----------
    summaries
        What ``summarise`` returned for each finished clip.
    failures
        Rows of failures.csv: clip, path, stage, reason, message, attempts.
    title
        Heading of the page.
    files
        Names of the files that each clip's folder holds; what is not among them is not linked to.
    pictures
        Names of the pictures of the whole batch that lie beside the page.
    """
    present = set(files)
    total = sum(summary["duration_seconds"] or 0.0 for summary in summaries)
    facts = f"{count(len(summaries), 'clip')}, {duration(total)} of video"
    if failures:
        facts += f", {len(failures):,} failed"
    body = [f"<header><h1>{escape(title)}</h1><p class='facts'>{escape(facts)}</p></header>"]
    if failures:
        body.append(_failures(failures))
    body.append(_clips(summaries, present) if summaries else "<section><p>No clip was finished.</p></section>")
    body += [_picture(name) for name in pictures]
    body.append(
        "<p class='faint'>The same numbers: <a href='summary.csv'>summary.csv</a>, by person "
        "<a href='summary_people.csv'>summary_people.csv</a>; who counts: <a href='people.csv'>people.csv</a></p>"
    )
    return page(title, body, scripts=("index.js",))


def _picture(name: str) -> str:
    text = PICTURES[name]
    return (
        f'<section><a href="{name}"><img class="picture" src="{name}" alt="{text}"></a>'
        '<p class="faint">Drawn by the last <code>vidfer report</code>.</p></section>'
    )


def _clips(summaries: Sequence[Mapping[str, Any]], present: set[str]) -> str:
    headings = [
        *(("clip", ""), ("duration", "number"), ("with a face", "number"), ("people", "number")),
        *(("mostly", ""), ("over time", "picture"), ("share of time", "")),
        *(("episodes", "number"), ("quality", "number")),
    ]
    with_notes = any(_notes(summary) for summary in summaries)
    if with_notes:
        headings.append(("notes", ""))
    rows = [_clip_row(summary, present, with_notes=with_notes) for summary in summaries]
    return f'<section class="long"><h2>Clips</h2>{table(headings, rows, name="clips")}</section>'


def _clip_row(summary: Mapping[str, Any], present: set[str], *, with_notes: bool) -> str:
    folder = quote(str(summary["clip"]), safe="/", errors="surrogateescape")
    links = [f'<a href="{folder}/{file}">{text}</a>' for file, text in LINKS.items() if file in present]
    name = escape(summary["clip"])
    if "report.html" in present:
        name = f'<a href="{folder}/report.html">{name}</a>'
        links = links[1:]
    sampled, seen = summary["sampled_frames"], summary["frames_with_face"]
    with_face = seen / sampled if sampled else None
    shares = state_shares(summary)
    largest = max((share for share in shares.values() if share is not None), default=None)
    dominant = summary["dominant_emotion"]
    cells = [
        cell(f'{name}<br><span class="faint">{" · ".join(links)}</span>', sort=summary["clip"], kind="name"),
        number(duration(summary["duration_seconds"] or 0.0), sort=_sort(summary["duration_seconds"])),
        number(percent(with_face), sort=_sort(with_face)),
        number(_people(summary), sort=summary.get("num_people", summary["num_faces"])),
        cell(swatch(dominant) if dominant else '<span class="faint">no face</span>', sort=dominant or ""),
        cell(sparkline(summary.get("course"))),
        cell(share_bar(shares), sort=_sort(largest)),
        number(str(summary["num_episodes"])),
        number(percent(summary["mean_quality"]), sort=_sort(summary["mean_quality"])),
    ]
    if with_notes:
        cells.append(cell("<br>".join(escape(note) for note in _notes(summary)), kind="name"))
    return row(*cells)


def _people(summary: Mapping[str, Any]) -> str:
    """Return how many people count in a clip, and how many do not."""
    left_out = summary.get("num_people_left_out", 0)
    more = f'<br><span class="faint">{left_out:,} left out</span>' if left_out else ""
    return f"{summary.get('num_people', summary['num_faces']):,}{more}"


def _sort(value: float | None) -> str:
    return "" if value is None else str(value)


def _notes(summary: Mapping[str, Any]) -> list[str]:
    """Return what a reader of a clip's results should know of its decoding."""
    notes = ["damaged or cut short"] if summary["truncated"] else []
    return notes + [str(text) for text in summary["warnings"]]


def _failures(failures: Sequence[Mapping[str, Any]]) -> str:
    rows = [_failure_row(failure) for failure in failures]
    headings = [("clip", ""), ("stage", ""), ("reason", ""), ("what happened, what to do", ""), ("attempts", "number")]
    return f'<section class="warn long"><h2>Failed</h2>{table(headings, rows)}</section>'


def _failure_row(failure: Mapping[str, Any]) -> str:
    clip, path, stage, reason, message, attempts = (
        escape(failure.get(key, "")) for key in ("clip", "path", "stage", "reason", "message", "attempts")
    )
    name = cell(f'{clip}<br><span class="faint">{path}</span>', kind="name")
    return row(name, cell(stage), cell(reason.replace("_", " ")), cell(message, kind="text"), number(attempts))
