"""Compares all sequence models and baselines on sequences made from FER+'s test pictures: two tables.

``python benchmarks/temporal.py --data DIR [--split test] [--runs DIR] [--weights lstm=FILE] [--sweep]``

Rows: every registered model that has weights in the package, those that were trained into ``runs/temporal_NAME``
(lstm, tcn, transformer), and those that are given. The first table says how good they are, the second whether frame
rate and joins of windows can be seen, and what an hour of one face costs. ``--sweep`` instead measures the settings of
the baselines on validation sequences, which is how their defaults were chosen.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import resource
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vidfer.errors import WeightsError
from vidfer.learning.datasets.face_sequences import LabelledSequence
from vidfer.learning.evaluation.sequences import SequenceFigures, sequence_figures
from vidfer.learning.training.temporal import BankBuilder, evaluation_sequences, read_recipe
from vidfer.temporal import TEMPORAL_MODELS, TemporalModel, TrackSequence
from vidfer.temporal.ema import ExponentialAverage
from vidfer.temporal.hmm import HiddenMarkov
from vidfer.temporal.median import RunningMedian

SETTINGS = {"device": "cpu", "window_seconds": 60.0, "overlap_seconds": 10.0}
BESIDE = ("lstm", "tcn", "transformer")  # trained as well, but not in the package
FRAME_RATES = (10, 25, 30, 60)
CHECKS = ("model", "frame rates differ by", "joins differ by", "us/row", "an hour, s", "peak, GB")
COLUMNS = ("model", "WAR %", "UAR %", "F1 %", "ECE %", "changes/min", "x truth", "onset s", "found %", "us/row")
HOUR_ROWS = 108_000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with fer2013plus.h5")
    parser.add_argument("--recipe", type=Path, default=Path("pipelines/train/temporal_gru.toml"))
    parser.add_argument("--bank", type=Path, default=Path("runs/temporal_gru/bank"), help="where people are kept")
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where further models were trained")
    parser.add_argument("--weights", action="append", default=[], metavar="MODEL=FILE", help="may be repeated")
    parser.add_argument("--sweep", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recipe = read_recipe(options.recipe)
    folder = Path(recipe.data.folder or options.bank)
    split = "validation" if options.sweep else options.split
    banks = BankBuilder(recipe.data, options.data, folder).banks(split)
    sequences = evaluation_sequences(recipe, banks, seed=1 if split == "validation" else 2)
    if options.sweep:
        print_table(swept(), sequences)
        return
    chosen = list(choose(options.weights, options.runs))
    print_table(((name, one.make()) for name, one in chosen), sequences)
    print_checks(chosen, [s.track for s in sequences[:20]])


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """How a model is made."""

    name: str
    weights: str = ""
    causal: bool = False

    def make(self, **options: float) -> TemporalModel:
        settings = {**SETTINGS, **options}
        return TEMPORAL_MODELS.get(self.name)(weights=self.weights, causal=self.causal, **settings)


def choose(given: Iterable[str], runs: Path) -> Iterable[tuple[str, Chosen]]:
    """Yield every registered model that can be made, what was trained beside, and those whose weights are given."""
    for title in (*TEMPORAL_MODELS.names(), "gru_causal"):
        name, _, kind = title.partition("_")
        beside = runs / f"temporal_{title}" / "best.safetensors"
        weights = str(beside) if title in BESIDE and beside.is_file() else ""
        one = Chosen(name=name, weights=weights, causal=bool(kind))
        try:
            one.make()
        except WeightsError as error:
            print(f"({title} is left out: {error})")
        else:
            yield title, one
    for pair in given:
        title, _, path = pair.partition("=")
        name, _, kind = title.partition("_")
        yield f"{title} {Path(path).parent.name}", Chosen(name=name, weights=path, causal=bool(kind))


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


def print_checks(chosen: list[tuple[str, Chosen]], tracks: list[TrackSequence]) -> None:
    """Print what must not be seen (frame rate, joins), and what an hour at 30 frames per second costs."""
    print("\n| " + " | ".join(CHECKS) + " |\n|" + " --- |" * len(CHECKS))
    for title, one in chosen:
        cost = hour_in_a_process(one, tracks[0])
        print(
            f"| {title} | {frame_rate_difference(one.make(), tracks):.3f} | {join_difference(one, tracks):.1e} | "
            f"{1e6 * cost[0] / HOUR_ROWS:.0f} | {cost[0]:.1f} | {cost[1]:.2f} |",
            flush=True,
        )


def frame_rate_difference(model: TemporalModel, tracks: list[TrackSequence]) -> float:
    """Return the largest difference of a probability between frame rates, for one and the same smooth course.

    The course goes in straight lines through a track's rows of every half second.
    """
    worst = 0.0
    for track in tracks:
        knots = track.pts_seconds[0] + np.arange(0.0, 10.0, 0.5)
        rows = np.searchsorted(track.pts_seconds, knots).clip(0, len(track) - 1)
        at = np.arange(0.5, 9.0, 0.1)
        curves = []
        for fps in FRAME_RATES:
            pts = np.arange(int(9.5 * fps) + 1) / fps
            seen = TrackSequence(
                pts_seconds=pts,
                vectors=between(pts, track.vectors[rows]),
                logits=between(pts, track.logits[rows]),
                quality=np.full(len(pts), 0.8, np.float32),
            )
            (found,) = model.predict([seen])
            curves.append(np.stack([np.interp(at, pts, column) for column in found.T]))
        worst = max(worst, float(np.ptp(np.array(curves), axis=0).max()))
    return worst


def between(pts: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return values at times (T,) on the lines through knots (M, C) that lie half a second apart."""
    place = pts / 0.5
    left = np.minimum(place.astype(np.int64), len(knots) - 2)
    share = (place - left)[:, None]
    return (knots[left] * (1 - share) + knots[left + 1] * share).astype(np.float32)


def join_difference(one: Chosen, tracks: list[TrackSequence]) -> float:
    """Return the largest difference of a probability between windows of a minute and one pass, 5 s from the ends."""
    track = repeated(tracks, 25 * 600, fps=25)
    (pieces,), (whole,) = one.make().predict([track]), one.make(window_seconds=1e5).predict([track])
    inside = slice(5 * 25, -5 * 25)
    return float(np.abs(pieces[inside] - whole[inside]).max())


def hour_in_a_process(one: Chosen, track: TrackSequence) -> tuple[float, float]:
    """Return the processor time in seconds of an hour at 30 frames per second, and the process's peak memory, GB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(an_hour, (one, track))


def an_hour(one: Chosen, track: TrackSequence) -> tuple[float, float]:
    torch.set_num_threads(1)
    model, hour = one.make(), repeated([track], HOUR_ROWS, fps=30)
    start = time.process_time()
    model.predict([hour])
    seconds = time.process_time() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def repeated(tracks: list[TrackSequence], num_rows: int, *, fps: float) -> TrackSequence:
    """Return the tracks one after another, again and again, as one steady track."""
    tables = [np.concatenate([getattr(t, name) for t in tracks]) for name in ("vectors", "logits", "quality")]
    index = np.resize(np.arange(len(tables[0])), num_rows)
    vectors, logits, quality = (table[index] for table in tables)
    return TrackSequence(pts_seconds=np.arange(num_rows) / fps, vectors=vectors, logits=logits, quality=quality)


if __name__ == "__main__":
    main()
