"""``vidfer evaluate``: how good a per-frame network is on labelled faces, pictures or videos."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vidfer.commands import EXIT_OK
from vidfer.commands.training_output import check_training_extra
from vidfer.config import PipelineConfig, load_pipeline
from vidfer.errors import ConfigError, OutputError

if TYPE_CHECKING:
    import numpy as np

    from vidfer.backbones.load import EmotionNetwork
    from vidfer.learning.datasets.manifest import Manifest
    from vidfer.learning.evaluation.faces import FaceEvaluation
    from vidfer.learning.evaluation.folds import FoldFigures
    from vidfer.learning.evaluation.groups import GroupFigures
    from vidfer.learning.evaluation.labelled import ManifestEvaluation, Seen

ALL = "all"
_BASELINES = {
    "network_baseline": "nobody has rows labelled neutral beside others of the same subject_id",
    "network_baseline_unlabelled": "nobody has five rows of which enough look neutral",
}


def run(options: argparse.Namespace) -> int:
    """Print the figures and write metrics.json, confusion.png and reliability.png."""
    if options.model and options.network != "temporal":
        raise ConfigError(f"--model {options.model}: a choice of vidfer evaluate temporal; single frames: --backbone")
    if options.backbone and options.network == "temporal":
        raise ConfigError(f"--backbone: for a sequence model, --set backbone.name={options.backbone}")
    if options.by and (options.network == "temporal" or not options.manifest):
        raise ConfigError(f"--by {options.by}: goes with vidfer evaluate --manifest, whose further columns it names")
    if options.match_shares and (options.network == "temporal" or not options.manifest):
        raise ConfigError("--match-shares: goes with vidfer evaluate --manifest, whose labels say the shares")
    if options.baseline and (options.network == "temporal" or not options.manifest):
        raise ConfigError(
            "--baseline: goes with vidfer evaluate --manifest; its figures of the timeline of videos are by [emotions]"
        )
    if options.manifest and options.labels != "ferplus":
        raise ConfigError(f"--labels {options.labels}: goes with --data; a manifest has the labels of its rows")
    check_training_extra("vidfer evaluate")
    if options.network == "temporal":
        from vidfer.commands.corpus import evaluate_temporal

        evaluate_temporal(options)
    elif options.manifest:
        _evaluate_manifest(options)
    else:
        _evaluate_fer(options)
    if not options.quiet:
        print(f"figures: {options.out}")
    return EXIT_OK


def _evaluate_fer(options: argparse.Namespace) -> None:
    from vidfer.learning.datasets.fer2013plus import SPLITS, Split
    from vidfer.learning.evaluation.faces import evaluate_fer2013, evaluate_ferplus

    if options.folds:
        raise ConfigError("--folds needs --manifest: FER2013 does not say who is seen")
    split = options.split or "PublicTest"
    if split not in SPLITS:
        raise ConfigError(f"--split {split}: FER2013 has {', '.join(SPLITS)}")
    network = _network(options)
    measure = evaluate_fer2013 if options.labels == "fer2013" else evaluate_ferplus
    for protocol, figures in measure(network, Path(options.data), cast(Split, split)).items():
        write_figures(figures, Path(options.out) / protocol)
        if not options.quiet:
            print(f"{split}, {protocol}: {_described(figures, 'faces')}")


def _evaluate_manifest(options: argparse.Namespace) -> None:
    from vidfer.learning.datasets.manifest import read_manifest
    from vidfer.learning.evaluation.groups import check_columns
    from vidfer.learning.evaluation.labelled import evaluate_rows

    manifest = read_manifest(options.manifest, root=options.root)
    split = options.split or (ALL if options.folds else "test")
    rows = _rows(manifest, split)
    if options.folds:
        _check_folds(manifest, rows, options.folds)
    by = [name.strip() for name in options.by.split(",") if name.strip()]
    check_columns(manifest, by)
    if options.baseline and not any(manifest.subject_id[row] for row in rows):
        raise ConfigError("--baseline needs to know who is seen: expected names in subject_id, found none")
    average, ratio = _expected(options) if options.baseline else (None, 0.0)
    seen = see_rows(manifest, rows, options)
    folds = _folds(manifest, rows, seen, options.folds) if options.folds else {}
    found = evaluate_rows(
        manifest,
        rows,
        seen,
        folds=folds,
        by=by,
        match_shares=options.match_shares,
        neutral_average=average,
        prior_ratio=ratio,
    )
    write_figures(found, Path(options.out))
    if options.quiet:
        return
    for name, figures in found.figures.items():
        print(f"{split}, {name}: {_described(figures, 'frames' if name.endswith('frames') else 'rows')}")
    for name, needed in _BASELINES.items() if options.baseline else ():
        if name not in found.figures:
            print(f"{split}, no {name}: {needed}")
    for name, over in found.folds.items():
        print(f"{len(over.folds)} folds by subject, {name}: {spread_over_folds(over)}")
    for group in found.groups:
        print(f"{group.name}: {_described_group(group)}")
    if found.without_face:
        missed = f"{len(found.without_face)} of {found.rows} rows"
        print(f"no face found in {missed}; counted as wrong, accuracy is {found.found_and_right:.2%}")


def _network(options: argparse.Namespace) -> EmotionNetwork:
    from vidfer.backbones.load import load_backbone
    from vidfer.device import pick_device

    return load_backbone(_backbone_name(options), device=pick_device(options.device), weights=options.weights)


def _backbone_name(options: argparse.Namespace) -> str:
    """Return ``--backbone``, or what the weights were made for."""
    if options.backbone or not options.weights:
        return options.backbone or "compact"
    from vidfer.weights import load_tensors

    return str(load_tensors(Path(options.weights))[1].get("backbone", "compact"))


def _rows(manifest: Manifest, split: str) -> np.ndarray:
    import numpy as np

    from vidfer.learning.datasets.manifest import SPLITS

    if split not in (*SPLITS, ALL):
        raise ConfigError(f"--split {split}: a manifest has {', '.join(SPLITS)}, or take {ALL}")
    rows = np.arange(len(manifest)) if split == ALL else np.flatnonzero(np.array(manifest.split) == split)
    if not len(rows):
        there = ", ".join(sorted(set(manifest.split)))
        raise ConfigError(f"the manifest has no row of the split {split}, only {there}: choose with --split")
    return rows


def see_rows(manifest: Manifest, rows: np.ndarray, options: argparse.Namespace) -> list[Seen | None]:
    """Return what is seen of each row, from pictures at once, from videos through the cached stages."""
    import numpy as np

    from vidfer.video.pictures import is_picture

    pictures = np.array([is_picture(manifest.path[int(row)]) for row in rows])
    seen: list[Seen | None] = [None] * len(rows)
    config = _pipeline(options)
    for which, see in ((pictures, _see_pictures), (~pictures, _see_videos)):
        if which.any():
            for place, one in zip(np.flatnonzero(which), see(manifest, rows[which], config, options), strict=True):
                seen[int(place)] = one
    return seen


def _pipeline(options: argparse.Namespace) -> PipelineConfig:
    settings = [f"run.device={options.device}", *options.set]
    if options.weights or options.backbone:
        own = {"backbone.name": _backbone_name(options), "backbone.weights": options.weights}
        settings = [*(f"{key}={json.dumps(value)}" for key, value in own.items()), *settings]
    if options.weights and not any(setting.startswith("temporal.") for setting in options.set):
        settings.append('temporal.name="ema"')  # a trained sequence model knows the embeddings of one backbone alone
    return load_pipeline(options.pipeline, settings)


def _expected(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Return (8,) the log-odds of neutral faces on average, and (8,) what the prior adds to all that is seen."""
    from vidfer.pipeline.emotions import neutral_average, prior_log_ratio

    config = _pipeline(options)
    return neutral_average(config.backbone), prior_log_ratio(config.emotions, config.backbone)


def _see_pictures(
    manifest: Manifest, rows: np.ndarray, config: PipelineConfig, options: argparse.Namespace
) -> list[Seen | None]:
    from tqdm import tqdm

    from vidfer.backbones.load import configured_backbone
    from vidfer.device import pick_device
    from vidfer.learning.evaluation.pictures import see_pictures
    from vidfer.pipeline.emotions import prior_log_ratio
    from vidfer.pipeline.pictures import PictureFaces

    device = pick_device(config.run.device)
    network = configured_backbone(config.backbone, device=device)
    finder = PictureFaces(config.faces, device=str(device))
    with tqdm(total=len(rows), unit="picture", leave=False, disable=True if options.quiet else None) as bar:
        return see_pictures(
            manifest,
            rows,
            finder,
            network,
            prior_ratio=prior_log_ratio(config.emotions, config.backbone),
            progress=lambda done, _: bar.update(done - bar.n) and None,
        )


def _see_videos(
    manifest: Manifest, rows: np.ndarray, config: PipelineConfig, options: argparse.Namespace
) -> list[Seen | None]:
    from vidfer.commands.progress import Progress
    from vidfer.learning.evaluation.calibration import softmax
    from vidfer.learning.evaluation.labelled import Seen
    from vidfer.learning.labelled_clips import labelled_tracks
    from vidfer.pipeline.emotions import prior_log_ratio

    videos = len({manifest.path[int(row)] for row in rows})
    with Progress(videos, quiet=options.quiet) as progress:
        tracks = labelled_tracks(
            manifest,
            rows,
            Path(options.clips or Path(options.out) / "clips"),
            config,
            on_event=progress.on_event,
        )
    ratio = prior_log_ratio(config.emotions, config.backbone)
    return [
        None
        if track is None
        else Seen(vectors=track.vectors, network=softmax(track.logits + ratio), timeline=track.probabilities)
        for track in tracks
    ]


def _check_folds(manifest: Manifest, rows: np.ndarray, count: int) -> None:
    """Raise before anything is computed if these rows cannot be split so."""
    import numpy as np

    from vidfer.learning.evaluation.folds import subject_folds

    subject_folds(np.array(manifest.subject_id)[rows], count)


def _folds(manifest: Manifest, rows: np.ndarray, seen: list[Seen | None], count: int) -> dict[str, FoldFigures]:
    import numpy as np

    from vidfer.learning.evaluation.folds import figures_by_fold, refitted, subject_folds

    subjects = np.array(manifest.subject_id)[rows]
    fold = subject_folds(subjects, count)
    found = np.array([one is not None for one in seen])
    people = [one for one in seen if one is not None]
    if not people:
        return {}  # and nothing to evaluate at all
    labels, subjects, fold = manifest.label_index[rows][found], subjects[found], fold[found]
    as_trained = np.stack([one.network.mean(0) for one in people])
    vectors = np.stack([one.vectors.astype(np.float32).mean(0) for one in people])
    return {
        "as_trained": figures_by_fold(as_trained, labels, subjects, fold),
        "refitted": figures_by_fold(refitted(vectors, labels, subjects, fold), labels, subjects, fold),
    }


def _described(figures: FaceEvaluation, unit: str) -> str:
    classes = figures.classification
    return (
        f"{classes.samples} {unit}, accuracy {classes.accuracy:.2%}, mean recall (UAR) {classes.uar:.2%}, "
        f"macro F1 {classes.macro_f1:.3f}, calibration error {figures.calibration.ece:.2%}"
    )


def _described_group(group: GroupFigures) -> str:
    from vidfer.learning.evaluation.groups import FIGURES

    people = f"{group.people} people (few: the intervals are too narrow)" if group.few else f"{group.people} people"
    figures = ", ".join(
        f"{title} {one.value:.1%} ({one.low:.1%} to {one.high:.1%})"
        for title, one in zip(FIGURES.values(), (group.accuracy, group.uar, group.ece), strict=True)
    )
    return f"{group.rows} rows of {people}, {group.without_face} without a face, {figures}"


def write_figures(found: FaceEvaluation | ManifestEvaluation, folder: Path) -> None:
    """Write JSON and pictures; raises OutputError if they cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found.write(folder)
    except OSError as error:
        raise OutputError(
            f"{error.filename or folder}: cannot be written: {error.strerror}; choose another --out"
        ) from error


def spread_over_folds(over: FoldFigures) -> str:
    """Return mean and standard deviation of the main figures."""
    return ", ".join(
        f"{name} {over.mean[key]:.2%} ± {over.sd[key]:.2%}"
        for key, name in (("accuracy", "accuracy"), ("uar", "mean recall (UAR)"), ("ece", "calibration error"))
    )
