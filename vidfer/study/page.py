"""study.html: one page with the pictures, the comparisons and links to the moments that matter."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from vidfer.labels import EMOTIONS
from vidfer.report.page import cell, escape, page, swatch, table, warnings_box
from vidfer.report.wording import clock, count
from vidfer.study.assignment import LeftOut
from vidfer.study.courses import Course
from vidfer.study.measures import words_of

if TYPE_CHECKING:
    import pandas as pd

_EFFECTS = {"hedges_g": "Hedges’ g", "hedges_g_z": "Hedges’ g_z"}
_STRONGEST = 3  # moments of each emotion and condition, each of another clip
_MOST_LISTED = 50


def render_page(
    title: str,
    courses: Sequence[Course],
    conditions: Sequence[str],
    comparisons: pd.DataFrame,
    clusters: pd.DataFrame,
    left: Sequence[LeftOut],
    notes: Sequence[str],
    pictures: Mapping[str, tuple[str, bytes]],
    *,
    folders: Mapping[str, Path],
    out: Path,
) -> bytes:
    """Return the page.

    Parameters
    ----------
    pictures
        By name: what stands above the picture, and an SVG.
    folders
        Each clip's folder, for links to its report relative to ``out``.
    """
    people = len({course.part.participant for course in courses})
    seconds = sum(float(course.step.sum()) for course in courses)
    facts = f"{count(people, 'participant')}, {count(len({c.part.clip for c in courses}), 'clip')}, "
    facts += f"{clock(seconds)} with the face in view; conditions: {', '.join(conditions)}"
    body = [
        f"<header><h1>{escape(title or 'Study')}</h1><p class='facts'>{escape(facts)}</p></header>",
        warnings_box(notes),
        *(_picture(heading, svg) for heading, svg in pictures.values()),
        _comparisons(comparisons),
        _clusters(clusters),
        _moments(courses, conditions, folders, out),
        _left_out(left),
        "<p class='faint'>Tables: <a href='participants.csv'>participants.csv</a>, <a href='comparisons.csv'>"
        "comparisons.csv</a>, <a href='clips.csv'>clips.csv</a>; what their columns mean: <a href='columns.csv'>"
        "columns.csv</a>. For the paper: <a href='methods.md'>methods.md</a>, <a href='pictures/'>pictures</a>.</p>",
    ]
    return page(f"{title or 'Study'} – vidfer", body)


def _picture(heading: str, svg: bytes) -> str:
    data = base64.b64encode(svg).decode()
    return (
        f"<section><h2>{escape(heading)}</h2><img class='picture' style='max-width:1100px' alt='{escape(heading)}' "
        f"src='data:image/svg+xml;base64,{data}'></section>"
    )


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None or value != value else f"{value:.{digits}f}".replace("-", "−")


def _comparisons(comparisons: pd.DataFrame) -> str:
    if comparisons.empty:
        return ""
    rows = []
    for one in comparisons.to_dict("records"):
        effect = f"{_number(one['effect_size'], 2)} [{_number(one['effect_low'], 2)}, {_number(one['effect_high'], 2)}]"
        interval = f"[{_number(one['difference_low'])}, {_number(one['difference_high'])}]"
        n = f"{one['n_reference']} / {one['n_condition']}"
        p = _number(one["p_corrected"]) if not one["refused"] else "refused"
        cells = [
            cell(escape(words_of(one["measure"]))),
            cell(swatch(one["emotion"]) if one["emotion"] else ""),
            cell(escape(f"{one['condition']} − {one['reference']}")),
            *(cell(text, kind="number") for text in (n, f"{_number(one['difference'])} {interval}", effect)),
            cell(p, kind="number"),
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    headings = [("measure", ""), ("emotion", ""), ("compared", ""), ("n", "number"), ("difference", "number")]
    headings += [(_EFFECTS[comparisons["effect"].iat[0]], "number"), ("p, corrected", "number")]
    refused = sorted(set(comparisons["refused"]) - {""})
    why = f"<p class='faint'>Refused: {escape('; '.join(refused))}.</p>" if refused else ""
    return f'<section class="long"><h2>Comparisons</h2>{table(headings, rows)}{why}</section>'


def _clusters(clusters: pd.DataFrame) -> str:
    if clusters.empty:
        return ""
    rows = [
        "<tr>"
        + cell(escape(one["type"]))
        + cell(swatch(one["emotion"]))
        + cell(escape(f"{one['condition']} − {one['reference']}"))
        + cell(f"{_number(one['from_seconds'], 1)} to {_number(one['to_seconds'], 1)} s", kind="number")
        + cell(_number(one["p"]), kind="number")
        + "</tr>"
        for one in clusters.sort_values(["p", "type"], kind="stable").head(_MOST_LISTED).to_dict("records")
    ]
    headings = [("event", ""), ("emotion", ""), ("compared", ""), ("from the onset", "number"), ("p", "number")]
    return f'<section class="long"><h2>Around events, over time</h2>{table(headings, rows)}</section>'


def _moments(courses: Sequence[Course], conditions: Sequence[str], folders: Mapping[str, Path], out: Path) -> str:
    """Return links to the strongest episodes of each emotion and condition."""
    rows = []
    for label, emotion in enumerate(EMOTIONS):
        if emotion == "neutral":
            continue
        for condition in conditions:
            strongest = [
                (-float(course.strength[place]), course.part.clip, float(course.episodes[place, 3]), course)
                for course in courses
                if course.part.condition == condition
                for place in np.flatnonzero(course.episodes[:, 0] == label).tolist()
            ]
            of_clip = {one[1]: one for one in sorted(strongest, key=lambda one: one[:3], reverse=True)}
            found = sorted(of_clip.values(), key=lambda one: one[:3])[:_STRONGEST]
            for strength, clip, seconds, course in found:
                report = folders[clip] / "report.html"
                place = quote(os.path.relpath(report, out), safe="/") + f"#t={seconds:.3f}"
                name = f"{escape(clip)} {clock(seconds, decimals=1)}"
                link = f"<a href='{place}'>{name}</a>" if report.is_file() else name
                cells = [swatch(emotion), escape(condition), escape(course.part.participant), link]
                rows.append(f"<tr>{''.join(map(cell, cells))}{cell(_number(-strength, 2), kind='number')}</tr>")
    headings = [("emotion", ""), ("condition", ""), ("participant", ""), ("when", ""), ("probability", "number")]
    return f'<section class="long"><h2>Strongest moments</h2>{table(headings, rows)}</section>' if rows else ""


def _left_out(left: Sequence[LeftOut]) -> str:
    if not left:
        return ""
    rows = [f"<tr>{cell(one.what)}{cell(escape(one.name), kind='name')}{cell(escape(one.reason), kind='text')}</tr>"
            for one in left[:_MOST_LISTED]]  # fmt: skip
    more = f"<p class='faint'>and {len(left) - _MOST_LISTED} more: left_out.csv</p>" if len(left) > _MOST_LISTED else ""
    heads = [("what", ""), ("name", ""), ("why", "")]
    return f'<section class="long"><h2>Left out</h2>{table(heads, rows)}{more}</section>'
