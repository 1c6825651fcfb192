"""``vidfer report``: write charts, pages and tables again, without opening a video."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from vidfer.commands import EXIT_FAILED, EXIT_OK
from vidfer.commands.exports import named_exports
from vidfer.engine.events import ClipDone, Event, ignore
from vidfer.engine.rerender import RerenderReport, rerender
from vidfer.report.wording import count, display_name


def run(options: argparse.Namespace) -> int:
    """Render finished clips again; exit code 1 if one of them could not be."""
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="vidfer: %(message)s")
    report = rerender(
        Path(options.out),
        exports=named_exports(options),
        clips=options.clip,
        align=options.align,
        chart=options.chart,
        chart_size=options.chart_size,
        thumbnails=options.thumbnails,
        people=Path(options.people) if options.people else None,
        on_event=ignore if options.quiet else _show,
    )
    for clip_id, problem in {**report.problems, **report.notes}.items():
        print(f"vidfer: {display_name(clip_id)}: {problem}", file=sys.stderr)
    for note in report.people_notes:
        print(f"vidfer: {note}", file=sys.stderr)
    if not options.quiet:
        print(_closing_lines(report))
    return EXIT_FAILED if report.problems else EXIT_OK


def _show(event: Event) -> None:
    if isinstance(event, ClipDone) and event.status == "ok":
        print(f"[{event.done}/{event.total}] {display_name(event.clip_id)}", file=sys.stderr, flush=True)


def _closing_lines(report: RerenderReport) -> str:
    lines = [f"{count(len(report.rendered), 'clip')} written from the cache"]
    if report.moved:
        names = ", ".join(display_name(name, longest=40) for name in report.moved[:5])
        more = f" and {len(report.moved) - 5} more" if len(report.moved) > 5 else ""
        lines.append(f"the video has moved since, so the page cannot play it: {names}{more}")
    lines.append(f"results: {report.out}   open {report.out / 'index.html'}")
    return "\n".join(lines)
