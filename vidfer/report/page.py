"""What all HTML pages share: the frame, the style, escaping. A page is one file that opens from disk, offline."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vidfer.labels import STATE_COLOURS
from vidfer.report.wording import display_name

CLIPS = "assets/clips.js"  # below the results folder: the clips that it holds, for links from page to page
STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --faint: #5f6670; --line: #dfe3e8; --edge: #dfe3e8; --card: #ffffff;
  --page: #f5f6f8; --link: #0b5cad; --warn: #8a3b00; --warn-bg: #fff3e6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --faint: #a3a9b2; --line: #3a3f46; --edge: #7b828c;
  --card: #22262b; --page: #16181b; --link: #8ab8ee; --warn: #ffc48a; --warn-bg: #3a2a1a; } }
* { box-sizing: border-box; } [hidden] { display: none !important; }
body { margin: 0 auto; padding: 1.5rem; max-width: 1480px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
a { color: var(--link); } .faint { color: var(--faint); } .facts { color: var(--faint); margin: 0 0 1rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.2rem;
  margin: 0 0 1rem; overflow-x: auto; }
.warn { background: var(--warn-bg); color: var(--warn); border-color: currentColor; }
.warn ul { margin: 0; padding-left: 1.1rem; }
.scroll { overflow: auto; max-height: 32rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; white-space: nowrap; padding: .32rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th:first-child, td:first-child { padding-left: 0; } th:last-child, td:last-child { padding-right: 0; }
th { font-weight: 600; color: var(--faint); position: sticky; top: 0; background: var(--card); }
td.number, th.number { text-align: right; } td.name { overflow-wrap: anywhere; min-width: 10rem; }
td.name, td.text { white-space: normal; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid var(--link); }
th[aria-sort=ascending] button::after { content: " ▲"; } th[aria-sort=descending] button::after { content: " ▼"; }
.emotion { white-space: nowrap; }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .45em;
  outline: 1px solid var(--edge); }
.bar, .sparkline { outline: 1px solid var(--edge); border-radius: 3px; background: var(--line); }
.bar { display: flex; height: .8rem; margin-top: .35rem; min-width: 6rem; overflow: hidden; }
.bar span { display: block; }
.sparkline { display: block; width: 9rem; height: 2.2rem; }
img.picture { display: block; width: 100%; background: #fff; border-radius: 4px; }
.viewer.with-video { display: grid; grid-template-columns: minmax(280px, 2fr) 3fr; gap: 1.2rem; align-items: start; }
.viewer { overflow: visible; } #player { position: sticky; top: .5rem; min-width: 0; }
nav { display: flex; gap: 1.2rem; margin: 0 0 .6rem; }
@media (max-width: 1000px) { .viewer.with-video { display: block; } #player { position: static; margin-bottom: 1rem; } }
@media (max-width: 600px) { body { padding: .7rem; } section { padding: .8rem .7rem; } td.name { min-width: 7rem; }
  #clips :is(th, td):is(:nth-child(2), :nth-child(3), :nth-child(4), :nth-child(6), :nth-child(8)) { display: none; } }
@media (hover: none) { #keys { display: none; } }
.stage { position: relative; margin: 0 auto .6rem; background: #000; border-radius: 4px; overflow: hidden; }
.stage video, .stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.stage canvas { pointer-events: none; }
.switches { display: flex; flex-wrap: wrap; gap: .2rem 1.6rem; } .switches span { display: contents; }
.switches label { cursor: pointer; white-space: nowrap; } #keys { font-size: .85rem; margin: .6rem 0 0; }
.chart { min-width: 0; } #band { font-size: .85rem; margin: .5rem 0 0; }
#plot { position: relative; background: #fff; border-radius: 4px; cursor: crosshair; }
#plot:has(#chart:not([hidden])) { background: var(--card); }
#plot img { display: block; width: 100%; height: auto; }
.apexes { display: flex; flex-wrap: wrap; gap: .8rem; }
.apexes button { all: unset; cursor: pointer; font-size: .8rem; line-height: 1.3; text-align: center; }
.apexes button:focus-visible { outline: 2px solid var(--link); }
.apexes img { display: block; width: 92px; height: 92px; border: 3px solid; border-radius: 4px; margin: 0 auto .2rem; }
.portraits { display: flex; flex-wrap: wrap; gap: .8rem; margin: 0 0 .8rem; }
.portraits figure { margin: 0; width: 92px; }
.portraits img { display: block; width: 92px; height: 92px; border-radius: 4px; }
.portraits figcaption { font-size: .8rem; text-align: center; overflow-wrap: anywhere; }
.left-out { color: var(--faint); } .left-out :is(img, .bar, .swatch) { filter: grayscale(1); opacity: .55; }
#people-editor { margin-top: .8rem; } #people-editor :is(button, select, input) { font: inherit; }
#people-editor input:not([type]) { width: 11rem; max-width: 100%; }
#cursor { position: absolute; width: 2px; margin-left: -1px; background: #d00;
  pointer-events: none; z-index: 2; }
tr[data-seconds] { cursor: pointer; } tr[data-seconds]:hover, tr[data-seconds]:focus { background: var(--page); }
pre { overflow: auto; font-size: 12.5px; margin: .6rem 0 0; } summary { cursor: pointer; font-weight: 600; }
kbd { border: 1px solid var(--line); border-radius: 3px; padding: 0 .3em; font-size: .85em; }
@media print { :root { --ink: #000; --faint: #444; --card: #fff; --page: #fff; --line: #ccc; --edge: #ccc; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { max-width: none; padding: 0; font-size: 12px; } .scroll { max-height: none; overflow: visible; }
  section { break-inside: avoid-page; border: 0; padding: 0; overflow: visible; } section.long { break-inside: auto; }
  .no-print, #cursor, #chart { display: none !important; } #still { display: block !important; }
  .viewer.with-video { display: block; } h2 { break-after: avoid-page; } tr, .apexes button { break-inside: avoid; }
  th, td { padding: .2rem .35rem; } th { position: static; } .sparkline { width: 6rem; } .bar { min-width: 4.5rem; }
  td.name { min-width: 6rem; } }
"""


def page(title: str, body: Iterable[str], *, script: str = "") -> bytes:
    """Return a whole HTML file; ``body`` is markup, ``title`` is text."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        *body,
        f"<script>{script}</script>" if script else "",
        "</body></html>\n",
    ]
    return "\n".join(parts).encode(errors="backslashreplace")


def escape(value: object) -> str:
    """Return text fit for markup and for quoted attributes."""
    return html.escape(display_name(str(value)), quote=True)


def swatch(emotion: str) -> str:
    """Return an emotion's name beside its colour."""
    colour = STATE_COLOURS.get(emotion, "#888888")
    return f'<span class="emotion"><span class="swatch" style="background:{colour}"></span>{escape(emotion)}</span>'


def share_bar(shares: Mapping[str, float | None]) -> str:
    """Return a bar of the shares of time per emotion, with the numbers as its text."""
    known = {name: share for name, share in shares.items() if share}
    text = ", ".join(f"{name} {percent(share)}" for name, share in known.items()) or "no face seen"
    pieces = "".join(
        f'<span style="width:{share * 100:.2f}%;background:{STATE_COLOURS.get(name, "#888888")}"></span>'
        for name, share in known.items()
    )
    return f'<div class="bar" role="img" title="{escape(text)}" aria-label="{escape(text)}">{pieces}</div>'


def percent(share: float | None) -> str:
    """Return a share as a percentage, – where there is none."""
    return "–" if share is None else f"{share * 100:.1f} %" if 0 < share < 0.0995 else f"{share * 100:.0f} %"


def cell(markup: str, *, sort: object = None, kind: str = "") -> str:
    """Return a table cell of markup; ``sort`` is what sorting compares, ``kind`` its CSS class."""
    attributes = f' class="{kind}"' if kind else ""
    attributes += "" if sort is None else f' data-sort="{escape(sort)}"'
    return f"<td{attributes}>{markup}</td>"


def table(headings: Sequence[tuple[str, str]], rows: Iterable[str], *, name: str = "") -> str:
    """Return a table from (heading, CSS class) pairs and ready-made rows."""
    head = "".join(f'<th scope="col" class="{kind}">{escape(text)}</th>' for text, kind in headings)
    identity = f' id="{name}"' if name else ""
    return f"<table{identity}><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def warnings_box(warnings: Sequence[Any]) -> str:
    """Return a box of warnings, nothing if there are none."""
    if not warnings:
        return ""
    return f'<section class="warn"><ul>{"".join(f"<li>{escape(text)}</li>" for text in warnings)}</ul></section>'
