"""``vidfer train``: make the networks that the package embeds, or your own."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from vidfer.commands import EXIT_OK
from vidfer.config import pipelines_folder
from vidfer.errors import ConfigError
from vidfer.training import find_training

LINE_EVERY_STEPS = 50  # in a log file


def run(options: argparse.Namespace) -> int:
    """Train by a recipe; the same command continues a run that was stopped."""
    from tqdm import tqdm

    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="vidfer: %(message)s")
    recipe = _recipe(options.recipe)
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    training = find_training(options.network)
    with tqdm(unit="step", disable=options.quiet or not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def show(done: int, total: int, figures: dict[str, float]) -> None:
            shown = {name: f"{value:.4g}" for name, value in figures.items()}
            if bar.disable and not options.quiet and done % LINE_EVERY_STEPS == 0:
                print(f"step {done} of {total}: {shown}", file=sys.stderr, flush=True)
            bar.total = total
            bar.set_postfix(shown, refresh=False)
            bar.update(done - bar.n)

        best = training(recipe, Path(options.data), Path(options.out), device=options.device, progress=show)
    if not options.quiet:
        print("best validation: " + ", ".join(f"{name} {value:.4g}" for name, value in best.items()))
        print(f"weights, log and checkpoint: {options.out}")
    return EXIT_OK


def _recipe(given: str) -> Path:
    for path in (Path(given), pipelines_folder() / "train" / f"{given}.toml"):
        if path.is_file():
            return path
    known = sorted(path.stem for path in (pipelines_folder() / "train").glob("*.toml"))
    raise ConfigError(f"--recipe {given}: no such file, nor one of vidfer's own recipes: {', '.join(known)}")
