"""The face's timeline with what others read at the same time, from a voice or a text: late fusion by time."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX, EMOTIONS, NUM_EMOTIONS
from vidfer.learning.datasets.manifest import read_manifest
from vidfer.store.layout import PEOPLE_FILE
from vidfer.store.outputs import write_if_changed
from vidfer.study.fused_tables import tables_of_fused
from vidfer.study.person import rows_of_person
from vidfer.study.recordings import find_clips
from vidfer.study.rows import Row, read_rows
from vidfer.timeline.saved import read_summary, read_table

if TYPE_CHECKING:
    import pandas as pd

Pool = Literal["log", "mean"]
SOURCES: Final = ("none", "face", "other", "face+other")
_ALSO: Final = {
    "happy": "happiness", "joy": "happiness", "sad": "sadness", "angry": "anger", "fearful": "fear",
    "surprised": "surprise", "disgusted": "disgust", "calm": "neutral",
}  # fmt: skip
_LABELS: Final = {name: name for name in EMOTIONS} | _ALSO
_TIMES: Final = ("clip", "person", "face", "start", "end", "timestamp")
_MIN_SCORE = 1e-4  # nobody is surer than that: a score of 0 would be a veto
_SUM_TOLERANCE = 0.01  # of a row's sum: rounding
_WEIGHTS = np.linspace(0, 1, 51)
_MAX_NAMED = 5  # clips in one note


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What others say of one person in one clip, or (``who`` empty) of all who are seen in it.

    ``column`` says whether ``who`` is a ``person`` or a ``face``. ``start``, ``end`` (M,) are seconds from the first
    frame, ``values`` (M, 8) probabilities, NaN for labels that they do not know; a moment may lie in several of the M
    stretches, as in sliding windows.
    """

    clip: str
    column: str
    who: str
    start: np.ndarray
    end: np.ndarray
    values: np.ndarray

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """Return the mean over the stretches that each time (T,) lies in, (T, 8); NaN where it lies in none."""
        inside = (seconds[:, None] >= self.start) & (seconds[:, None] < self.end)  # (T, M)
        count = inside.sum(1, keepdims=True)
        return np.where(count > 0, inside @ self.values / np.maximum(count, 1), np.nan)


def pooled(face: np.ndarray, other: np.ndarray, *, weight: float, pool: Pool = "log") -> np.ndarray:
    """Return probabilities of both together, rows summing to 1 over the labels that are known.

    Parameters
    ----------
    face, other
        (T, 8) probabilities; a row of NaN: it says nothing, and the other one stands alone. For labels that ``other``
        does not know (NaN) the face's probability stays, and with it the sum of those that it knows.
    weight
        Of ``other``, 0..1; the face has the rest.
    pool
        ``log``: weighted means of log-probabilities, the logarithmic opinion pool (Genest and Zidek 1986, "Combining
        Probability Distributions"). ``mean``: of probabilities, the linear one (Stone 1961).
    """
    known = np.isfinite(other)
    both = known.any(1) & np.isfinite(face).any(1)
    result = np.where(np.isfinite(face).any(1, keepdims=True), face, other)
    f, o, of = face[both], np.where(known[both], other[both], 0.0), known[both]
    mass = (f * of).sum(1, keepdims=True)  # of the labels that both know
    within = np.where(of, f, 0.0) / np.maximum(mass, 1e-12)
    if pool == "log":
        mixed = np.maximum(within, _MIN_SCORE) ** (1 - weight) * np.maximum(o, _MIN_SCORE) ** weight * of
    else:
        mixed = (1 - weight) * within + weight * o
    result[both] = np.where(of, mixed / mixed.sum(1, keepdims=True) * mass, f)
    return result


def read_scores(path: Path, ends: Mapping[str, float]) -> tuple[list[Scores], list[str]]:
    """Read a table of scores; ``ends`` are the lengths of the clips there are, in seconds.

    Returns
    -------
    The scores, by clip and person; and what a reader must know of the table.

    Raises
    ------
    DataError
        Something in it is wrong: names file, row and column.
    """
    rows = read_rows(path, (), (*_TIMES, *_LABELS, *map(str.title, _LABELS)))
    names = list(rows[0].cells) if rows else []
    columns = {name: _LABELS[name.lower()] for name in names if name.lower() in _LABELS}
    if len(columns) < 2 or len(set(columns.values())) < len(columns):
        raise DataError(f"{path}: expected a column for each emotion ({', '.join(EMOTIONS)}), got {', '.join(names)}")
    if "timestamp" not in names and not {"start", "end"} <= set(names):
        raise DataError(f"{path}: expected the columns start and end, or timestamp (seconds), got {', '.join(names)}")
    unused = [name for name in names if name and name not in columns and name not in _TIMES]
    notes = []
    if missing := [label for label in EMOTIONS if label not in columns.values()]:
        notes.append(f"{path.name} has no {', '.join(missing)}: there the face's probability stays as it is")
    if unused:
        notes.append(f"{path.name}: columns that are no emotion of vidfer's are not used: {', '.join(unused)}")
    groups: dict[tuple[str, str, str], list[tuple[float, float, np.ndarray]]] = {}
    for row in rows:
        column = next((name for name in ("person", "face") if row.text(name)), "")
        stretch = _stretch(row, "timestamp" in names)
        key = _clip(row, ends), column, row.text(column)
        groups.setdefault(key, []).append((*stretch, _values(row, columns, unused)))
    _refuse_milliseconds(rows, groups, ends, "timestamp" if "timestamp" in names else "end")
    return [_scores(*key, group) for key, group in groups.items()], notes


def _clip(row: Row, ends: Mapping[str, float]) -> str:
    name = row.text("clip")
    if not name and len(ends) == 1:
        return next(iter(ends))
    for meant in (name, Path(name).with_suffix("").as_posix() if name else name):
        if meant in ends:
            return meant
    near = difflib.get_close_matches(name, ends, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(ends)[:5])}"
    raise DataError(f"{row.where}, column clip: there are no results of {name!r}{hint}")


def _stretch(row: Row, has_moments: bool) -> tuple[float, float]:
    """Return start and end; NaN as end for a moment."""
    names = ("timestamp",) if has_moments else ("start", "end")
    times = [row.number(name) for name in names]
    for name, value in zip(names, times, strict=True):
        if value is None or value < 0:
            raise DataError(
                f"{row.where}, column {name}: expected seconds from the first frame, got {row.text(name)!r}"
            )
    start, end = float(times[0] or 0.0), float("nan") if has_moments else float(times[1] or 0.0)
    if end <= start:
        raise DataError(f"{row.where}, column end: expected more than the start ({start:g} s), got {end:g}")
    return start, end


def _values(row: Row, columns: Mapping[str, str], unused: Sequence[str]) -> np.ndarray:
    values = np.full(NUM_EMOTIONS, np.nan)
    for name, label in columns.items():
        value = row.number(name)
        if value is None or value < 0:
            raise DataError(f"{row.where}, column {name}: expected a probability, got {row.text(name)!r}")
        values[EMOTION_INDEX[label]] = value
    total = float(np.nansum(values))
    if abs(total - 1) > _SUM_TOLERANCE:
        remedy = "divide by 100" if abs(total - 100) < 1 else "divide each row by its sum, or take the softmax"
        if unused:
            remedy += f" (not counted, as no emotion of vidfer's: {', '.join(unused)})"
        where = f"{row.where}, columns {', '.join(columns)}"
        raise DataError(f"{where}: expected scores that sum to 1, got {total:g}: {remedy}")
    return values / total


def _refuse_milliseconds(
    rows: Sequence[Row], groups: Mapping[tuple[str, str, str], Sequence[Any]], ends: Mapping[str, float], column: str
) -> None:
    late = [(clip, one[0]) for (clip, *_), group in groups.items() for one in group if one[0] > ends[clip]]
    last = max(rows, key=lambda row: row.number(column) or 0.0)
    if 2 * len(late) > len(rows):
        fits = all(start / 1000 <= ends[clip] for clip, start in late)
        remedy = "they are milliseconds: divide them by 1000" if fits else "are they of these clips?"
        found = f"{last.text(column)} s is after the end of the clip, as {len(late)} of {len(rows)} rows are"
        raise DataError(f"{last.where}, column {column}: {found}; {remedy}")


def _scores(clip: str, column: str, who: str, group: Sequence[tuple[float, float, np.ndarray]]) -> Scores:
    """Put rows together; each moment stands for half the usual distance to both sides."""
    group = sorted(group, key=lambda one: one[0])
    start, end = (np.array([one[k] for one in group], np.float64) for k in (0, 1))
    if np.isnan(end).any():
        half = float(np.median(np.diff(start))) / 2 if len(start) > 1 else 0.5
        start, end = start - half, start + half
    return Scores(clip=clip, column=column, who=who, start=start, end=end, values=np.stack([one[2] for one in group]))


class FusedClip:
    """A clip's timeline, and beside it what others say at each of its rows."""

    def __init__(self, clip: str, table: pd.DataFrame, scores: Sequence[Scores]) -> None:
        self.clip, self.table = clip, table
        seconds = table["timestamp"].to_numpy(np.float64)
        self.face = table[list(EMOTIONS)].to_numpy(np.float64)
        self.other = np.full_like(self.face, np.nan)
        seen = table["success"].to_numpy() == 1
        people = {str(name): column.to_numpy() for name, column in table.items()}
        faces = {name: column for name, column in people.items() if name != "person_id"}
        for one in scores:
            columns = faces if one.column == "face" else people
            try:
                mine = rows_of_person(columns, np.ones(len(seen)), (), one.who) if one.who else seen
            except DataError as error:
                raise DataError(f"{clip}: {error}: correct the scores' column {one.column}") from None
            if len(scores) == 1:
                mine = mine | ~seen  # nobody else whose words it could be
            self.other[mine] = one.at(seconds[mine])

    def fused(self, weight: float, pool: Pool) -> pd.DataFrame:
        """Return the timeline with both together, and of each row where it comes from and how uncertain it is."""
        values = pooled(self.face, self.other, weight=weight, pool=pool)
        there = np.isfinite(values).any(1)
        table = self.table.assign(**{name: values[:, k] for k, name in enumerate(EMOTIONS)})
        best = np.where(there, np.nan_to_num(values, nan=-1.0).argmax(1), 0)
        table["emotion"] = np.array([*EMOTIONS, None], object)[np.where(there, best, -1)]
        table["emotion_confidence"] = np.where(there, values[np.arange(len(best)), best], np.nan)
        kind = np.isfinite(self.face).any(1) + 2 * np.isfinite(self.other).any(1)
        share = np.where(values > 0, values, 1.0)  # 0 log 0 = 0
        return table.assign(
            sources=np.array(SOURCES)[kind], entropy=np.where(there, -(share * np.log2(share)).sum(1), np.nan)
        )


def learn_weight(clips: Mapping[str, FusedClip], manifest: Path, pool: Pool) -> tuple[float, dict[str, Any]]:
    """Return the weight of the smallest mean log-loss on labelled stretches, and the figures of all that were tried.

    Rows of the split ``train`` are learnt from, all where there are none; a stretch's probabilities are the mean over
    its rows in which both say something. Raises DataError where no stretch has such rows.
    """
    rows = read_manifest(manifest, check_files=False)
    used = rows.rows_of("train") if "train" in rows.split else np.arange(len(rows))
    losses, right = [], []
    for row in used.tolist():
        names = (rows.clip_id[row], rows.path[row].stem)
        clip = next((c for c in clips.values() if c.clip in names or Path(c.clip).name == names[1]), None)
        if clip is None:
            continue
        seconds = clip.table["timestamp"].to_numpy()
        low, high = np.nan_to_num(rows.start_seconds[row]), np.nan_to_num(rows.end_seconds[row], nan=np.inf)
        there = np.isfinite(clip.face).any(1) & np.isfinite(clip.other).any(1) & (seconds >= low) & (seconds < high)
        if there.any():
            both = clip.face[there], clip.other[there]
            found = np.stack([pooled(*both, weight=w, pool=pool).mean(0) for w in _WEIGHTS.tolist()])  # (W, 8)
            label = EMOTION_INDEX[rows.label[row]]
            losses.append(-np.log(np.maximum(found[:, label], _MIN_SCORE)))
            right.append(found.argmax(1) == label)
    if not losses:
        raise DataError(f"{manifest}: no labelled stretch has both a face and scores: do its clips have results?")
    loss, accuracy = np.mean(losses, 0), np.mean(right, 0)
    best = int(loss.argmin())
    figures = {"stretches": len(losses), "weights": _WEIGHTS.tolist()}
    figures |= {"log_loss": loss.tolist(), "accuracy": accuracy.tolist()}
    return float(_WEIGHTS[best]), figures


def run_fusion(
    results: str | Path,
    scores: str | Path,
    out: str | Path,
    *,
    weight: float = 0.5,
    learn: str | Path | None = None,
    pool: Pool = "log",
) -> dict[str, Any]:
    """Do what ``vidfer fuse`` does: write the tables of each clip with scores, and ``fusion.json``.

    ``CLIP/timeline.csv`` holds both together. ``segments.csv`` and ``summary.json`` follow from its rows with a face,
    by the settings that the clip was processed with; so ``vidfer study run`` can read the folder. ``people.csv`` and
    ``run.json`` are those of the results.

    Parameters
    ----------
    results, scores
        A results folder of ``vidfer process``, and a table as in docs/guide.md.
    out
        Another folder.
    weight, learn
        Of the scores, 0..1; or a labelled manifest to learn it on.
    pool
        As in ``pooled``.

    Returns
    -------
    What ``fusion.json`` says: ``weight``, ``pool``, ``clips``, ``learnt`` (figures or None), ``notes``.

    Raises
    ------
    DataError
        A table is wrong, or ``out`` is ``results``.
    OutputError
        There are no results, or a file cannot be written.
    """
    folder, scores, out = Path(results), Path(scores), Path(out)
    if folder.resolve() == out.resolve():
        raise DataError(f"{out}: the fused timelines would go over the results: choose another --out")
    if not 0 <= weight <= 1:
        raise DataError(f"--weight: expected 0 to 1, got {weight:g}")
    folders = find_clips(folder)
    tables = {clip: read_table(path) for clip, path in folders.items()}
    ends = {clip: float(table["timestamp"].max()) for clip, table in tables.items()}
    found, notes = read_scores(scores, ends)
    of_clip: dict[str, list[Scores]] = {}
    for one in found:
        of_clip.setdefault(one.clip, []).append(one)
    clips = {clip: FusedClip(clip, tables[clip], group) for clip, group in of_clip.items()}
    if without := sorted(set(folders) - set(clips)):
        more = f" and {len(without) - _MAX_NAMED} more" if len(without) > _MAX_NAMED else ""
        notes.append(f"no scores, so not fused: {', '.join(without[:_MAX_NAMED])}{more}")
    for clip, group in of_clip.items():
        faces = tables[clip].loc[tables[clip]["success"] == 1, "face_id"].nunique()
        if faces > 1 and any(not one.who for one in group):
            notes.append(f"{clip} shows {faces} faces and the scores name no person: they are taken for all of them")
    learnt = None
    if learn is not None:
        weight, learnt = learn_weight(clips, Path(learn), pool)
    made_by = {"scores": scores.name, "weight": weight, "pool": pool}
    for clip, both in clips.items():
        table = both.fused(weight, pool)
        write_if_changed(out / clip / "timeline.csv", table.to_csv(index=False).encode())
        for name, data in tables_of_fused(clip, table, read_summary(folders[clip]), made_by):
            write_if_changed(out / clip / name, data)
    for name in (PEOPLE_FILE, "run.json"):
        if (folder / name).is_file():
            write_if_changed(out / name, (folder / name).read_bytes())
    said = {"weight": weight, "pool": pool, "clips": sorted(clips), "learnt": learnt, "notes": notes}
    write_if_changed(out / "fusion.json", (json.dumps(said, indent=1) + "\n").encode())
    return said
