"""``vidfer fuse``: timelines together with the scores that others read from voice or text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vidfer.commands import EXIT_OK
from vidfer.report.wording import count


def run(options: argparse.Namespace) -> int:
    """Write the fused timelines and say what was done."""
    from vidfer import study

    said = study.fuse(
        options.results, options.scores, options.out, weight=options.weight, learn=options.learn, pool=options.pool
    )
    for note in said["notes"]:
        print(f"vidfer: {note}", file=sys.stderr)
    if not options.quiet:
        if learnt := said["learnt"]:
            best = learnt["weights"].index(said["weight"])
            together, face, scores = (f"{learnt['accuracy'][k]:.1%}" for k in (best, 0, -1))
            print(f"weight {said['weight']:.2f}, learnt on {count(learnt['stretches'], 'labelled row')}:")
            print(f"accuracy there {together}, of the face alone {face}, of the scores alone {scores}")
        print(f"{count(len(said['clips']), 'clip')}: {Path(options.out) / 'CLIP'}")
    return EXIT_OK
