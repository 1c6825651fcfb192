"""``vidfer export``: the networks for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path

from vidfer.commands import EXIT_OK
from vidfer.config import load_pipeline


def run(options: argparse.Namespace) -> int:
    """Write the networks of a pipeline as ONNX files."""
    config = load_pipeline(options.pipeline, options.set)
    from vidfer.export.networks import exportable_networks
    from vidfer.export.onnx import check_onnx, write_onnx

    check_onnx()
    for network in exportable_networks(config, mirror=options.mirror):
        path = write_onnx(network, Path(options.out))
        if not options.quiet:
            print(path)
    return EXIT_OK
