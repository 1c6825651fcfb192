"""What a network says of labelled clips and pictures, measured."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX, EMOTIONS
from vidfer.learning.datasets.manifest import Manifest
from vidfer.learning.evaluation.faces import FaceEvaluation, evaluate_probabilities
from vidfer.learning.evaluation.folds import FoldFigures
from vidfer.learning.evaluation.groups import GroupFigures, figures_by_group, groups_table, plot_groups
from vidfer.spreadsheet import guarded
from vidfer.temporal.baseline import centred, neutral_row_shifts, unlabelled_row_shifts
from vidfer.temporal.prior import matched, shifted


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen of the person that one row of a manifest is about; T is 1 for a picture.

    Attributes
    ----------
    vectors
        (T, D) float16, the per-frame network's embeddings.
    network
        (T, 8) float64 probabilities of the per-frame network, with the prior of ``[emotions]``, without its baseline.
    timeline
        (T, 8) float64 probabilities of the timeline that ``vidfer process`` writes, with both; None for a picture.
    """

    vectors: np.ndarray
    network: np.ndarray
    timeline: np.ndarray | None = None


_FOLDERS: Final = (
    *("network", "network_frames", "network_baseline", "network_baseline_unlabelled", "network_matched"),
    *("timeline", "timeline_frames", "timeline_matched", "folds_as_trained", "folds_refitted"),
)


@dataclass(frozen=True, kw_only=True)
class ManifestEvaluation:
    """Figures of a network on the rows of a manifest.

    Attributes
    ----------
    figures
        ``network`` (per row, the mean of its frames' probabilities), and for videos also ``network_frames`` (every
        frame counts), ``timeline`` and ``timeline_frames`` (the same of the output over time). ``network_baseline``,
        ``network_baseline_unlabelled`` and ``_matched``: see ``evaluate_rows``.
    rows
        How many rows there are.
    without_face
        ``clip_id`` of the rows in which nobody was seen: they are in no figure.
    found_and_right
        Share of all rows whose face was found and whose label is right: the accuracy with those rows as wrong.
    predictions
        CSV, a line a row.
    folds
        Cross-validation by subject, if it was asked for.
    groups
        Figures by group, if they were asked for: of a video by its timeline, of a picture by the network.
    """

    figures: dict[str, FaceEvaluation]
    rows: int
    without_face: tuple[str, ...]
    found_and_right: float
    predictions: str
    folds: dict[str, FoldFigures] = field(default_factory=dict)
    groups: tuple[GroupFigures, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain types for ``json.dump``."""
        return {
            "rows": self.rows,
            "without_face": list(self.without_face),
            "found_and_right": self.found_and_right,
            "figures": {name: figures.to_json() for name, figures in self.figures.items()},
            "folds": {name: figures.to_json() for name, figures in self.folds.items()},
            "groups": [figures.to_json() for figures in self.groups],
        }

    def write(self, folder: Path) -> None:
        """Write ``metrics.json`` and ``predictions.csv``, and for each of ``figures`` a folder with its pictures.

        What an evaluation before left there and this one has not is removed.
        """
        for name in {*_FOLDERS} - {*self.figures, *(f"folds_{name}" for name in self.folds)}:
            FaceEvaluation.remove(folder / name)
        if (folder / "groups.png").is_file():  # a table alone is a user's own
            for name in ("groups.csv", "groups.png"):
                (folder / name).unlink(missing_ok=True)
        for name, figures in self.figures.items():
            figures.write(folder / name)
        for name, folds in self.folds.items():
            folds.pooled.write(folder / f"folds_{name}")
        (folder / "metrics.json").write_text(json.dumps(self.to_json(), indent=1) + "\n")
        (folder / "predictions.csv").write_text(self.predictions, errors="surrogateescape")
        if self.groups:
            (folder / "groups.csv").write_text(groups_table(self.groups), errors="surrogateescape")
            plot_groups(self.groups, folder / "groups.png")


def evaluate_rows(
    manifest: Manifest,
    rows: np.ndarray,
    seen: list[Seen | None],
    *,
    folds: dict[str, FoldFigures] | None = None,
    by: Sequence[str] = (),
    match_shares: bool = False,
    neutral_average: np.ndarray | None = None,
    prior_ratio: np.ndarray | float = 0.0,
) -> ManifestEvaluation:
    """Compare what was seen of each row with its label.

    Parameters
    ----------
    manifest, rows
        The rows (M,) that were looked at.
    seen
        For each of them what was seen; None where no face was.
    folds
        To be reported with the rest.
    by
        Further columns of the manifest by whose values figures are given, too.
    match_shares
        Also read all rows together, as a set of which it is known how often each label occurs, but not where
        (``temporal.prior.matched``).
    neutral_average
        (8,) log-odds of neutral faces on average, before the prior: also read each row against its person's neutral
        rows (``temporal.baseline.neutral_row_shifts``), and against what is found without labels
        (``unlabelled_row_shifts``), where anybody has either.
    prior_ratio
        (8,) what a prior added to the log-probabilities of ``seen``.

    Raises
    ------
    DataError
        If no face was seen in any row.
    """
    with_face = [i for i, one in enumerate(seen) if one is not None]
    if not with_face:
        raise DataError("nothing to evaluate: no face was found in any row of the manifest")
    labels = manifest.label_index[rows[with_face]]
    found = [one for one in seen if one is not None]
    per_row = np.stack([one.network.mean(0) for one in found])  # (M, 8)
    figures = {"network": evaluate_probabilities(per_row, labels)}
    videos = [i for i, one in enumerate(found) if one.timeline is not None]
    if videos:
        frames = np.repeat(labels[videos], [len(found[i].network) for i in videos])
        timelines = [one.timeline for one in found if one.timeline is not None]
        figures["network_frames"] = evaluate_probabilities(np.concatenate([found[i].network for i in videos]), frames)
        figures["timeline"] = evaluate_probabilities(np.stack([one.mean(0) for one in timelines]), labels[videos])
        figures["timeline_frames"] = evaluate_probabilities(np.concatenate(timelines), frames)
    if neutral_average is not None:
        subjects = [manifest.subject_id[int(rows[i])] for i in with_face]
        figures |= _baseline_figures(per_row, labels, subjects, neutral_average, prior_ratio)
    if match_shares:
        figures |= _matched_figures(labels, per_row, found)
    right = int((per_row.argmax(1) == labels).sum())
    return ManifestEvaluation(
        figures=figures,
        rows=len(rows),
        without_face=tuple(manifest.clip_id[int(row)] for row, one in zip(rows, seen, strict=True) if one is None),
        found_and_right=right / len(rows),
        predictions=_predictions(manifest, rows, seen),
        folds=folds or {},
        groups=figures_by_group(manifest, rows, [None if one is None else _of_row(one) for one in seen], by)
        if by
        else (),
    )


def _baseline_figures(
    per_row: np.ndarray, labels: np.ndarray, subjects: list[str], average: np.ndarray, prior_ratio: np.ndarray | float
) -> dict[str, FaceEvaluation]:
    odds = centred(np.log(np.maximum(per_row, 1e-9)) - prior_ratio)
    shifts = {
        "network_baseline": neutral_row_shifts(odds, subjects, labels == EMOTION_INDEX["neutral"], average),
        "network_baseline_unlabelled": unlabelled_row_shifts(odds, subjects, average),
    }
    return {
        name: evaluate_probabilities(shifted(per_row, shift), labels) for name, shift in shifts.items() if shift.any()
    }


def _matched_figures(labels: np.ndarray, per_row: np.ndarray, found: list[Seen]) -> dict[str, FaceEvaluation]:
    shares = np.bincount(labels, minlength=len(EMOTIONS))
    figures = {"network_matched": evaluate_probabilities(matched(per_row, shares), labels)}
    if any(one.timeline is not None for one in found):
        over_time = matched(np.stack([_of_row(one) for one in found]), shares)
        figures["timeline_matched"] = evaluate_probabilities(over_time, labels)
    return figures


def _of_row(seen: Seen) -> np.ndarray:
    return np.asarray((seen.network if seen.timeline is None else seen.timeline).mean(0, dtype=np.float64))


def _predictions(manifest: Manifest, rows: np.ndarray, seen: list[Seen | None]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip_id", "subject_id", "split", "label", "predicted", "frames", *EMOTIONS])
    for row, one in zip(rows.tolist(), seen, strict=True):
        known = [
            guarded(manifest.clip_id[row]),
            guarded(manifest.subject_id[row]),
            manifest.split[row],
            manifest.label[row],
        ]
        if one is None:
            writer.writerow([*known, "", 0, *[""] * len(EMOTIONS)])
            continue
        mean = one.network.mean(0)
        writer.writerow([*known, EMOTIONS[int(mean.argmax())], len(one.network), *(f"{value:.4f}" for value in mean)])
    return text.getvalue()
