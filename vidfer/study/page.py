"""study.html: one page with the pictures, the comparisons and links to the moments that matter."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from vidfer.labels import EMOTIONS
from vidfer.report.page import cell, data_url, escape, number, page, row, swatch, table, warnings_box
from vidfer.report.wording import clock, count
from vidfer.study.assignment import LeftOut
from vidfer.study.measures import words_of
from vidfer.study.recordings import Recording

if TYPE_CHECKING:
    import pandas as pd

    from vidfer.study.analysis import Study

_EFFECTS = {"hedges_g": "Hedges’ g", "hedges_g_z": "Hedges’ g_z"}
_STRONGEST = 3  # moments of each emotion and condition, each of another clip
_MAX_LISTED = 50


def render_page(
    study: Study, pictures: Mapping[str, tuple[str, bytes]], *, folders: Mapping[str, Path], out: Path
) -> bytes:
    """Return the page.

    Parameters
    ----------
    pictures
        By name: what stands above the picture, and an SVG.
    folders
        Each clip's folder, for links to its report relative to ``out``.
    """
    recordings, title = study.recordings, study.settings.study.title or "Study"
    people = {recording.part.participant for recording in recordings}
    clips = {recording.part.clip for recording in recordings}
    seconds = clock(sum(float(recording.step.sum()) for recording in recordings))
    facts = f"{count(len(people), 'participant')}, {count(len(clips), 'clip')}, {seconds} with the face in view"
    facts += f"; conditions: {', '.join(study.conditions)}"
    body = [
        f"<header><h1>{escape(title)}</h1><p class='facts'>{escape(facts)}</p></header>",
        warnings_box(study.notes),
        *(_picture(heading, svg) for heading, svg in pictures.values()),
        _comparisons(study.tables["comparisons"]),
        _clusters(study.tables["clusters"]) if "clusters" in study.tables else "",
        _moments(recordings, study.conditions, folders, out),
        _left_out(study.left),
        "<p class='faint'>Tables: <a href='participants.csv'>participants.csv</a>, <a href='comparisons.csv'>"
        "comparisons.csv</a>, <a href='clips.csv'>clips.csv</a>; what their columns mean: <a href='columns.csv'>"
        "columns.csv</a>. For the paper: <a href='methods.md'>methods.md</a>, <a href='pictures/'>pictures</a>.</p>",
    ]
    return page(f"{title} – vidfer", body)


def _picture(heading: str, svg: bytes) -> str:
    return (
        f"<section><h2>{escape(heading)}</h2><img class='picture' style='max-width:1100px' alt='{escape(heading)}' "
        f"src='{data_url(svg, 'image/svg+xml')}'></section>"
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
        ]
        rows.append(row(*cells, *map(number, (n, f"{_number(one['difference'])} {interval}", effect, p))))
    headings = [("measure", ""), ("emotion", ""), ("compared", ""), ("n", "number"), ("difference", "number")]
    headings += [(_EFFECTS[comparisons["effect"].iat[0]], "number"), ("p, corrected", "number")]
    refused = sorted(set(comparisons["refused"]) - {""})
    why = f"<p class='faint'>Refused: {escape('; '.join(refused))}.</p>" if refused else ""
    return f'<section class="long"><h2>Comparisons</h2>{table(headings, rows)}{why}</section>'


def _clusters(clusters: pd.DataFrame) -> str:
    if clusters.empty:
        return ""
    rows = [
        row(
            cell(escape(one["type"])),
            cell(swatch(one["emotion"])),
            cell(escape(f"{one['condition']} − {one['reference']}")),
            number(f"{_number(one['from_seconds'], 1)} to {_number(one['to_seconds'], 1)} s"),
            number(_number(one["p"])),
        )
        for one in clusters.sort_values(["p", "type"], kind="stable").head(_MAX_LISTED).to_dict("records")
    ]
    headings = [("event", ""), ("emotion", ""), ("compared", ""), ("from the onset", "number"), ("p", "number")]
    return f'<section class="long"><h2>Around events, over time</h2>{table(headings, rows)}</section>'


def _moments(recordings: Sequence[Recording], conditions: Sequence[str], folders: Mapping[str, Path], out: Path) -> str:
    """Return links to the strongest episodes of each emotion and condition."""
    import pandas as pd

    moments = pd.DataFrame(
        [
            (EMOTIONS[int(label)], one.part.condition, one.part.participant, one.part.clip, peak, strength)
            for one in recordings
            for (label, _, _, peak), strength in zip(one.episodes.tolist(), one.strength.tolist(), strict=True)
        ],
        columns=["emotion", "condition", "participant", "clip", "seconds", "strength"],
    )
    order = {"emotion": EMOTIONS, "condition": conditions}
    moments = moments.assign(**{name: pd.Categorical(moments[name], of) for name, of in order.items()})
    moments = moments[moments["emotion"] != "neutral"]
    moments = moments.sort_values(
        ["emotion", "condition", "strength", "clip", "seconds"], ascending=[True, True, False, True, True]
    )
    moments = moments.drop_duplicates(["emotion", "condition", "clip"])
    rows = []
    for one in moments.groupby(["emotion", "condition"], observed=True).head(_STRONGEST).itertuples():
        report = folders[one.clip] / "report.html"
        place = quote(os.path.relpath(report, out), safe="/") + f"#t={one.seconds:.3f}"
        name = f"{escape(one.clip)} {clock(one.seconds, decimals=1)}"
        link = f"<a href='{place}'>{name}</a>" if report.is_file() else name
        cells = [swatch(one.emotion), escape(one.condition), escape(one.participant), link]
        rows.append(row(*map(cell, cells), number(_number(one.strength, 2))))
    headings = [("emotion", ""), ("condition", ""), ("participant", ""), ("when", ""), ("probability", "number")]
    return f'<section class="long"><h2>Strongest moments</h2>{table(headings, rows)}</section>' if rows else ""


def _left_out(left: Sequence[LeftOut]) -> str:
    if not left:
        return ""
    rows = [
        row(cell(one.what), cell(escape(one.name), kind="name"), cell(escape(one.reason), kind="text"))
        for one in left[:_MAX_LISTED]
    ]
    more = f"<p class='faint'>and {len(left) - _MAX_LISTED} more: left_out.csv</p>" if len(left) > _MAX_LISTED else ""
    heads = [("what", ""), ("name", ""), ("why", "")]
    return f'<section class="long"><h2>Left out</h2>{table(heads, rows)}{more}</section>'
