"""``vidfer evaluate``: how good a per-frame network is on labelled faces."""

from __future__ import annotations

import argparse
from pathlib import Path

from vidfer.commands import EXIT_OK


def run(options: argparse.Namespace) -> int:
    """Print the figures of a split of FER+ and write metrics.json, confusion.png and reliability.png."""
    from vidfer.backbones.load import load_backbone
    from vidfer.device import pick_device
    from vidfer.evaluation.faces import evaluate_ferplus

    network = load_backbone(options.backbone, device=pick_device(options.device), weights=options.weights)
    found = evaluate_ferplus(network, Path(options.data), options.split)
    for protocol, figures in found.items():
        figures.write(Path(options.out) / protocol)
        if not options.quiet:
            classes = figures.classification
            print(
                f"{options.split}, {protocol}: {classes.samples} faces, accuracy {classes.accuracy:.2%}, "
                f"mean recall (UAR) {classes.uar:.2%}, macro F1 {classes.macro_f1:.3f}, "
                f"calibration error {figures.calibration.ece:.2%}"
            )
    if not options.quiet:
        print(f"figures: {options.out}")
    return EXIT_OK
