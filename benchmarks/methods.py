"""Prints one table of per-frame methods, old and new, on the same faces, and draws it: docs/methods.md.

``python benchmarks/methods.py --data DIR --out docs shipped=vidfer/assets/emotion_cnn.safetensors runs/hog/hog_*``

Each weight file is read on FER+ PublicTest (more than half of the votes) and on the half of
``unseen.h5`` that is there to report by, with the classes expected equally often (``emotions.prior = "balanced"``): a
face that is not found counts as wrong. Time is processor time of one core in batches of 32, preprocessing included.
``--bank DIR`` also compares the temporal models (``benchmarks/temporal.py``), ``--by-yaw`` says how far each reads
turned faces (of FER+, PublicTest and PrivateTest together), ``--faces N`` measures on a part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import temporal
import torch
from backbones import milliseconds_per_face
from unseen import ratio_of, read_unseen, seen_probabilities

from vidfer.backbones.load import EmotionNetwork, load_backbone
from vidfer.faces.landmarks.frontal import pose_from_afar
from vidfer.learning.datasets.fer2013 import read_fer_folder
from vidfer.learning.datasets.fer2013plus import majority_labels
from vidfer.learning.evaluation.faces import aligned_pictures, face_logits
from vidfer.learning.training.temporal import BankBuilder, evaluation_sequences, read_recipe
from vidfer.report.drawing import draw_pixels
from vidfer.report.png import full_colour_png
from vidfer.temporal.prior import shifted
from vidfer.weights import load_tensors

YAW_EDGES = (0, 15, 30, 91)  # degrees, to either side
CORPORA = {"FER+": "FER+", "ck+ apex": "CK+ apex", "jaffe": "JAFFE", "sfew": "SFEW"}  # as unseen.h5 and as people write
COLOURS = ("#0072b2", "#009e73", "#e69f00", "#cc79a7", "#56b4e9")  # Okabe and Ito 2008
FEATURES, MARKERS = ("lbp", "gabor", "hog", "geometry", "geometry3d"), {"svm": "o", "rbf": "s", "knn": "^"}
INK, FAINT = "#222222", "#cccccc"
DPI = 150


@dataclass(frozen=True)
class Measured:
    """A row: accuracy and mean recall by corpus, ms per face, numbers kept, bytes on disk."""

    name: str
    figures: dict[str, tuple[float, float]]
    milliseconds: float
    parameters: int
    size: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="*", type=Path, help="weight files of per-frame networks; NAME=FILE names one")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013, its votes, and unseen.h5")
    parser.add_argument("--out", type=Path, help="folder for methods.json, methods_speed.png and methods_corpora.png")
    parser.add_argument("--faces", type=int, default=0, help="of each corpus at most so many, drawn at random")
    parser.add_argument("--again", action="store_true", help="take the rows of OUT/methods.json, and add the files'")
    parser.add_argument("--by-yaw", action="store_true", help="only this table")
    parser.add_argument("--bank", type=Path, help="also the temporal models, on the people that a training kept here")
    parser.add_argument(
        "--split", choices=["validation", "test"], default="test", help="of the temporal models' people"
    )
    parser.add_argument("--temporal", action="append", default=[], metavar="MODEL=FILE", help="weights of further ones")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.by_yaw:
        print_by_yaw(options.weights, options.data)
        return
    kept = options.out / "methods.json" if options.out else None
    rows = []
    if options.again:
        rows = [Measured(**row) for row in json.loads(kept.read_text())]
    faces = Faces(options.data, options.faces) if options.weights else None
    for name, file in named(options.weights):
        assert faces is not None
        rows.append(faces.measure(file, name))
        print(f"{rows[-1].name} is measured", flush=True)
        if kept is not None:  # at once: the next file may be damaged
            options.out.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print_table(rows)
    if options.out:
        (options.out / "methods_speed.png").write_bytes(speed_picture(rows))
        (options.out / "methods_corpora.png").write_bytes(corpora_picture(rows))
    if options.bank:
        compare_temporal(options)


def named(weights: list[Path]) -> Iterator[tuple[str, Path]]:
    for given in weights:
        name, _, file = str(given).rpartition("=")
        yield name or Path(file).stem, Path(file)


class Faces:
    """The faces of all corpora, and how a network reads them."""

    def __init__(self, data: Path, count: int) -> None:
        self.random, self.count = np.random.default_rng(0), count
        pictures = read_fer_folder(data, "PublicTest")
        label = majority_labels(pictures.votes)
        rows = self.part(np.flatnonzero(label >= 0))
        self.pictures, self.label = pictures.take(rows), label[rows]
        self.unseen = read_unseen(data)
        names, half = self.unseen.name, self.unseen.half
        self.rows = {n: self.part(np.flatnonzero((names == n) & (half == "report"))) for n in CORPORA if n in names}

    def part(self, rows: np.ndarray) -> np.ndarray:
        return self.random.permutation(rows)[: self.count or len(rows)]

    def measure(self, file: Path, name: str) -> Measured:
        tensors, metadata = load_tensors(file)
        network = load_backbone(metadata["backbone"], weights=file).packed()
        faces = aligned_pictures(self.pictures, size=network.input_spec.size)
        figures = {"FER+": accuracy_and_recall(face_logits(network, faces).argmax(1), self.label)}
        for corpus, rows in self.rows.items():
            figures[corpus] = self.read_unseen(network, rows)
        return Measured(
            name=name,
            figures=figures,
            milliseconds=milliseconds_per_face(network),
            parameters=sum(t.numel() for t in tensors.values()),
            size=file.stat().st_size,
        )

    def read_unseen(self, network: EmotionNetwork, rows: np.ndarray) -> tuple[float, float]:
        probabilities = shifted(seen_probabilities(network, self.unseen, rows), ratio_of(network, "balanced"))
        found = np.where(self.unseen.found[rows], probabilities.argmax(1), -1)
        return accuracy_and_recall(found, self.unseen.label[rows])


def accuracy_and_recall(found: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    right = found == label
    return float(right.mean()), float(np.mean([right[label == k].mean() for k in np.unique(label)]))


def print_by_yaw(weights: list[Path], data: Path) -> None:
    """Print accuracy and mean recall of each by how far the head is turned, as the corpus's own landmarks say."""
    parts = [read_fer_folder(data, split) for split in ("PublicTest", "PrivateTest")]
    labels = [majority_labels(part.votes) for part in parts]
    parts = [part.take(label >= 0) for part, label in zip(parts, labels, strict=True)]
    label = np.concatenate([one[one >= 0] for one in labels])
    yaw = np.abs(np.concatenate([pose_from_afar(part.landmarks68)[:, 1] for part in parts]))
    of = [np.flatnonzero((yaw >= low) & (yaw < high)) for low, high in pairwise(YAW_EDGES)]
    titles = [
        f"{low} to {min(high, 90)}: {len(r)} faces" for (low, high), r in zip(pairwise(YAW_EDGES), of, strict=True)
    ]
    print(f"| method | {' | '.join(titles)} |\n|" + "---|" * (len(of) + 1))
    for name, file in named(weights):
        network = load_backbone(load_tensors(file)[1]["backbone"], weights=file).packed()
        size = network.input_spec.size
        found = np.concatenate([face_logits(network, aligned_pictures(part, size=size)).argmax(1) for part in parts])
        figures = [accuracy_and_recall(found[rows], label[rows]) for rows in of]
        print(f"| {name} | {' | '.join(f'{a:.1%} / {r:.1%}' for a, r in figures)} |", flush=True)


def print_table(rows: list[Measured]) -> None:
    if not rows:
        return
    corpora = " | ".join(f"{title}: accuracy / mean recall" for title in CORPORA.values())
    print(f"| method | {corpora} | ms/face | numbers | kB |")
    print("|---|" + "---|" * (len(CORPORA) + 3))
    for row in rows:
        figures = [f"{row.figures[name][0]:.1%} / {row.figures[name][1]:.1%}" for name in CORPORA]
        cost = f"{row.milliseconds:.2f} | {row.parameters:,} | {row.size / 1e3:,.0f}"
        print(f"| {row.name} | {' | '.join(figures)} | {cost} |")


def speed_picture(rows: list[Measured]) -> bytes:
    """Return a PNG: accuracy on FER+ against the time of a face."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure = Figure(figsize=(7.2, 4.2), layout="constrained", dpi=DPI)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    places = {row.name: (row.milliseconds, row.figures["FER+"][0]) for row in rows}
    for name, (x, y) in places.items():
        feature, _, classifier = name.partition("_")
        if feature in FEATURES and classifier in MARKERS:
            axes.scatter(x, y, s=30, color=COLOURS[FEATURES.index(feature)], marker=MARKERS[classifier], zorder=3)
            continue
        axes.scatter(x, y, s=34, color=INK, marker="D", zorder=3)
        has_neighbour = any(1 < other / x < 1.6 and abs(height - y) < 0.02 for other, height in places.values())
        beside, align = (-6, "right") if has_neighbour else (6, "left")
        axes.annotate(name, (x, y), (beside, -3), textcoords="offset points", fontsize=8, color=INK, ha=align)
    keys: list[Any] = [Patch(color=colour) for colour in COLOURS]
    keys += [Line2D([], [], color=INK, marker=marker, linestyle="") for marker in MARKERS.values()]
    names = [*FEATURES, *MARKERS]
    figure.legend(
        keys, names, loc="outside upper center", fontsize=8, frameon=False, ncols=len(names), columnspacing=1.2
    )
    axes.set_xlabel("ms of one core a face")
    axes.set_ylabel("accuracy, FER+ PublicTest")
    axes.margins(x=0.25)
    axes.set_xticks([0.25, 0.5, 1, 2], ["0.25", "0.5", "1", "2"])
    axes.minorticks_off()
    _plain(axes)
    return full_colour_png(draw_pixels(figure), dpi=DPI)


def corpora_picture(rows: list[Measured]) -> bytes:
    """Return a PNG: each method's mean recall by corpus, the best on FER+ first."""
    from matplotlib.figure import Figure

    rows = sorted(rows, key=lambda row: row.figures["FER+"][1])
    figure = Figure(figsize=(7.2, 1.2 + 0.27 * len(rows)), layout="constrained", dpi=DPI)
    axes = figure.add_subplot()
    for (corpus, title), colour in zip(CORPORA.items(), COLOURS, strict=False):
        recall = [row.figures[corpus][1] for row in rows]
        axes.scatter(recall, range(len(rows)), s=34, color=colour, label=title, zorder=3)
    axes.axvline(1 / 8, color=INK, linewidth=0.8, linestyle=":", label="one of eight by chance")
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_xlabel("mean recall of the classes")
    axes.set_xlim(0, 1)
    _plain(axes)
    figure.legend(loc="outside upper center", ncols=len(CORPORA) + 1, frameon=False, fontsize=8)
    return full_colour_png(draw_pixels(figure), dpi=DPI)


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=FAINT, linewidth=0.6, alpha=0.7)
    axes.tick_params(labelsize=8)


def compare_temporal(options: argparse.Namespace) -> None:
    recipe = read_recipe(Path("pipelines/train/temporal_gru.toml"))
    banks = BankBuilder(recipe.data, options.data, options.bank).banks(options.split)
    sequences = evaluation_sequences(recipe, banks, seed=1 if options.split == "validation" else 2)
    chosen = temporal.choose(options.temporal, Path("runs"))
    temporal.print_table(((name, one.make()) for name, one in chosen), sequences)


if __name__ == "__main__":
    main()
