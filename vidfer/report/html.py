"""report.html: one clip on one self-contained page."""

from __future__ import annotations

import json
from typing import Any

from vidfer.labels import EMOTION_COLOURS, EMOTIONS, UNSURE, WRONG
from vidfer.people.by_person import by_person
from vidfer.report.chart import timeline_chart
from vidfer.report.chart_options import ApexFrame, ChartOptions
from vidfer.report.page import (
    CLIPS,
    cell,
    data_url,
    escape,
    number,
    page,
    percent,
    row,
    swatch,
    table,
    warnings_box,
)
from vidfer.report.people_section import people_data, people_section
from vidfer.report.png import full_colour_png
from vidfer.report.report_data import report_data, script_json
from vidfer.report.wording import clock, count, duration, ends_early, people
from vidfer.timeline.series import main_faces
from vidfer.timeline.summary import summarise
from vidfer.types import ClipResult, VideoInfo

BAND_EXPLAINED = (
    "The band around a line reaches to what the network says of each frame alone. It is wide where the value hangs on "
    "the frames around it; it is no interval of confidence."
)


def render_report(
    clip: ClipResult,
    *,
    video_href: str | None = None,
    up: str = "",
    plotly: str = "",
    options: ChartOptions | None = None,
) -> bytes:
    """Return the page of one clip.

    Parameters
    ----------
    clip
        The finished clip.
    video_href
        URL of the video that plays beside the chart; the page says so where the browser cannot play it. None leaves
        the player out.
    up
        Leads from the page's folder to the results folder, e.g. ``../``.
    plotly
        plotly.min.js below the results folder; without it, or where it is not found, the page shows a still chart.
    options
        How the chart is drawn, and the faces that stand below it.
    """
    options = options or ChartOptions()
    summary, whole = summarise(clip), clip
    clip = by_person(clip)
    with_video = video_href is not None
    data = report_data(clip, with_overlay=with_video, style=options.style, lanes=options.lanes)
    data |= {"people": people_data(whole)}
    body = [
        f'<nav class="no-print" data-up="{escape(up)}" data-clip="{escape(clip.clip_id)}" hidden></nav>',
        f"<header><h1>{escape(clip.clip_id)}</h1><p class='facts'>{_facts(summary)}</p></header>",
        warnings_box(_warnings(summary)),
        f'<section class="viewer{" with-video" if with_video else ""}">{_player(clip, data, video_href)}'
        f"{_chart(clip, options)}</section>",
        _labels(),
        _apexes(clip, options),
        _episodes(clip),
        _emotions(clip, summary),
        people_section(whole, summary, options),
        _provenance(summary),
        f'<script type="application/json" id="data">{script_json(data)}</script>',
        f'<script src="{escape(up + CLIPS)}"></script>',
        f'<script src="{escape(up + plotly)}"></script>' if plotly else "",
    ]
    return page(f"{clip.clip_id} – vidfer", body, scripts=("report.js", "labels.js", "people.js"))


def _facts(summary: dict[str, Any]) -> str:
    seen = f"{summary['frames_with_face']:,} of {count(summary['sampled_frames'], 'sampled frame')} show a face"
    facts = [
        summary["video"],
        duration(summary["duration_seconds"] or 0.0),
        f"{summary['width']} × {summary['height']}, {summary['codec']}",
        seen,
        people(summary["num_people"]),
    ]
    if summary["num_people_left_out"]:
        facts.append(f"{summary['num_people_left_out']:,} left out")
    if summary["dominant_emotion"]:
        facts.append(f"mostly {summary['dominant_emotion']}")
    return " · ".join(escape(fact) for fact in facts)


def _warnings(summary: dict[str, Any]) -> list[str]:
    decode, warnings = summary["decode"], list(summary["warnings"])
    if summary["truncated"]:
        warnings.insert(0, ends_early(decode["decoded_frames"], decode["expected_frames"]))
    return warnings


def _turned(info: VideoInfo) -> str:
    """Return the style that shows the video as it was looked at, where its file does not say which way up it is."""
    if not info.turned_degrees:
        return ""
    if info.turned_degrees == 180:
        return ' style="transform:rotate(180deg)"'
    width, height = 100 * info.height / info.width, 100 * info.width / info.height  # % of the page's frame around it
    return (
        f' style="inset:auto;left:50%;top:50%;width:{width:.4f}%;height:{height:.4f}%;'
        f'transform:translate(-50%,-50%) rotate({info.turned_degrees}deg)"'
    )


def _player(clip: ClipResult, data: dict[str, Any], video_href: str | None) -> str:
    """Return the video with a canvas over it, and the switches."""
    if video_href is None:
        return f'<div id="player">{_switches(data, layers=False)}</div>'
    width, height = clip.info.width, clip.info.height
    stage = (
        f'<div class="stage no-print" style="max-width:calc(var(--tallest) * {width / height:.4f});'
        f'aspect-ratio:{width}/{height}"><video{_turned(clip.info)} controls preload="auto" playsinline>'
        f'<source src="{escape(video_href)}"><source src="overlay_blurred.mp4"></video>'
        "<canvas></canvas></div>"
    )
    return (
        f'<div id="player">{stage}'
        '<p id="no-video" class="faint no-print" hidden>The video cannot be played here: it was moved since, or this '
        "browser does not know its format. Everything else on this page is complete.</p>"
        f"{_switches(data, layers=True)}"
        '<p id="keys" class="faint no-print"><kbd>Space</kbd> plays, <kbd>←</kbd> <kbd>→</kbd> step a second '
        "(with <kbd>Shift</kbd> a tenth), <kbd>1</kbd>… faces, <kbd>B</kbd> boxes, <kbd>L</kbd> landmarks, "
        "<kbd>A</kbd> stacked areas. Click on the chart or an episode to go there; drag on the chart to zoom, "
        "double-click to see all.</p></div>"
    )


def _switches(data: dict[str, Any], *, layers: bool) -> str:
    def switch(text: str, attributes: str, *, on: bool = True) -> str:
        return f'<label><input type="checkbox" {"checked " if on else ""}{attributes}> {text}</label>'

    faces = "".join(switch(escape(face["label"]), f'value="{face["id"]}"', on=face["drawn"]) for face in data["faces"])
    boxes = switch("boxes", 'id="show-boxes"') + switch("landmarks", 'id="show-landmarks"')
    over_video = f'<span id="layers">{boxes}</span>' if layers else ""
    stacked = switch("stacked", 'id="show-areas"', on=data["stacked"]) if data["faces"] else ""
    lanes = switch("movements", 'id="show-lanes"', on=data["lanes_on"]) if data["faces"] and "lanes" in data else ""
    return f'<div class="switches no-print"><span id="faces">{faces}</span>{over_video}{stacked}{lanes}</div>'


def _chart(clip: ClipResult, options: ChartOptions) -> str:
    """Return the place of the live chart, and the still one that stands there until it is drawn, and in print."""
    chart = timeline_chart(clip, title=False, options=ChartOptions(style=options.style, lanes=options.lanes))
    text = f"Probability of each emotion over time, per face, in {clip.clip_id}"
    still = f'<img id="still" src="{data_url(chart.png)}" alt="{escape(text)}">'
    return (
        f'<div class="chart"><div id="plot">{still}<div id="chart" hidden></div><div id="cursor" hidden></div></div>'
        f'<p id="band" class="faint" hidden>{BAND_EXPLAINED}</p>{_left_out(clip)}</div>'
    )


def _left_out(clip: ClipResult) -> str:
    """Return what is said of faces that the chart does not show at first."""
    shown, hidden = main_faces(clip)
    if not hidden:
        return ""
    return (
        f'<p class="faint">{len(shown)} of {len(shown) + len(hidden)} people are drawn, those seen longest. '
        '<span class="no-print">Switch others on above; all are in the table of people below.</span></p>'
    )


def _labels() -> str:
    """Return where people mark stretches and say what they see: see labels.js."""
    options = "".join(f"<option>{name}</option>" for name in (*EMOTIONS, WRONG))
    times = [("from", "number"), ("to", "number")]
    headings = [("", "number"), ("label", ""), *times, ("intensity", ""), ("annotator", "")]
    keys = "<kbd>M</kbd> begins and ends a stretch, <kbd>,</kbd> <kbd>.</kbd> choose its label, <kbd>U</kbd> undoes, "
    return (
        '<section class="no-print"><details id="label-section"><summary>Label what you see</summary>'
        f'<p class="faint">{keys}<kbd>S</kbd> saves labels.csv, which <code>vidfer study agree</code> and <code>vidfer '
        "evaluate --manifest</code> read; wrong says that vidfer's label is.</p><p>"
        f'<label>label <select id="label-choice">{options}</select></label> '
        '<label>intensity <input id="label-intensity" type="number" step="any" style="width:5rem"></label> '
        '<label>annotator <input id="label-annotator" value="me" style="width:8rem"></label> '
        '<button id="label-mark">mark</button> <button id="label-undo">undo</button> '
        '<button id="label-save" disabled>save labels.csv</button></p><p id="label-state"></p>'
        + table(headings, ()).replace("<tbody>", '<tbody id="label-rows">')
        + "</details></section>"
    )


def _apexes(clip: ClipResult, options: ChartOptions) -> str:
    """Return the faces at the peaks of episodes, each a button that goes there."""
    if options.note:
        return f'<section class="warn">{escape(options.note)}</section>'
    if not options.apexes:
        return ""
    buttons = "".join(_apex(apex, clip.label(apex.track_id)) for apex in options.apexes)
    return f'<section><h2>Strongest moments</h2><div class="apexes">{buttons}</div></section>'


def _apex(apex: ApexFrame, who: str) -> str:
    picture = data_url(full_colour_png(apex.picture))
    return (
        f'<button data-seconds="{apex.seconds:.6f}" data-face="{apex.track_id}">'
        f'<img src="{picture}" alt="" style="border-color:{EMOTION_COLOURS[apex.emotion]}">'
        f"{escape(apex.emotion)}<br>{clock(apex.seconds, decimals=1)}, {escape(who)}</button>"
    )


def _emotions(clip: ClipResult, summary: dict[str, Any]) -> str:
    if not summary["num_people"]:
        return ""
    rows = [
        row(
            cell(swatch(name)),
            number(percent(numbers["share_of_time"])),
            number(percent(numbers["mean_probability"])),
            number(str(numbers["episodes"])),
            _peak(clip, summary["peaks"].get(name)),
        )
        for name, numbers in summary["emotions"].items()
    ]
    unsure = number(percent(summary["unsure_share_of_time"]))
    rows.append(row(cell(swatch(UNSURE)), unsure, number("–"), number("–"), cell("–")))
    headings = [
        *(("emotion", ""), ("share of time", "number"), ("mean probability", "number")),
        *(("episodes", "number"), ("strongest", "")),
    ]
    return f"<section><h2>Emotions</h2>{table(headings, rows, name='emotions')}</section>"


def _peak(clip: ClipResult, peak: dict[str, Any] | None) -> str:
    if peak is None:
        return cell("–")
    when, who = clock(peak["seconds"], decimals=1), escape(clip.label(peak["person"]))
    return f'<td data-person="{peak["person"]}">{when} ({who}, {percent(peak["probability"])})</td>'


def _episodes(clip: ClipResult) -> str:
    if not clip.segments:
        return ""
    rows = [
        row(
            cell(escape(clip.label(segment.track_id))),
            cell(swatch(segment.emotion)),
            number(clock(segment.start_seconds, decimals=2)),
            number(clock(segment.end_seconds, decimals=2)),
            number(duration(segment.end_seconds - segment.start_seconds)),
            number(clock(segment.peak_seconds, decimals=2)),
            number(percent(segment.mean_probability)),
            number(percent(segment.peak_probability)),
            attributes=f' data-seconds="{segment.start_seconds:.6f}" data-face="{segment.track_id}" tabindex="0"',
        )
        for segment in clip.segments
    ]
    numbers = ("from", "to", "lasts", "peak at", "mean probability", "peak probability")
    headings = [("person", ""), ("emotion", ""), *((text, "number") for text in numbers)]
    return f'<section class="long"><h2>Episodes</h2><div class="scroll">{table(headings, rows)}</div></section>'


def _provenance(summary: dict[str, Any]) -> str:
    facts = {"fingerprint": summary["fingerprint"], "decode": summary["decode"], **summary["provenance"]}
    lines = json.dumps(facts, indent=2, ensure_ascii=False, default=str).splitlines()
    text = "\n".join(escape(line) for line in lines)
    heading = "<summary>How this was computed</summary>"
    return f'<section class="long"><details>{heading}<pre>{text}</pre></details></section>'
