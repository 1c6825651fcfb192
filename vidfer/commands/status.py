"""``vidfer status``: what is done, stale or failed in a results folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vidfer.commands import EXIT_FAILED, EXIT_OK
from vidfer.engine.status import ClipStatus, read_status
from vidfer.store.journal import MANY_CLIPS


def run(options: argparse.Namespace) -> int:
    """Print one line per clip; exit code 1 if some clip failed."""
    clips = read_status(Path(options.out), check=options.check)
    if options.json:
        print(json.dumps([{"clip": clip.clip_id, **clip.stages, "note": clip.note} for clip in clips], indent=1))
    elif not options.quiet:
        print(_table(clips))
        if len(clips) > MANY_CLIPS and not options.check:
            print(f"{len(clips):,} clips, by the journal: --check looks at every file of theirs")
    return EXIT_FAILED if any("failed" in clip.stages.values() for clip in clips) else EXIT_OK


def _table(clips: list[ClipStatus]) -> str:
    stages = tuple(clips[0].stages) if clips else ()
    header = ("clip", *stages, "note")
    rows = [header, *((clip.clip_id, *(clip.stages[name] for name in stages), clip.note) for clip in clips)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    line = "  ".join(f"%-{width}s" for width in widths)
    return "\n".join([(line % row).rstrip() for row in rows])
