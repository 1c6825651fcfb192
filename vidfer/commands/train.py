"""``vidfer train``: make the networks that the package embeds, or your own."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from vidfer.commands import EXIT_OK
from vidfer.commands.training_output import check_training_extra, find_recipe, own_recipes, print_best, steps_shown
from vidfer.errors import ConfigError
from vidfer.learning.training import find_training


def run(options: argparse.Namespace) -> int:
    """Train by a recipe; the same command continues a run that was stopped."""
    check_training_extra("vidfer train")
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="vidfer: %(message)s")
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    if options.manifest and options.network == "temporal":
        from vidfer.commands.corpus import train_on_manifest

        return train_on_manifest(options)
    if options.manifest and options.network not in ("emotion-cnn", "classical"):
        raise ConfigError(
            f"--manifest: emotion-cnn, classical and temporal learn from manifests; {options.network} takes --data"
        )
    if not options.recipe:
        raise ConfigError(f"--recipe is missing: give a file, or one of vidfer's own: {', '.join(own_recipes())}")
    if options.folds and not options.manifest:
        raise ConfigError("--folds needs --manifest: it says who is seen in each row")
    if options.root and not options.folds:
        raise ConfigError(f"--root: {options.network} takes paths from the folder of the manifest")
    recipe = find_recipe(options.recipe)
    training = find_training(options.network)

    def train(source: Path, out: Path) -> dict[str, float]:
        with steps_shown(quiet=options.quiet) as show:
            return training(recipe, source, out, device=options.device, progress=show)

    if options.folds:
        from vidfer.commands.folds import train_over_folds

        return train_over_folds(options, train)
    best = train(Path(options.data or options.manifest), Path(options.out))
    if not options.quiet:
        print_best(best, Path(options.out))
    return EXIT_OK
