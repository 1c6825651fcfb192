"""``vidfer sample``: a small video to try things on."""

from __future__ import annotations

import argparse
from pathlib import Path

from vidfer.commands import EXIT_OK
from vidfer.video.sample_clip import write_sample


def run(options: argparse.Namespace) -> int:
    """Write ``sample.mp4`` into the folder unless it is there."""
    path = Path(options.out) / "sample.mp4"
    if not path.is_file():
        write_sample(path)
    if not options.quiet:
        print(path)
    return EXIT_OK
