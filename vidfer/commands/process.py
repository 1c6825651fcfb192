"""``vidfer process``: the main job."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from vidfer.commands import EXIT_FAILED, EXIT_OK
from vidfer.commands.exports import check_exports, named_exports
from vidfer.commands.progress import Progress
from vidfer.config import PipelineConfig, load_pipeline, with_settings
from vidfer.engine.events import Event, EventCallback
from vidfer.engine.runner import RunOptions, RunReport
from vidfer.engine.runner import run as run_engine
from vidfer.errors import ConfigError, OutputError
from vidfer.report.wording import display_name, duration
from vidfer.store.journal import ClipRecord
from vidfer.video.find import find_videos

PICTURES = frozenset({"chart", "chart-svg", "chart-pdf", "report"})  # exporters that --no-plots leaves out
MAX_TABLE_ROWS = 20


def run(options: argparse.Namespace) -> int:
    """Process the clips that the command line names; see ``vidfer process --help``."""
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="vidfer: %(message)s")
    config = pipeline_of(options)
    out = Path(options.out)
    videos = find_videos(options.paths)
    run_options = RunOptions(
        force=options.force, retry_failed=options.retry_failed, executor=options.engine, address=options.address or ""
    )
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(len(videos), quiet=options.quiet))
        callbacks: list[EventCallback] = [progress.on_event]
        if options.events:
            callbacks.append(_event_writer(Path(options.events), stack))
        report = run_engine(videos, out, config, options=run_options, on_event=lambda e: _call_all(callbacks, e))
    if options.verbose:
        for clip_id, traceback in report.errors.items():
            print(f"--- {clip_id}\n{traceback}", file=sys.stderr)
    for note in report.notes:
        print(f"vidfer: {note}", file=sys.stderr)
    if not options.quiet:
        print(closing_table(report))
    return EXIT_FAILED if report.failed else EXIT_OK


def pipeline_of(options: argparse.Namespace) -> PipelineConfig:
    """Return the pipeline with the command line's settings over it.

    Raises
    ------
    ConfigError
        A setting is wrong, an exporter does not exist, or ``--no-plots`` contradicts what else is asked for.
    """
    flags = {
        "video.fps": options.fps,
        "video.decoder": options.decoder,
        "video.strict": "true" if options.strict else None,
        "run.device": options.device,
        "run.jobs": options.jobs,
        "people.which": options.people,
        "output.chart": options.chart,
        "output.chart_size": options.chart_size,
        "output.thumbnails": None if options.thumbnails is None else str(options.thumbnails).lower(),
    }
    settings = [f"{key}={value}" for key, value in flags.items() if value is not None]
    config = load_pipeline(options.pipeline, [*options.set, *settings])
    named = named_exports(options)
    exports: Sequence[str] = named or config.exports
    check_exports(exports)
    if options.no_plots:
        if options.chart or options.chart_size or options.thumbnails or PICTURES & set(named):
            raise ConfigError(
                "--no-plots: nothing is drawn: leave out --chart, --chart-size, --thumbnails and exports of pictures"
            )
        exports = [name for name in exports if name not in PICTURES]
    return with_settings(config, [f"output.exports={list(exports)!r}"])


def closing_table(report: RunReport) -> str:
    """Return the short table that a run ends with."""
    num_done = len(report.records) - len(report.failed)
    done = list(islice((record for record in report.records if record.status == "ok"), MAX_TABLE_ROWS))
    rows = [("clip", "mostly", "frames with a face", "faces", "time taken")]
    rows += [_row(record, cached=record.clip_id in report.cached) for record in done]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if not done:
        lines = []
    if num_done > len(done):
        lines.append(f"... and {num_done - len(done)} more: see summary.csv")
    if report.failed:
        lines.append(f"{len(report.failed)} of {len(report.records)} clips failed: see {report.out / 'failures.csv'}")
    lines.append(f"results: {report.out}   open {report.out / 'index.html'}")
    return "\n".join(lines)


def _row(record: ClipRecord, *, cached: bool) -> tuple[str, str, str, str, str]:
    summary = record.summary
    return (
        display_name(record.clip_id, longest=48),
        str(summary["dominant_emotion"] or "no face"),
        f"{summary['frames_with_face']} of {summary['sampled_frames']}",
        str(summary["num_faces"]),
        "cached" if cached else duration(record.seconds),
    )


def _call_all(callbacks: Sequence[EventCallback], event: Event) -> None:
    for callback in callbacks:
        callback(event)


def _event_writer(path: Path, stack: ExitStack) -> EventCallback:
    try:
        file = stack.enter_context(path.open("a"))
    except OSError as error:
        raise OutputError(f"--events {path}: cannot be written: {error.strerror}") from error

    def write(event: Event) -> None:
        file.write(json.dumps({"event": type(event).__name__, **asdict(event)}) + "\n")
        file.flush()

    return write
