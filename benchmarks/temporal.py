"""Compares all sequence models and baselines on sequences made from FER+'s test pictures: one table.

``python benchmarks/temporal.py --data DIR [--split test] [--weights lstm=FILE] [--sweep]``

Rows of the table: every registered model that has weights. ``--sweep`` instead measures the settings of the
baselines on validation sequences, which is how their defaults were chosen.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from vidfer.datasets.face_sequences import LabelledSequence
from vidfer.errors import WeightsError
from vidfer.evaluation.sequences import SequenceFigures, sequence_figures
from vidfer.temporal import TEMPORAL_MODELS, TemporalModel, TrackSequence
from vidfer.temporal.ema import ExponentialAverage
from vidfer.temporal.hmm import HiddenMarkov
from vidfer.temporal.median import RunningMedian
from vidfer.training.temporal import BankBuilder, evaluation_sequences, read_recipe

COLUMNS = ("model", "WAR %", "UAR %", "F1 %", "ECE %", "changes/min", "x truth", "onset s", "found %", "us/row")
HOUR_ROWS = 108_000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with fer2013plus.h5")
    parser.add_argument("--recipe", type=Path, default=Path("pipelines/train/temporal_gru.toml"))
    parser.add_argument("--bank", type=Path, default=Path("runs/temporal_gru/bank"), help="where people are kept")
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    parser.add_argument("--weights", action="append", default=[], metavar="MODEL=FILE", help="may be repeated")
    parser.add_argument("--sweep", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recipe = read_recipe(options.recipe)
    folder = Path(recipe.data.folder or options.bank)
    split = "validation" if options.sweep else options.split
    banks = BankBuilder(recipe.data, options.data, folder).banks(split)
    sequences = evaluation_sequences(recipe, banks, seed=1 if split == "validation" else 2)
    print_table(swept() if options.sweep else chosen(options.weights), sequences)
    if not options.sweep:
        print_hour(sequences[0].track)


def chosen(given: Iterable[str]) -> Iterable[tuple[str, TemporalModel]]:
    """Yield every registered model that can be made, and those whose weights are given."""
    settings = {"device": "cpu", "window_seconds": 60.0, "overlap_seconds": 10.0}
    for name in TEMPORAL_MODELS.names():
        try:
            yield name, TEMPORAL_MODELS.get(name)(weights="", **settings)
        except WeightsError as error:
            print(f"({name} is left out: {error})")
    for pair in given:
        name, _, path = pair.partition("=")
        yield f"{name} {Path(path).parent.name}", TEMPORAL_MODELS.get(name)(weights=path, **settings)


def swept() -> Iterable[tuple[str, TemporalModel]]:
    """Yield the baselines with many settings."""
    for seconds in (0.1, 0.2, 0.3, 0.5, 0.8, 1.2):
        yield f"ema {seconds}", ExponentialAverage(time_constant_seconds=seconds)
    for seconds in (0.5, 0.9, 1.1, 1.5, 2.1):
        yield f"median {seconds}", RunningMedian(window_seconds=seconds)
    for evidence, prior in itertools.product((0.2, 0.35, 0.5, 0.8), (0.0, 0.3, 0.6, 1.0)):
        yield f"hmm {evidence} {prior}", HiddenMarkov(evidence_weight=evidence, prior_weight=prior)


def print_table(models: Iterable[tuple[str, TemporalModel]], sequences: list[LabelledSequence]) -> None:
    labels = [s.labels for s in sequences]
    tracks = [s.track for s in sequences]
    rows = sum(map(len, tracks))
    counts = np.bincount(np.concatenate(labels), minlength=8)
    print(f"{len(sequences)} sequences, {rows} rows; rows by label: {counts.tolist()}")
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
    for name, model in models:
        start = time.process_time()
        probabilities = model.predict(tracks)
        seconds = time.process_time() - start
        figures = sequence_figures(probabilities, labels, [t.pts_seconds for t in tracks])
        print(f"| {name} | " + " | ".join(cells(figures)) + f" | {1e6 * seconds / rows:.0f} |", flush=True)


def cells(figures: SequenceFigures) -> list[str]:
    shares = (figures.war, figures.uar, figures.macro_f1, figures.ece)
    return [
        *(f"{100 * share:.1f}" for share in shares),
        f"{figures.changes_per_minute:.1f}",
        f"{figures.change_ratio:.2f}",
        f"{figures.onset_error_seconds:.2f}",
        f"{100 * figures.onset_found:.0f}",
    ]


def print_hour(track: TrackSequence) -> None:
    """Time the default model on an hour at 30 frames per second."""
    index = np.resize(np.arange(len(track)), HOUR_ROWS)
    hour = TrackSequence(
        pts_seconds=np.arange(HOUR_ROWS) / 30,
        vectors=track.vectors[index],
        logits=track.logits[index],
        quality=track.quality[index],
    )
    model = TEMPORAL_MODELS.get("gru")(device="cpu", weights="", window_seconds=60.0, overlap_seconds=10.0)
    start = time.process_time()
    model.predict([hour])
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"gru, one hour at 30 fps ({HOUR_ROWS} rows): {seconds:.1f} s of one core; peak of this process {peak:.2f} GiB"
    )


if __name__ == "__main__":
    main()
