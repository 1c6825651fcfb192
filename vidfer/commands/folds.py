"""``vidfer train emotion-cnn --manifest --folds K``: a network for each group of people, measured on them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vidfer.commands import EXIT_OK
from vidfer.commands.evaluate import see_rows, spread_over_folds, write_figures

if TYPE_CHECKING:
    from vidfer.learning.evaluation.labelled import Seen


def train_over_folds(options: argparse.Namespace, train: Callable[[Path, Path], object]) -> int:
    """Train once a fold, into ``OUT/fold1`` and so on, and write the figures over the people whom each never saw.

    ``train`` is called with the manifest of each fold and its run folder; a run that was stopped is continued.
    """
    import numpy as np

    from vidfer.labels import NUM_EMOTIONS
    from vidfer.learning.datasets.manifest import read_manifest, write_manifest
    from vidfer.learning.evaluation.folds import figures_by_fold, subject_folds
    from vidfer.learning.evaluation.labelled import evaluate_rows
    from vidfer.learning.training.corpus import fold_manifests

    manifest, out = read_manifest(options.manifest, root=options.root), Path(options.out)
    seen: list[Seen | None] = [None] * len(manifest)
    for number, part in enumerate(fold_manifests(manifest, options.folds), start=1):
        file, folder = out / f"fold{number}.csv", out / f"fold{number}"
        write_manifest(part, file)
        train(file, folder)
        tested = part.rows_of("test")
        own = argparse.Namespace(**{**vars(options), "weights": str(folder / "best.safetensors"), "backbone": ""})
        for row, one in zip(tested.tolist(), see_rows(part, tested, own), strict=True):
            seen[row] = one
    found = np.array([one is not None for one in seen])
    subjects = np.array(manifest.subject_id)
    fold = subject_folds(subjects, options.folds)[found]
    probabilities = np.array([one.network.mean(0) for one in seen if one is not None]).reshape(-1, NUM_EMOTIONS)
    figures = {}
    if found.any():
        figures["trained"] = figures_by_fold(probabilities, manifest.label_index[found], subjects[found], fold)
    write_figures(evaluate_rows(manifest, np.arange(len(manifest)), seen, folds=figures), out)
    if not options.quiet:
        spread = spread_over_folds(figures["trained"])
        print(f"{options.folds} folds by subject, each with a network of its own: {spread}")
        print(f"figures: {out}; a network a fold: {out / 'fold1'} and so on")
    return EXIT_OK
