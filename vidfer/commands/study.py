"""``vidfer study``: conditions, events and statistics over finished clips."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vidfer.commands import EXIT_FAILED, EXIT_OK
from vidfer.report.wording import count, display_name

_MAX_SHOWN = 10


def run(options: argparse.Namespace) -> int:
    """Run ``study init``, ``run``, ``power`` or ``agree``."""
    return {"init": _init, "run": _run, "power": _power, "agree": _agree}[options.action](options)


def _init(options: argparse.Namespace) -> int:
    from vidfer.study import propose

    text = propose(options.folder, out=options.out)
    if not options.quiet:
        print("\n".join(line for line in text.splitlines() if line.startswith("# ")))
        print(f"{options.out}: look through it, then: vidfer study run RESULTS --study {options.out}")
    return EXIT_OK


def _run(options: argparse.Namespace) -> int:
    from vidfer import study

    found = study.run(options.results, options.study, out=options.out, exports=options.export)
    for one in found.left[:_MAX_SHOWN]:
        print(f"vidfer: left out: {one.what} {display_name(one.name)}: {one.reason}", file=sys.stderr)
    if len(found.left) > _MAX_SHOWN:
        print(f"vidfer: and {len(found.left) - _MAX_SHOWN} more: left_out.csv", file=sys.stderr)
    for note in found.notes:
        print(f"vidfer: {note}", file=sys.stderr)
    if not options.quiet:
        people = {recording.part.participant for recording in found.recordings}
        clips = {recording.part.clip for recording in found.recordings}
        conditions = ", ".join(map(display_name, found.conditions))
        print(f"{count(len(people), 'participant')}, {count(len(clips), 'clip')}; conditions: {conditions}")
        for why in sorted(set(found.tables["comparisons"]["refused"]) - {""}):
            print(f"no p-value: {why}")
        out = Path(options.out) if options.out else Path(options.results) / "study"
        print(f"open {out / 'study.html'}; for the paper: {out / 'methods.md'}, {out / 'pictures'}")
    return EXIT_OK


def _power(options: argparse.Namespace) -> int:
    from vidfer import study

    found = study.power(
        options.results,
        options.study,
        measure=options.measure,
        emotion=options.emotion,
        effect=options.effect,
        wanted=options.power,
    )
    in_each = "participants" if found.design == "paired" else "participants in each condition"
    if not options.quiet:
        print(f"{options.measure} of {options.emotion}, d = {options.effect:g}, from {found.pilot} {in_each}:")
        for number, reached in zip(found.participants, found.power, strict=True):
            print(f"{number:>5}  {reached:.1%}")
    if found.needed is None:
        print(f"more than {found.participants[-1]} {in_each} are needed for a power of {found.wanted:.0%}")
        return EXIT_FAILED
    print(f"{found.needed} {in_each} reach a power of {found.wanted:.0%}")
    return EXIT_OK


def _agree(options: argparse.Namespace) -> int:
    from vidfer import study

    out = options.out or Path(options.results) / "study"
    tables = study.agree(options.labels, options.results, options.study, tolerance_seconds=options.tolerance, out=out)
    if not options.quiet:
        for one in tables["agreement"].itertuples():
            interval = f" [{one.low:.2f}, {one.high:.2f}]" if one.low == one.low else ""
            what = f"{one.level}, {one.statistic.replace('_', ' ')}"
            print(f"{what}: {one.coders}: {one.value:.2f}{interval}, {count(one.units, 'unit')}")
        print(f"tables: {Path(out) / 'agreement.csv'}, confusion.csv")
    return EXIT_OK
