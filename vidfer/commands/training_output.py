"""What commands share that train and measure: recipes by name, steps as they are shown, figures as text."""

from __future__ import annotations

import importlib
import logging
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vidfer.config import pipelines_folder
from vidfer.errors import ConfigError, MissingDependency

LINE_EVERY_STEPS = 50  # in a log file
ProgressCallback = Callable[[int, int, dict[str, float]], None]


def check_training_extra(command: str) -> None:
    """Raise MissingDependency now where scikit-learn lacks: the figures need it only after minutes of work."""
    try:
        importlib.import_module("sklearn")
    except ImportError as error:
        raise MissingDependency("scikit-learn", needed_for=command, extra="train", detail=str(error)) from error


@contextmanager
def steps_shown(*, quiet: bool) -> Iterator[ProgressCallback]:
    """Give a callback that shows a training's steps: a bar on a terminal, lines in a log file.

    Meanwhile vidfer's log says what else is done: minutes can pass before the first step.
    """
    from tqdm import tqdm

    with (
        _log_shown(quiet=quiet),
        tqdm(unit="step", disable=quiet or not sys.stderr.isatty(), dynamic_ncols=True) as bar,
    ):

        def show(done: int, total: int, figures: dict[str, float]) -> None:
            shown = {name: figure_text(value) for name, value in figures.items()}
            if bar.disable and not quiet and done % LINE_EVERY_STEPS == 0:
                print(f"step {done} of {total}: {shown}", file=sys.stderr, flush=True)
            bar.total = total
            bar.set_postfix(shown, refresh=False)
            bar.update(done - bar.n)

        yield show


@contextmanager
def _log_shown(*, quiet: bool) -> Iterator[None]:
    log = logging.getLogger("vidfer")
    level = log.level
    if not quiet:
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(level)


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
