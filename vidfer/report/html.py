"""report.html: one clip on one self-contained page."""

from __future__ import annotations

import base64
import json
from typing import Any

from vidfer.report.chart import ChartImage, timeline_chart
from vidfer.report.page import cell, escape, page, percent, share_bar, swatch, table, warnings_box
from vidfer.report.summary import summarise
from vidfer.report.wording import clock, count, duration
from vidfer.types import ClipResult

# The video and the chart share one time: a click on either the chart or an episode seeks.
_SCRIPT = """
const video = document.querySelector('video'), chart = document.querySelector('.chart');
if (video) {
  const cursor = document.querySelector('.cursor'), axis = chart.dataset;
  const left = +axis.left, right = +axis.right, end = +axis.end;
  const show = () => {
    cursor.hidden = false;
    cursor.style.left = 100 * (left + (right - left) * Math.min(1, video.currentTime / end)) + '%';
  };
  const follow = () => { show(); if (!video.paused) requestAnimationFrame(follow); };
  const seek = seconds => { video.currentTime = Math.max(0, Math.min(end, seconds)); show(); };
  const failed = () => { document.querySelector('#no-video').hidden = false; video.hidden = true; cursor.hidden = true;
    chart.classList.remove('seekable'); document.querySelector('#keys').hidden = true; };
  video.addEventListener('play', follow);
  video.addEventListener('seeked', show);
  video.addEventListener('error', failed);
  if (video.error) failed();
  chart.addEventListener('click', event => {
    const box = chart.getBoundingClientRect();
    seek(end * ((event.clientX - box.left) / box.width - left) / (right - left));
  });
  for (const row of document.querySelectorAll('tr[data-seconds]')) {
    row.addEventListener('click', () => seek(+row.dataset.seconds));
    row.addEventListener('keydown', event => { if (event.key === 'Enter') seek(+row.dataset.seconds); });
  }
  document.addEventListener('keydown', event => {
    if (event.target === video || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === ' ') { video.paused ? video.play() : video.pause(); }
    else if (event.key === 'ArrowLeft') seek(video.currentTime - (event.shiftKey ? 0.1 : 1));
    else if (event.key === 'ArrowRight') seek(video.currentTime + (event.shiftKey ? 0.1 : 1));
    else return;
    event.preventDefault();
  });
}
"""


def render_report(clip: ClipResult, *, video_href: str | None = None) -> bytes:
    """Return the page of one clip.

    Parameters
    ----------
    clip
        The finished clip.
    video_href
        URL of the video that plays beside the chart; the page says so where the browser cannot play it. None leaves
        the player out.
    """
    summary = summarise(clip)
    chart = timeline_chart(clip, title=False)
    body = [
        f"<header><h1>{escape(clip.clip_id)}</h1><p class='facts'>{_facts(summary)}</p></header>",
        warnings_box(_warnings(summary)),
        f"<section>{_player(video_href)}{_chart(clip, chart, seekable=video_href is not None)}</section>",
        _emotions(summary),
        _faces(summary),
        _episodes(clip),
        _provenance(summary),
    ]
    return page(f"{clip.clip_id} – vidfer", body, script=_SCRIPT)


def _facts(summary: dict[str, Any]) -> str:
    seen = f"{summary['frames_with_face']:,} of {count(summary['sampled_frames'], 'sampled frame')} show a face"
    facts = [
        summary["video"],
        duration(summary["duration_seconds"] or 0.0),
        f"{summary['width']} × {summary['height']}, {summary['codec']}",
        seen,
        count(summary["num_faces"], "face"),
    ]
    if summary["dominant_emotion"]:
        facts.append(f"mostly {summary['dominant_emotion']}")
    return " · ".join(escape(fact) for fact in facts)


def _warnings(summary: dict[str, Any]) -> list[str]:
    decode, warnings = summary["decode"], list(summary["warnings"])
    if summary["truncated"]:
        decoded, expected = decode["decoded_frames"], decode["expected_frames"]
        warnings.insert(0, f"The video is damaged or ends early: {decoded:,} of {expected:,} frames could be read.")
    return warnings


def _player(video_href: str | None) -> str:
    if video_href is None:
        return ""
    return (
        f'<video class="no-print" src="{escape(video_href)}" controls preload="metadata"></video>'
        '<p id="no-video" class="faint no-print" hidden>The video cannot be played here: it was moved since, or this '
        "browser does not know its format. Everything else on this page is complete.</p>"
        '<p id="keys" class="faint no-print"><kbd>Space</kbd> plays, <kbd>←</kbd> <kbd>→</kbd> step a second '
        "(with <kbd>Shift</kbd> a tenth); click on the chart or an episode to go there.</p>"
    )


def _chart(clip: ClipResult, chart: ChartImage, *, seekable: bool) -> str:
    data = base64.b64encode(chart.png).decode()
    text = f"Probability of each emotion over time, per face, in {clip.clip_id}"
    return (
        f'<div class="chart{" seekable" if seekable else ""}" data-left="{chart.left:.5f}" '
        f'data-right="{chart.right:.5f}" data-end="{chart.end_seconds:.6f}">'
        f'<img src="data:image/png;base64,{data}" alt="{escape(text)}"><div class="cursor" hidden></div></div>'
    )


def _emotions(summary: dict[str, Any]) -> str:
    if not summary["num_faces"]:
        return ""
    rows = [
        "<tr>"
        + cell(swatch(name))
        + cell(percent(numbers["share_of_time"]), kind="number")
        + cell(percent(numbers["mean_probability"]), kind="number")
        + cell(str(numbers["episodes"]), kind="number")
        + cell(_peak(summary["peaks"].get(name)))
        + "</tr>"
        for name, numbers in summary["emotions"].items()
    ]
    headings = [
        *(("emotion", ""), ("share of time", "number"), ("mean probability", "number")),
        *(("episodes", "number"), ("strongest", "")),
    ]
    return f"<section><h2>Emotions</h2>{table(headings, rows)}</section>"


def _peak(peak: dict[str, Any] | None) -> str:
    if peak is None:
        return "–"
    return f"{clock(peak['seconds'], decimals=1)} (face {peak['face_id']}, {percent(peak['probability'])})"


def _faces(summary: dict[str, Any]) -> str:
    if not summary["num_faces"]:
        return "<section><h2>Faces</h2><p>No face was found in this clip.</p></section>"
    rows = [
        "<tr>"
        + cell(f"face {face['face_id']}")
        + cell(f"{clock(face['first_seconds'], decimals=1)} – {clock(face['last_seconds'], decimals=1)}")
        + cell(duration(face["seconds_on_screen"]), kind="number")
        + cell(percent(face["mean_quality"]), kind="number")
        + cell(swatch(face["dominant_emotion"]))
        + cell(share_bar({name: numbers["share_of_time"] for name, numbers in face["emotions"].items()}))
        + "</tr>"
        for face in summary["faces"]
    ]
    headings = [
        *(("face", ""), ("from – to", ""), ("seen for", "number"), ("mean quality", "number")),
        *(("mostly", ""), ("share of time", "")),
    ]
    return f'<section class="long"><h2>Faces</h2><div class="scroll">{table(headings, rows)}</div></section>'


def _episodes(clip: ClipResult) -> str:
    if not clip.segments:
        return ""
    rows = [
        f'<tr data-seconds="{segment.start_seconds:.6f}" tabindex="0">'
        + cell(f"face {segment.track_id}")
        + cell(swatch(segment.emotion))
        + cell(clock(segment.start_seconds, decimals=2), kind="number")
        + cell(clock(segment.end_seconds, decimals=2), kind="number")
        + cell(duration(segment.end_seconds - segment.start_seconds), kind="number")
        + cell(clock(segment.peak_seconds, decimals=2), kind="number")
        + cell(percent(segment.mean_probability), kind="number")
        + cell(percent(segment.peak_probability), kind="number")
        + "</tr>"
        for segment in clip.segments
    ]
    numbers = ("from", "to", "lasts", "peak at", "mean probability", "peak probability")
    headings = [("face", ""), ("emotion", ""), *((text, "number") for text in numbers)]
    return f'<section class="long"><h2>Episodes</h2><div class="scroll">{table(headings, rows)}</div></section>'


def _provenance(summary: dict[str, Any]) -> str:
    facts = {"fingerprint": summary["fingerprint"], "decode": summary["decode"], **summary["provenance"]}
    lines = json.dumps(facts, indent=2, ensure_ascii=False, default=str).splitlines()
    text = "\n".join(escape(line) for line in lines)
    heading = "<summary>How this was computed</summary>"
    return f'<section class="long"><details>{heading}<pre>{text}</pre></details></section>'
