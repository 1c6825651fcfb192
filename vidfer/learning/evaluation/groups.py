"""Whether a network is as good for one group of people, sites or cameras as for another.

Intervals are by bootstrap over people, not over their pictures: a hundred pictures of one person tell of one person.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from vidfer.errors import ConfigError, DataError
from vidfer.labels import EMOTIONS, NUM_EMOTIONS
from vidfer.learning.datasets.manifest import Manifest
from vidfer.learning.evaluation.calibration import confidence_bins
from vidfer.spreadsheet import guarded

FEW: Final = 30  # people; with fewer an interval by bootstrap is too narrow
FIGURES: Final = {"accuracy": "accuracy", "uar": "mean recall (UAR)", "ece": "calibration error"}
_DRAWS, _SEED = 1000, 0
_LEVEL = (2.5, 97.5)  # percentiles: 95 % intervals


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure 0..1 with its 95 % interval; all NaN where it cannot be computed."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class GroupFigures:
    """Figures of the rows that have the same values in some columns.

    Attributes
    ----------
    group
        The columns and their values.
    rows, people, without_face
        How many rows and people there are, and in how many rows no face was found.
    accuracy
        Over all rows: one without a face is wrong.
    uar, ece
        Mean recall over the classes that occur in the group (rows without a face as wrong), and calibration error.
    mean_probabilities
        (8,) over the rows with a face, by `vidfer.labels.EMOTIONS`.
    labels
        (8,) rows of each label: groups with other labels are not comparable by accuracy.
    """

    group: dict[str, str]
    rows: int
    people: int
    without_face: int
    accuracy: Interval
    uar: Interval
    ece: Interval
    mean_probabilities: tuple[float, ...]
    labels: tuple[int, ...]

    @property
    def name(self) -> str:
        return ", ".join(f"{column} {value or '(empty)'}" for column, value in self.group.items())

    @property
    def few(self) -> bool:
        """Too few people to say much."""
        return self.people < FEW

    def to_json(self) -> dict[str, Any]:
        """Return plain types for ``json.dump``."""
        return {**asdict(self), "few": self.few}


def check_columns(manifest: Manifest, columns: Sequence[str]) -> None:
    """Raise ConfigError for a column that the manifest has not."""
    for column in columns:
        if column not in manifest.further:
            there = ", ".join(manifest.further) or "none"
            raise ConfigError(f"--by {column}: the manifest has no such column; its further columns: {there}")


def figures_by_group(
    manifest: Manifest, rows: np.ndarray, probabilities: Sequence[np.ndarray | None], columns: Sequence[str]
) -> tuple[GroupFigures, ...]:
    """Return the figures of each value of each column and, for several columns, of each combination of their values.

    Parameters
    ----------
    manifest, rows
        The rows (M,) that were looked at.
    probabilities
        (8,) of each of them; None without a face.
    columns
        Of ``manifest.further``.
    """
    check_columns(manifest, columns)
    by = [(column,) for column in columns] + ([tuple(columns)] if len(columns) > 1 else [])
    return tuple(
        _figures(dict(zip(names, values, strict=True)), manifest, rows[mine], [probabilities[i] for i in mine])
        for names in by
        for values, mine in sorted(_groups(manifest, rows, names).items())
    )


def _groups(manifest: Manifest, rows: np.ndarray, names: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, row in enumerate(rows.tolist()):
        groups.setdefault(tuple(manifest.further[name][row] for name in names), []).append(i)
    return groups


def _figures(
    group: Mapping[str, str], manifest: Manifest, rows: np.ndarray, probabilities: Sequence[np.ndarray | None]
) -> GroupFigures:
    found = np.array([one is not None for one in probabilities])
    p = np.stack([np.zeros(NUM_EMOTIONS) if one is None else one for one in probabilities])  # (M, 8)
    truth = manifest.label_index[rows]
    # Where a corpus does not tell who is seen, each row counts as a person.
    people = np.array([manifest.subject_id[row] or f"\0{row}" for row in rows.tolist()])
    names, person = np.unique(people, return_inverse=True)
    sums = _sums_by_person(p, truth, found, person, len(names))
    drawn = np.random.default_rng(_SEED).multinomial(len(names), np.full(len(names), 1 / len(names)), size=_DRAWS)
    value = _measured(sums.sum(0, keepdims=True))[0]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of figures that are NaN in every draw
        limits = np.nanpercentile(_measured(drawn @ sums), _LEVEL, axis=0)  # (2, 3)
    accuracy, uar, ece = (
        Interval(value=float(v), low=float(low), high=float(high)) for v, low, high in zip(value, *limits, strict=True)
    )
    return GroupFigures(
        group=dict(group),
        rows=len(rows),
        people=len(names),
        without_face=int((~found).sum()),
        accuracy=accuracy,
        uar=uar,
        ece=ece,
        mean_probabilities=tuple(float(v) for v in p[found].mean(0)) if found.any() else (np.nan,) * NUM_EMOTIONS,
        labels=tuple(int(n) for n in np.bincount(truth, minlength=NUM_EMOTIONS)),
    )


def _sums_by_person(
    p: np.ndarray, truth: np.ndarray, found: np.ndarray, person: np.ndarray, num_people: int
) -> np.ndarray:
    """Return (P, 2 * 8 + 2 * bins): rows and right rows of each class, rows and confidence minus right of each bin."""
    confidence, right = p.max(1), (p.argmax(1) == truth) & found
    edges, bins = confidence_bins(confidence)
    by_class = np.zeros((2, num_people, NUM_EMOTIONS))
    by_bin = np.zeros((2, num_people, len(edges) - 1))
    np.add.at(by_class[0], (person, truth), 1)
    np.add.at(by_class[1], (person, truth), right)
    np.add.at(by_bin[0], (person, bins), found)
    np.add.at(by_bin[1], (person, bins), (confidence - right) * found)
    return np.concatenate([*by_class, *by_bin], axis=1)


def _measured(sums: np.ndarray) -> np.ndarray:
    """Return (D, 3) accuracy, mean recall and calibration error of (D, 2 * 8 + 2 * bins) sums."""
    rows, right = sums[:, :NUM_EMOTIONS], sums[:, NUM_EMOTIONS : 2 * NUM_EMOTIONS]
    found, off = np.split(sums[:, 2 * NUM_EMOTIONS :], 2, axis=1)
    with np.errstate(invalid="ignore"):
        recall = np.where(rows > 0, right / rows, 0).sum(1) / (rows > 0).sum(1)
        return np.stack([right.sum(1) / rows.sum(1), recall, np.abs(off).sum(1) / found.sum(1)], 1)


def groups_table(groups: Sequence[GroupFigures]) -> str:
    """Return CSV, a line a group; raises DataError without groups."""
    if not groups:
        raise DataError("no groups: expected at least one column to group by")
    columns = list(dict.fromkeys(column for one in groups for column in one.group))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    figures = [f"{key}{end}" for key in FIGURES for end in ("", "_low", "_high")]
    counts = [f"labelled_{name}" for name in EMOTIONS]
    writer.writerow([*columns, "rows", "people", "few_people", "without_face", *figures, *EMOTIONS, *counts])
    for one in groups:
        numbers = [getattr(getattr(one, key), end) for key in FIGURES for end in ("value", "low", "high")]
        writer.writerow(
            [
                *(guarded(one.group[column]) if column in one.group else "all" for column in columns),
                *(one.rows, one.people, int(one.few), one.without_face),
                *("" if np.isnan(v) else f"{v:.4f}" for v in (*numbers, *one.mean_probabilities)),
                *one.labels,
            ]
        )
    return text.getvalue()


def plot_groups(groups: Sequence[GroupFigures], path: Path) -> None:
    """Draw each group's figures with their intervals as PNG; groups of few people are hollow and gray."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.4 + 0.34 * len(groups)), layout="constrained")
    panels = figure.subplots(1, len(FIGURES), sharey=True, squeeze=False)[0]
    for axes, (key, title) in zip(panels, FIGURES.items(), strict=True):
        for y, one in enumerate(groups):
            found: Interval = getattr(one, key)
            colour = "0.6" if one.few else "C0"
            axes.plot([found.low, found.high], [y, y], color=colour, lw=1.5)
            axes.plot(found.value, y, "o", color=colour, mfc="white" if one.few else colour)
        axes.set_title(title)
        axes.set_xlim(0, 1)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(groups)), [f"{one.name}  (n = {one.people})" for one in groups])
    panels[0].invert_yaxis()
    figure.supxlabel(f"95 % intervals over people; hollow: fewer than {FEW} people", fontsize=9)
    figure.savefig(path, dpi=120)
