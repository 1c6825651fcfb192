"""``vidfer train``: make the networks that the package embeds, or your own."""

from __future__ import annotations

import argparse
import importlib
import logging
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vidfer.commands import EXIT_OK
from vidfer.config import pipelines_folder
from vidfer.errors import ConfigError, MissingDependency
from vidfer.learning.training import find_training

LINE_EVERY_STEPS = 50  # in a log file
ProgressCallback = Callable[[int, int, dict[str, float]], None]


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
    if options.manifest and options.network != "emotion-cnn":
        raise ConfigError(f"--manifest: emotion-cnn and temporal learn from manifests; {options.network} takes --data")
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


def check_training_extra(command: str) -> None:
    """Raise MissingDependency now where scikit-learn lacks: the figures need it only after minutes of work."""
    try:
        importlib.import_module("sklearn")
    except ImportError as error:
        raise MissingDependency("scikit-learn", needed_for=command, extra="train", detail=str(error)) from error


@contextmanager
def steps_shown(*, quiet: bool) -> Iterator[ProgressCallback]:
    """Give a callback that shows a training's steps: a bar on a terminal, lines in a log file."""
    from tqdm import tqdm

    with tqdm(unit="step", disable=quiet or not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def show(done: int, total: int, figures: dict[str, float]) -> None:
            shown = {name: figure_text(value) for name, value in figures.items()}
            if bar.disable and not quiet and done % LINE_EVERY_STEPS == 0:
                print(f"step {done} of {total}: {shown}", file=sys.stderr, flush=True)
            bar.total = total
            bar.set_postfix(shown, refresh=False)
            bar.update(done - bar.n)

        yield show


def print_best(best: dict[str, float], out: Path) -> None:
    """Print what a training ends with."""
    print("best validation: " + ", ".join(f"{name} {figure_text(value)}" for name, value in best.items()))
    print(f"weights, log and checkpoint: {out}")


def figure_text(value: float, form: str = ".4g") -> str:
    """Return a figure for people; one that cannot be measured is NaN and reads ``none``."""
    return "none" if math.isnan(value) else format(value, form)


def find_recipe(given: str) -> Path:
    """Return the file of a recipe given by path or by the name of one of vidfer's own."""
    for path in (Path(given), pipelines_folder() / "train" / f"{given}.toml"):
        if path.is_file():
            return path
    raise ConfigError(f"--recipe {given}: no such file, nor one of vidfer's own recipes: {', '.join(own_recipes())}")


def own_recipes() -> list[str]:
    """Return the sorted names of the recipes that come with vidfer."""
    return sorted(path.stem for path in (pipelines_folder() / "train").glob("*.toml"))
