"""How well people who label agree with each other and with vidfer: per frame, per episode and per clip."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX, EMOTIONS, UNSURE, WRONG
from vidfer.learning.datasets.manifest import Manifest, read_manifest
from vidfer.spreadsheet import table_csv
from vidfer.store.outputs import write_if_changed
from vidfer.study.analysis import analyse
from vidfer.study.recordings import Recording
from vidfer.study.settings import load_study

if TYPE_CHECKING:
    import pandas as pd

VIDFER: Final = "vidfer"
STATES: Final = (*EMOTIONS, UNSURE)
MISSING: Final = -1  # not labelled by this coder
_SAMPLES = 999
_MIN_PEOPLE = 3  # for an interval over them


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What one coder says of a stretch [start, end) in seconds from the clip's first frame."""

    label: int
    start: float
    end: float
    intensity: float = float("nan")


Coded = Mapping[str, Sequence[Stretch]]  # by coder, of one clip


def read_labels(paths: Sequence[str | Path], recordings: Sequence[Recording]) -> dict[str, dict[str, list[Stretch]]]:
    """Read labels of coders and add vidfer's own episodes.

    Parameters
    ----------
    paths
        Manifests with a column ``annotator``; without one the file's name is the coder. Times are seconds
        from the first frame.
    recordings
        The clips that they are about.

    Returns
    -------
    By clip, then coder; clips that nobody labelled are absent.

    Raises
    ------
    DataError
        A file is wrong, names a video that is no clip of the study, or a coder labels a moment twice.
    """
    of_video: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        of_video[str(recording.summary.get("video", ""))].append(recording)
        of_video[recording.part.clip].append(recording)
    found: dict[str, dict[str, list[Stretch]]] = defaultdict(lambda: defaultdict(list))
    for path in map(Path, paths):
        manifest = read_manifest(path, check_files=False, keep_wrong=True)
        names = manifest.further.get("annotator", ())
        intensities = manifest.further.get("intensity", ())
        for row in range(len(manifest)):
            if manifest.label[row] == WRONG:
                continue
            where = f"{path}: row {row + 1} (line {row + 2})"
            recording = _recording_of(manifest, row, of_video, where)
            coder = (names[row] if names else "") or path.stem
            start, end = float(manifest.start_seconds[row]), float(manifest.end_seconds[row])
            stretch = Stretch(
                label=EMOTION_INDEX[manifest.label[row]],
                start=0.0 if np.isnan(start) else start,
                end=recording.clip_seconds if np.isnan(end) else end,
                intensity=_intensity(intensities[row] if intensities else "", where),
            )
            mine = found[recording.part.clip][coder]
            if any(stretch.start < one.end - 1e-6 and one.start < stretch.end - 1e-6 for one in mine):
                raise DataError(
                    f"{where}, column start_seconds: {coder} labels a moment of {recording.part.clip} twice"
                )
            mine.append(stretch)
    for recording in recordings:
        if recording.part.clip in found and VIDFER not in found[recording.part.clip]:
            found[recording.part.clip][VIDFER] = [
                Stretch(label=int(label), start=start, end=end) for label, start, end, _ in recording.episodes
            ]
    return {clip: dict(coders) for clip, coders in sorted(found.items())}


def _recording_of(manifest: Manifest, row: int, of_video: Mapping[str, Sequence[Recording]], where: str) -> Recording:
    """Return the recording of a row's video: by its content, then by name and the folders above it."""
    path = manifest.path[row]
    known = of_video.get(path.name, ()) or of_video.get(path.stem, ())
    by_content = [one for one in known if one.summary.get("fingerprint") == manifest.sha256[row]]
    fitting = by_content or [one for one in known if path.with_suffix("").as_posix().endswith(one.part.clip)] or known
    clips = {one.part.clip for one in fitting}
    if len(clips) != 1:
        what = f"several clips could be {path.name}: {', '.join(sorted(clips))}" if clips else f"no clip is {path.name}"
        raise DataError(f"{where}, column path: {what}")
    return fitting[0]


def _intensity(text: str, where: str) -> float:
    try:
        return float(text) if text else float("nan")
    except ValueError:
        raise DataError(f"{where}, column intensity: expected a number, got {text!r}") from None


def on_one_clock(coded: Coded, coders: Sequence[str], seconds: float, hz: float) -> np.ndarray:
    """Return what each coder says at each step, (C, T) int64 into ``STATES``; ``MISSING`` where nothing is marked.

    vidfer labels every step: where it has no episode that is unsure.
    """
    times = (np.arange(max(1, round(seconds * hz))) + 0.5) / hz
    said = np.full((len(coders), len(times)), MISSING)
    for row, coder in enumerate(coders):
        if coder == VIDFER:
            said[row] = len(EMOTIONS)
        for one in coded.get(coder, ()):
            said[row, slice(*np.searchsorted(times, [one.start, one.end]))] = one.label
    return said


def agreement(
    labels: Mapping[str, Coded],
    recordings: Sequence[Recording],
    *,
    hz: float = 10.0,
    tolerance_seconds: float = 0.5,
    seed: int = 1,
    alpha: float = 0.05,
) -> dict[str, pd.DataFrame]:
    """Compare coders with each other and with vidfer.

    Returns
    -------
    ``agreement``: level (frame, episode, clip), statistic, coders, value, interval over participants, units;
    ``confusion``: seconds in which a coder says one label and another coder another.

    Raises
    ------
    DataError
        Fewer than two coders.
    """
    import pandas as pd

    coders = [*sorted({coder for coded in labels.values() for coder in coded} - {VIDFER}), VIDFER]
    if len(coders) < 2:
        raise DataError("nobody labelled a clip of the study")
    owner = {recording.part.clip: recording.part.participant for recording in recordings}
    ends = {recording.part.clip: recording.clip_seconds for recording in recordings}
    frames: dict[str, list[np.ndarray]] = defaultdict(list)  # by participant
    whole: dict[str, list[np.ndarray]] = defaultdict(list)
    for clip, coded in labels.items():
        said = on_one_clock(coded, coders, ends[clip], hz)
        frames[owner[clip]].append(said)
        whole[owner[clip]].append(np.array([[_longest(row)] for row in said]))
    rng = np.random.default_rng([seed, 13])
    rows: list[dict[str, Any]] = []
    people = coders[:-1]
    for level, units in (("frame", frames), ("clip", whole)):
        of_person = [np.concatenate(units[name], axis=1) for name in sorted(units)]
        groups = [list(pair) for pair in itertools.combinations(coders, 2)]
        for group in [*groups, *(more for more in (people, coders) if len(more) > 2)]:
            chosen = [said[[coders.index(coder) for coder in group]] for said in of_person]
            for name, (count, statistic) in _STATISTICS.items():
                if (len(group) == 2) is (name in _OF_TWO) or name == "krippendorff_alpha":
                    figures = _with_interval([count(said) for said in chosen], statistic, rng, alpha)
                    units_used = int(sum(((said != MISSING).sum(axis=0) > 1).sum() for said in chosen))
                    head = {"level": level, "statistic": name, "coders": " and ".join(group), "units": units_used}
                    rows.append({**head, **figures})
    rows += _episodes(labels, owner, coders, tolerance_seconds, rng, alpha)
    rows += _intensities(labels, owner, people, rng, alpha)
    columns = ["level", "statistic", "coders", "value", "low", "high", "participants", "units"]
    return {"agreement": pd.DataFrame(rows, columns=columns), "confusion": _confusion(frames, coders, hz)}


def _longest(said: np.ndarray) -> int:
    marked = said[said != MISSING]
    return int(np.bincount(marked, minlength=len(STATES)).argmax()) if len(marked) else MISSING


def _counts(said: np.ndarray) -> np.ndarray:
    """Return how many coders say each label of each unit, (T, K) for (C, T)."""
    return np.stack([(said == label).sum(axis=0) for label in range(len(STATES))], axis=1).astype(np.float64)


def crossed(said: np.ndarray) -> np.ndarray:
    """Return how often the first of two coders says one label and the second another, (K, K), where both say one."""
    both = (said != MISSING).all(axis=0)
    pairs = said[0, both] * len(STATES) + said[1, both]
    return np.bincount(pairs, minlength=len(STATES) ** 2).reshape(len(STATES), len(STATES)).astype(np.float64)


def coincidences(said: np.ndarray) -> np.ndarray:
    """Return how often labels meet in a unit, (K, K): Krippendorff (2004); units that one coder labels do not count."""
    counts = _counts(said)
    per_unit = counts.sum(axis=1)
    counts, pairs = counts[per_unit > 1], per_unit[per_unit > 1] - 1
    found: np.ndarray = (counts / pairs[:, None]).T @ counts - np.diag((counts / pairs[:, None]).sum(axis=0))
    return found


def fleiss_counts(said: np.ndarray) -> np.ndarray:
    """Return the units that all C coders label, the sum of their agreement, and each label's share: (2 + K,)."""
    counts = _counts(said)
    counts = counts[counts.sum(axis=1) == len(said)]
    agreed = ((counts**2).sum(axis=1) - len(said)) / (len(said) * (len(said) - 1))
    return np.concatenate([[len(counts), agreed.sum()], counts.sum(axis=0) / len(said)])


# Each of these is of sums over units, so that participants can be drawn without counting again: (..., K, K) -> (...).


def accuracy(table: np.ndarray) -> np.ndarray:
    """Return the share of units of which two coders say the same."""
    return np.asarray(np.trace(table, axis1=-2, axis2=-1) / table.sum(axis=(-2, -1)))


def cohen_kappa(table: np.ndarray) -> np.ndarray:
    """Return Cohen's kappa (1960) of a table of two coders."""
    total = table.sum(axis=(-2, -1))
    by_chance = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1) / total**2
    return np.asarray((accuracy(table) - by_chance) / (1 - by_chance))


def krippendorff_alpha(table: np.ndarray) -> np.ndarray:
    """Return Krippendorff's alpha for nominal labels from their coincidences."""
    of_label = table.sum(axis=-1)
    total = of_label.sum(axis=-1)
    observed = total - np.trace(table, axis1=-2, axis2=-1)
    expected = (total**2 - (of_label**2).sum(axis=-1)) / (total - 1)
    return np.asarray(1 - observed / expected)


def fleiss_kappa(counts: np.ndarray) -> np.ndarray:
    """Return Fleiss' kappa (1971) from ``fleiss_counts``."""
    units = counts[..., 0]
    by_chance = ((counts[..., 2:] / units[..., None]) ** 2).sum(axis=-1)
    return np.asarray((counts[..., 1] / units - by_chance) / (1 - by_chance))


def _f1(counts: np.ndarray) -> np.ndarray:
    """Return F1 of (..., 3): episodes that are the same, of the first coder, of the second."""
    return np.asarray(2 * counts[..., 0] / (counts[..., 1] + counts[..., 2]))


_OF_TWO = ("cohen_kappa", "accuracy")
_STATISTICS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "krippendorff_alpha": (coincidences, krippendorff_alpha),
    "cohen_kappa": (crossed, cohen_kappa),
    "accuracy": (crossed, accuracy),
    "fleiss_kappa": (fleiss_counts, fleiss_kappa),
}


def _with_interval(
    of_person: Sequence[np.ndarray],
    statistic: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    alpha: float,
) -> dict[str, Any]:
    """Return the statistic of the sum over participants, and its interval over samples of them."""
    every, people = np.stack(of_person), len(of_person)
    weights = rng.multinomial(people, np.full(people, 1 / people), _SAMPLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(every.sum(axis=0)))
        drawn = statistic(np.tensordot(weights, every, axes=1))
    return {"value": value, **_interval(drawn, people, alpha), "participants": people}


def _interval(drawn: np.ndarray, people: int, alpha: float) -> dict[str, float]:
    known = drawn[np.isfinite(drawn)]
    if people < _MIN_PEOPLE or not len(known):
        return {"low": float("nan"), "high": float("nan")}
    low, high = np.quantile(known, [alpha / 2, 1 - alpha / 2])
    return {"low": float(low), "high": float(high)}


def matched(first: Sequence[Stretch], second: Sequence[Stretch], tolerance_seconds: float) -> int:
    """Return how many episodes of two coders are the same: label, and onset and end within the tolerance; each once."""
    free = list(second)
    pairs = 0
    for one in sorted(first, key=lambda stretch: stretch.start):
        fitting = [
            other
            for other in free
            if other.label == one.label
            and abs(other.start - one.start) <= tolerance_seconds
            and abs(other.end - one.end) <= tolerance_seconds
        ]
        if fitting:
            free.remove(min(fitting, key=lambda other: abs(other.start - one.start)))
            pairs += 1
    return pairs


def _episodes(
    labels: Mapping[str, Coded],
    owner: Mapping[str, str],
    coders: Sequence[str],
    tolerance: float,
    rng: np.random.Generator,
    alpha: float,
) -> list[dict[str, Any]]:
    rows = []
    for first, second in itertools.combinations(coders, 2):
        of_person: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3))
        for clip, coded in labels.items():
            if first in coded and second in coded:
                a, b = coded[first], coded[second]
                of_person[owner[clip]] += [matched(a, b, tolerance), len(a), len(b)]
        if of_person:
            counts = [of_person[name] for name in sorted(of_person)]
            head = {"level": "episode", "statistic": f"f1_within_{tolerance:g}_s", "coders": f"{first} and {second}"}
            units = int(sum(one[1:].sum() for one in counts))
            rows.append({**head, **_with_interval(counts, _f1, rng, alpha), "units": units})
    return rows


def _intensities(
    labels: Mapping[str, Coded], owner: Mapping[str, str], people: Sequence[str], rng: np.random.Generator, alpha: float
) -> list[dict[str, Any]]:
    """Return ICC of the mean intensity of each clip and label that all coders gave one."""
    of_person: dict[str, list[np.ndarray]] = defaultdict(list)
    for clip, coded in labels.items():
        for label in range(len(EMOTIONS)):
            given = [[s.intensity for s in coded.get(c, ()) if s.label == label and s.intensity == s.intensity]
                     for c in people]  # fmt: skip
            if all(given):
                of_person[owner[clip]].append(np.array([[np.mean(one)] for one in given]))
    if len(people) < 2 or sum(map(len, of_person.values())) < 2:
        return []
    units = [np.concatenate(of_person[name], axis=1) for name in sorted(of_person)]
    drawn = [
        icc(np.concatenate([units[one] for one in rng.integers(0, len(units), len(units))], axis=1))
        for _ in range(_SAMPLES)
    ]
    every = np.concatenate(units, axis=1)
    figures = {"value": icc(every), **_interval(np.array(drawn), len(units), alpha), "units": every.shape[1]}
    head = {"level": "clip and label", "statistic": "icc_2_1_intensity", "coders": " and ".join(people)}
    return [{**head, **figures, "participants": len(units)}]


def icc(ratings: np.ndarray) -> float:
    """Return ICC(2,1) of (C, N) ratings: absolute agreement of single coders (Shrout, Fleiss 1979)."""
    coders, units = ratings.shape
    if units < 2:
        return float("nan")
    grand = ratings.mean()
    between = coders * ((ratings.mean(axis=0) - grand) ** 2).sum() / (units - 1)
    of_coders = units * ((ratings.mean(axis=1) - grand) ** 2).sum() / (coders - 1)
    rest = ratings - ratings.mean(axis=0) - ratings.mean(axis=1, keepdims=True) + grand
    error = (rest**2).sum() / ((units - 1) * (coders - 1))
    total = between + (coders - 1) * error + coders * (of_coders - error) / units
    return float((between - error) / total) if total > 0 else float("nan")


def _confusion(frames: Mapping[str, Sequence[np.ndarray]], coders: Sequence[str], hz: float) -> pd.DataFrame:
    import pandas as pd

    every = np.concatenate([said for of_person in frames.values() for said in of_person], axis=1)
    rows = []
    for first, second in itertools.combinations(range(len(coders)), 2):
        seconds = crossed(every[[first, second]]) / hz
        rows += [
            {"coder": coders[first], "says": STATES[a], "other": coders[second], "other_says": STATES[b],
             "seconds": seconds[a, b]}
            for a, b in np.argwhere(seconds > 0).tolist()
        ]  # fmt: skip
    return pd.DataFrame(rows, columns=["coder", "says", "other", "other_says", "seconds"])


def run_agreement(
    labels: Sequence[str | Path],
    results: str | Path,
    study: str | Path,
    *,
    tolerance_seconds: float = 0.5,
    out: str | Path | None = None,
) -> dict[str, pd.DataFrame]:
    """Do what ``vidfer study agree`` does.

    Parameters
    ----------
    labels
        Files of labels, as ``read_labels`` takes them.
    results, study
        As in ``run.run_study``; the study file says who is seen in each clip.
    tolerance_seconds
        By which onset and end of the same episode may differ.
    out
        Folder for agreement.csv and confusion.csv; none: nothing is written.

    Raises
    ------
    ConfigError, DataError, OutputError
        As there, and as ``read_labels``.
    """
    settings = load_study(study)
    recordings = analyse(Path(results), settings, folder=Path(study).parent).recordings
    tables = agreement(
        read_labels(labels, recordings),
        recordings,
        hz=settings.analysis.hz,
        tolerance_seconds=tolerance_seconds,
        seed=settings.study.seed,
        alpha=settings.analysis.alpha,
    )
    if out is not None:
        for name, table in tables.items():
            write_if_changed(Path(out) / f"{name}.csv", table_csv(table))
    return tables
