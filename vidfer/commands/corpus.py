"""``vidfer train temporal --manifest`` and ``vidfer evaluate temporal``: sequence models on labelled videos."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidfer.commands import EXIT_OK
from vidfer.commands.progress import Progress
from vidfer.commands.training_output import figure_text, find_recipe, print_best, steps_shown
from vidfer.config import BackboneConfig, PipelineConfig, load_pipeline, options_of
from vidfer.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from vidfer.learning.datasets.corpus_sequences import LabelledCorpus
    from vidfer.learning.datasets.manifest import ManifestSplit
    from vidfer.learning.evaluation.classification import Classification
    from vidfer.learning.evaluation.corpus import CorpusEvaluation
    from vidfer.temporal import TemporalModel

DEFAULT_RECIPE = "temporal_corpus"


def train_on_manifest(options: argparse.Namespace) -> int:
    """Bring the videos' stages up to date, then train on their embeddings; with --folds measure as well."""
    from vidfer.learning.training.corpus import cross_validate, fold_manifests, train_on_corpus
    from vidfer.learning.training.temporal import read_recipe

    recipe = read_recipe(find_recipe(options.recipe or DEFAULT_RECIPE))
    manifest, out = _manifest(options), Path(options.out)
    if options.folds:
        fold_manifests(manifest, options.folds)  # raises before anything is computed
    backbone = BackboneConfig(name=recipe.data.backbone, weights=recipe.data.backbone_weights)
    config = _pipeline(options).model_copy(update={"backbone": backbone})
    corpus = _read(manifest, options, config)
    with steps_shown(quiet=options.quiet) as show:
        if options.folds:
            found = cross_validate(recipe, corpus, out, folds=options.folds, device=options.device, progress=show)
        else:
            best = train_on_corpus(recipe, corpus, out, device=options.device, progress=show)
    if options.folds:
        found.write(out)
        if not options.quiet:
            print(f"{options.folds} folds by subject, tested on all {len(set(manifest.subject_id))} subjects:")
            print(_described(found))
            print(f"figures: {out}; a model a fold: {out}/fold1 and so on")
    elif not options.quiet:
        print_best(best, out)
    return EXIT_OK


def evaluate_temporal(options: argparse.Namespace) -> None:
    """Measure a sequence model on a part of a manifest; prints figures and writes them with their pictures."""
    from vidfer.learning.training.corpus import evaluate_on_corpus

    if not options.manifest:
        raise ConfigError("vidfer evaluate temporal needs --manifest FILE.csv with labelled videos (vidfer manifest)")
    if options.folds:
        raise ConfigError("--folds: each fold needs a model of its own: vidfer train temporal --manifest --folds")
    unused = [setting for setting in options.set if setting.strip().startswith("emotions.")]
    if unused:
        raise ConfigError(
            f"--set {unused[0]}: vidfer evaluate temporal measures the sequence model by itself, before [emotions]; "
            "vidfer evaluate --manifest gives the timeline with it"
        )
    manifest, config = _manifest(options), _pipeline(options)
    split = _split(options.split, manifest.split)
    name, causal = _chosen_model(options, config)
    corpus = _read(manifest, options, config)
    model = _model(name, causal, options, config, corpus)
    found = evaluate_on_corpus(model, corpus, split)
    found.write(Path(options.out))
    if not options.quiet:
        print(f"{name} on {split}:\n{_described(found)}")


def _manifest(options: argparse.Namespace) -> Any:
    from vidfer.learning.datasets.manifest import read_manifest

    return read_manifest(options.manifest, root=options.root)


def _pipeline(options: argparse.Namespace) -> PipelineConfig:
    return load_pipeline(options.pipeline, [f"run.device={options.device}", *options.set])


def _read(manifest: Any, options: argparse.Namespace, config: PipelineConfig) -> LabelledCorpus:
    """Return the labelled tracks of a manifest's videos, computing what is not there yet."""
    from vidfer.learning.corpus import read_corpus

    results = Path(options.clips) if options.clips else Path(options.out) / "clips"
    with Progress(len(set(manifest.path)), quiet=options.quiet) as progress:
        reading = read_corpus(manifest, results, config, on_event=progress.on_event)
    if reading.failed and not options.quiet:
        print(
            f"{len(reading.failed)} videos could not be used and are left out: see {results / 'failures.csv'}",
            file=sys.stderr,
        )
    return reading.corpus


def _split(wanted: str | None, there: tuple[str, ...]) -> ManifestSplit:
    from vidfer.learning.datasets.manifest import SPLITS

    found = next((name for name in SPLITS if name == (wanted or "test")), None)
    if found is None:
        raise ConfigError(f"--split {wanted}: a manifest has {', '.join(SPLITS)}")
    if found not in there:
        raise ConfigError(f"the manifest has no row of the split {found}, only {', '.join(sorted(set(there)))}")
    return found  # type: ignore[return-value]


def _chosen_model(options: argparse.Namespace, config: PipelineConfig) -> tuple[str, bool]:
    """Return name and causality: of the weights that are given, of --model, or of the pipeline."""
    if not options.weights:
        return options.model or config.temporal.name, config.temporal.causal
    from vidfer.weights import digests, load_tensors

    metadata = load_tensors(Path(options.weights))[1]
    name, made_for = str(metadata.get("name")), metadata.get("backbone", {})
    if metadata.get("kind") != "temporal" or (options.model and options.model != name):
        raise WeightsError(
            f"{options.weights}: expected weights of a temporal model {options.model}, got those of {name}"
        )
    if made_for.get("sha256") not in (None, *digests("backbone", config.backbone.name, config.backbone.weights)):
        raise WeightsError(
            f"{options.weights}: trained on embeddings of another backbone than {config.backbone.name!r}: set "
            "backbone.name and backbone.weights to the one it was trained with, or train it again"
        )
    return name, bool(metadata.get("model", {}).get("causal"))


def _model(
    name: str, causal: bool, options: argparse.Namespace, config: PipelineConfig, corpus: LabelledCorpus
) -> TemporalModel:
    from vidfer.device import pick_device
    from vidfer.learning.training.corpus import markov_model
    from vidfer.temporal import TEMPORAL_MODELS

    if name == "hmm":
        fitted = markov_model(corpus.part("train"), causal=causal)
        if fitted is not None:
            return fitted
    settings = config.temporal
    return TEMPORAL_MODELS.get(name)(
        device=str(pick_device(config.run.device)),
        weights=options.weights or (settings.weights if name == settings.name else ""),
        causal=causal,
        window_seconds=settings.window_seconds,
        overlap_seconds=settings.overlap_seconds,
        **options_of(settings, name),
    )


def _described(found: CorpusEvaluation) -> str:
    lines = []
    if found.clips is not None:
        lines.append(f"clips:  {_figures(found.clips)}")
        if found.clips_without_face:
            lines.append(
                f"no face in {len(found.clips_without_face)} more clips; with those as wrong WAR is "
                f"{found.clip_accuracy_of_all:.2%}"
            )
    lines.append(f"frames: {_figures(found.frames)}, calibration error {found.calibration.ece:.2%}")
    if found.timing is not None:
        timing = found.timing
        lines.append(
            f"changes of label relative to the truth's: {figure_text(timing.change_ratio, '.2f')}; onsets: "
            f"{timing.onsets}, found {timing.onset_found:.0%}, median distance in s: "
            f"{figure_text(timing.onset_error_seconds, '.2f')}"
        )
    if found.affect is not None:
        affect = found.affect
        lines.append(
            f"concordance (CCC) over {affect.frames} frames: valence {affect.valence_ccc:.3f}, "
            f"arousal {affect.arousal_ccc:.3f}"
        )
    return "\n".join(lines)


def _figures(found: Classification) -> str:
    classes = ", ".join(f"{name} {one.f1:.2f}" for name, one in found.classes.items() if one.support)
    return f"{found.samples}, WAR {found.accuracy:.2%}, UAR {found.uar:.2%}, F1 {found.macro_f1:.3f} ({classes})"
