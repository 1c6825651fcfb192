"""``vidfer export``: the networks for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path

from vidfer.commands import EXIT_OK
from vidfer.config import load_pipeline

BOTH = ("default", "live")  # without --pipeline: they share all networks but those over time


def run(options: argparse.Namespace) -> int:
    """Write the networks of a pipeline as ONNX files."""
    configs = [load_pipeline(name, options.set) for name in ([options.pipeline] if options.pipeline else BOTH)]
    from vidfer.export.networks import exportable_networks
    from vidfer.export.onnx import check_onnx, write_onnx

    check_onnx()
    networks = {n.name: n for config in configs for n in exportable_networks(config, mirror=options.mirror)}
    for network in networks.values():
        path = write_onnx(network, Path(options.out))
        if not options.quiet:
            print(path)
    return EXIT_OK
