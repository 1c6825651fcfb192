"""Trains a temporal model on a corpus of videos: on its own split, or over folds by subject.

``vidfer train temporal --manifest FILE.csv --out runs/mine [--folds K]``
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vidfer.device import pick_device
from vidfer.errors import DataError
from vidfer.learning.datasets.corpus_sequences import CorpusSequence, CorpusSequences, LabelledCorpus, labels_by_step
from vidfer.learning.datasets.manifest import Manifest, ManifestSplit, check_manifest
from vidfer.learning.evaluation.corpus import CorpusEvaluation, evaluate_timelines
from vidfer.learning.evaluation.folds import subject_folds
from vidfer.learning.evaluation.valence_arousal import AffectReadout
from vidfer.learning.training.loop import ProgressCallback, train
from vidfer.learning.training.temporal import TemporalRecipe, TemporalTask, backbone_of
from vidfer.temporal import TEMPORAL_MODELS, TemporalModel
from vidfer.temporal.hmm import HiddenMarkov, estimate_transitions

logger = logging.getLogger(__name__)


def train_on_corpus(
    recipe: TemporalRecipe,
    corpus: LabelledCorpus,
    out: Path,
    *,
    device: str = "auto",
    progress: ProgressCallback | None = None,
) -> dict[str, float]:
    """Train on the corpus's training part, choose by its validation part, and return the best validation's figures.

    Clips with one label are judged by clip (``clip_uar``), frames with labels by frame (``uar``). Where the official
    split has no validation part (DFEW, FERV39k), a tenth of the training part is held back for it. A run that was
    interrupted is continued.

    Raises
    ------
    DataError
        If a part has no labelled track, or ``out`` holds a run of another recipe or manifest.
    """
    chosen = pick_device(device)
    if not len(corpus.manifest.rows_of("validation")):
        corpus = corpus.with_manifest(held_back(corpus.manifest))
    validation = corpus.part("validation")
    if not validation:
        raise DataError("the corpus gives no labelled track for validation: mark some rows with split validation")
    provenance: dict[str, Any] = {"backbone": backbone_of(recipe.data), "manifest": manifest_digest(corpus.manifest)}
    task = TemporalTask(recipe, CorpusSequences(corpus.part("train")), validation, provenance)
    logger.info("%d tracks to learn from, %d to validate on", len(corpus.part("train")), len(validation))
    stamped = {**recipe.model_dump(mode="json"), **provenance}
    return train(task, recipe.loop, out, device=chosen, progress=progress, recipe=stamped)


def cross_validate(
    recipe: TemporalRecipe,
    corpus: LabelledCorpus,
    out: Path,
    *,
    folds: int,
    device: str = "auto",
    progress: ProgressCallback | None = None,
) -> CorpusEvaluation:
    """Train once a fold, into ``out/fold1`` and so on, and measure each model on the subjects that it never saw.

    Returns
    -------
    Figures over the test parts of all folds together.
    """
    sequences: list[CorpusSequence] = []
    timelines: list[np.ndarray] = []
    missing: list[str] = []
    for number, manifest in enumerate(fold_manifests(corpus.manifest, folds), start=1):
        fold, folder = corpus.with_manifest(manifest), out / f"fold{number}"
        train_on_corpus(recipe, fold, folder, device=device, progress=progress)
        settings = {"device": str(pick_device(device)), "weights": str(folder / "best.safetensors")}
        model = TEMPORAL_MODELS.get(recipe.model.name)(causal=recipe.model.causal, **settings)
        found, sequence_count = fold.part("test"), len(sequences)
        sequences += found
        timelines += model.predict([sequence.track for sequence in found])
        missing += fold.clips_without_face("test")
        logger.info("fold %d: tested on %d tracks", number, len(sequences) - sequence_count)
    return evaluate_timelines(timelines, sequences, clips_without_face=missing)


def fold_manifests(manifest: Manifest, folds: int) -> list[Manifest]:
    """Return the manifest with ``folds`` other splits: each subject is for testing once and for validation once.

    Raises
    ------
    DataError
        For fewer than three folds (to test on, to validate on, to learn from), rows without a subject, more folds than
        subjects, or a video that shows subjects of two folds.
    """
    if folds < 3:
        raise DataError(f"--folds {folds}: expected 3 or more: one to test on, one to validate on, the rest to learn")
    fold = subject_folds(np.array(manifest.subject_id), folds)
    split = []
    for test in range(folds):
        parts = np.where(fold == test, "test", np.where(fold == (test + 1) % folds, "validation", "train"))
        split.append(replace(manifest, split=tuple(parts.tolist())))
        check_manifest(split[-1], source=f"fold {test + 1} of {folds}", check_files=False)
    return split


def held_back(manifest: Manifest) -> Manifest:
    """Return the manifest with about a tenth of its training part for validation, the same tenth whenever it is asked.

    Everything of a subject stays together; where subjects are unknown, everything of a video.
    """
    clips: dict[Path, str] = {}  # the first clip of each video stands for it, wherever it lies
    for row in manifest.rows_of("train"):
        clips[manifest.path[row]] = min(manifest.clip_id[row], clips.get(manifest.path[row], manifest.clip_id[row]))
    of_row = {int(row): manifest.subject_id[row] or clips[manifest.path[row]] for row in manifest.rows_of("train")}
    order = sorted(set(of_row.values()), key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(order) < 2:
        raise DataError(f"{len(order)} subjects or videos to learn from: too few to hold some back for validation")
    chosen = set(order[: max(1, len(order) // 10)])
    split = tuple("validation" if of_row.get(row) in chosen else name for row, name in enumerate(manifest.split))
    return replace(manifest, split=split)


def evaluate_on_corpus(model: TemporalModel, corpus: LabelledCorpus, split: ManifestSplit) -> CorpusEvaluation:
    """Measure a model on a part of a corpus, and valence and arousal by a readout fitted on the training part."""
    sequences = corpus.part(split)
    timelines = model.predict([sequence.track for sequence in sequences])
    affect = None
    training = [sequence for sequence in corpus.part("train") if sequence.valence_arousal is not None]
    if split != "train" and training and any(sequence.valence_arousal is not None for sequence in sequences):
        readout = AffectReadout(training, model.predict([sequence.track for sequence in training]))
        affect = readout.evaluate(sequences, timelines)
    return evaluate_timelines(timelines, sequences, clips_without_face=corpus.clips_without_face(split), affect=affect)


def markov_model(training: Sequence[CorpusSequence], *, causal: bool = False) -> HiddenMarkov | None:
    """Return a hidden Markov model with the transitions of a corpus; None where labels are by clip: none are seen."""
    labels = [labels_by_step(sequence) for sequence in training if not sequence.clip_id]
    return HiddenMarkov(transitions=estimate_transitions(labels), causal=causal) if labels else None


def manifest_digest(manifest: Manifest) -> str:
    """Return what identifies a manifest's clips, labels and splits, wherever its videos lie."""
    rows = [manifest.clip_id, manifest.split, manifest.label]
    times = [manifest.start_seconds.tolist(), manifest.end_seconds.tolist()]
    return hashlib.sha256(json.dumps([rows, times]).encode()).hexdigest()
