"""What all HTML pages share: the frame, the style, escaping. A page is one file that opens from disk, offline."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vidfer.labels import STATE_COLOURS
from vidfer.report.wording import display_name

CLIPS = "assets/clips.js"  # below the results folder: the clips that it holds, for links from page to page


def page(title: str, body: Iterable[str], *, scripts: Sequence[str] = ()) -> bytes:
    """Return a whole HTML file; ``body`` is markup, ``title`` is text, ``scripts`` are files beside this one."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>\n{_beside('page.css')}</style></head><body>",
        *body,
        *(f"<script>\n{_beside(name)}</script>" for name in scripts),
        "</body></html>\n",
    ]
    return "\n".join(parts).encode(errors="backslashreplace")


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


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


def number(markup: str, *, sort: object = None) -> str:
    """Return a table cell that holds a number."""
    return cell(markup, sort=sort, kind="number")


def row(*cells: str, attributes: str = "") -> str:
    """Return a table row of cells; ``attributes`` is markup."""
    return f"<tr{attributes}>{''.join(cells)}</tr>"


def table(headings: Sequence[tuple[str, str]], rows: Iterable[str], *, name: str = "") -> str:
    """Return a table from (heading, CSS class) pairs and ready-made rows."""
    head = "".join(f'<th scope="col" class="{kind}">{escape(text)}</th>' for text, kind in headings)
    identity = f' id="{name}"' if name else ""
    return f"<table{identity}><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def data_url(data: bytes, kind: str = "image/png") -> str:
    """Return the URL that is a file itself, for a page that holds its pictures."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def warnings_box(warnings: Sequence[Any]) -> str:
    """Return a box of warnings, nothing if there are none."""
    if not warnings:
        return ""
    return f'<section class="warn"><ul>{"".join(f"<li>{escape(text)}</li>" for text in warnings)}</ul></section>'
