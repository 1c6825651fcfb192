"""Manifests: one row a labelled clip, or a labelled stretch of one, as a CSV file that can be read, checked and shared.

Columns: ``clip_id, path, sha256, subject_id, split, label, start_seconds, end_seconds`` and, for corpora that have
them, ``valence_arousal``. Those that every row needs are clip_id, path, split and label; the others may be empty, or
missing as a whole. Further columns (sex, age group, site, camera) are kept as text: figures can be given by them.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np

from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX, EMOTIONS, WRONG
from vidfer.spreadsheet import guarded, unguarded
from vidfer.store.atomic import write_text

ManifestSplit = Literal["train", "validation", "test"]
SPLITS: Final[tuple[str, ...]] = get_args(ManifestSplit)
VALENCE_AROUSAL: Final = "valence_arousal"
COLUMNS: Final = ("clip_id", "path", "sha256", "subject_id", "split", "label", "start_seconds", "end_seconds")
REQUIRED: Final = ("clip_id", "path", "split", "label")
_KNOWN: Final = (*COLUMNS, VALENCE_AROUSAL)
_ALIKE = 0.7  # of two names, by difflib: "labels" and "label" 0.9, "sex" and "sha256" 0.4
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Labelled clips, columnar: N rows.

    Attributes
    ----------
    clip_id
        (N,) unique names.
    path
        (N,) the videos. Several rows may name one video: each is a labelled stretch of it.
    sha256
        (N,) digest of the content in hex; empty where unknown.
    subject_id
        (N,) who is seen; empty where the corpus does not tell. Nobody is in two splits.
    split
        (N,) ``train``, ``validation`` or ``test``.
    label
        (N,) one of `vidfer.labels.EMOTIONS`.
    start_seconds, end_seconds
        (N,) float64, the stretch [start, end) of the video that the label is for; NaN: from its beginning, to its end.
        Both NaN: the label is for the clip as a whole.
    valence_arousal
        (N,) files with the video's valence and arousal over time (see ``valence_arousal``), the same for all rows of a
        video; None where there is none.
    further
        By the name of each further column its values (N,), as text.
    """

    clip_id: tuple[str, ...]
    path: tuple[Path, ...]
    sha256: tuple[str, ...]
    subject_id: tuple[str, ...]
    split: tuple[str, ...]
    label: tuple[str, ...]
    start_seconds: np.ndarray
    end_seconds: np.ndarray
    valence_arousal: tuple[Path | None, ...] = ()
    further: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.valence_arousal:
            object.__setattr__(self, "valence_arousal", (None,) * len(self.clip_id))
        for name, values in (*self._columns().items(), *self.further.items()):
            if len(values) != len(self.clip_id):
                raise ValueError(f"{name}: expected {len(self.clip_id)} rows as in clip_id, got {len(values)}")

    def _columns(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "further"}

    def __len__(self) -> int:
        return len(self.clip_id)

    @property
    def label_index(self) -> np.ndarray:
        """(N,) int64 into `vidfer.labels.EMOTIONS`."""
        return np.array([EMOTION_INDEX[label] for label in self.label], np.int64)

    @property
    def is_frame_level(self) -> np.ndarray:
        """(N,) bool: the label is for a stretch of the video, not for the clip as a whole."""
        return ~(np.isnan(self.start_seconds) & np.isnan(self.end_seconds))

    def rows_by_video(self) -> dict[Path, np.ndarray]:
        """Return the rows that name each video, (M,) int64."""
        rows: dict[Path, list[int]] = {}
        for row, path in enumerate(self.path):
            rows.setdefault(path, []).append(row)
        return {path: np.array(members, np.int64) for path, members in rows.items()}

    def rows_of(self, split: ManifestSplit) -> np.ndarray:
        """Return the rows of a split, (M,) int64 in order."""
        return np.flatnonzero(np.array(self.split, dtype=object) == split)

    def select(self, rows: Sequence[int] | np.ndarray) -> Manifest:
        """Return these rows, in this order."""
        index = np.asarray(rows, np.int64)

        def taken(values: Any) -> Any:
            return values[index] if isinstance(values, np.ndarray) else tuple(values[int(row)] for row in index)

        columns = {name: taken(values) for name, values in self._columns().items()}
        return Manifest(**columns, further={name: taken(values) for name, values in self.further.items()})


def read_manifest(
    path: str | Path, *, root: str | Path | None = None, check_files: bool = True, keep_wrong: bool = False
) -> Manifest:
    """Read and check a manifest.

    Parameters
    ----------
    path
        The CSV file, UTF-8, with a header.
    root
        Folder that relative paths start from; by default the folder of the CSV file.
    check_files
        Whether every video must exist.
    keep_wrong
        Whether to keep rows with the label ``wrong``, which say only what a stretch does not show.

    Raises
    ------
    DataError
        For the first thing that is wrong, with file, row and what to do: a column that is missing, or named almost as
        one that is, an unknown label or split, a subject or a video in two splits, a video that is not there, a
        clip_id that occurs twice, or times that make no stretch.
    """
    path = Path(path)
    base = Path(root) if root is not None else path.parent
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"{path}: no rows: expected one a clip below the header")
    manifest = Manifest(
        clip_id=tuple(row["clip_id"] for row in rows),
        path=tuple(Path(os.path.abspath(base / row["path"])) for row in rows),
        sha256=tuple(row["sha256"].lower() for row in rows),
        subject_id=tuple(row["subject_id"] for row in rows),
        split=tuple(row["split"] for row in rows),
        label=tuple(row["label"] for row in rows),
        start_seconds=_seconds(rows, "start_seconds", path),
        end_seconds=_seconds(rows, "end_seconds", path),
        valence_arousal=tuple(
            Path(os.path.abspath(base / row[VALENCE_AROUSAL])) if row[VALENCE_AROUSAL] else None for row in rows
        ),
        further={name: tuple(row[name] for row in rows) for name in rows[0] if name not in _KNOWN},
    )
    check_manifest(manifest, source=str(path), check_files=check_files)
    if keep_wrong or WRONG not in manifest.label:
        return manifest
    told = np.flatnonzero(np.array(manifest.label) != WRONG)
    if not len(told):
        raise DataError(f"{path}: every row is labelled {WRONG}: nothing says what is seen")
    return manifest.select(told)


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Check a manifest and write it as CSV, whole or not at all.

    Videos below the folder of the CSV file are named relative to it, so that folder and manifest may be moved together;
    others by their absolute path.

    Raises
    ------
    DataError
        If a row is wrong, as in `read_manifest`.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    check_manifest(manifest, source=str(path), check_files=False)
    folder = os.path.abspath(path.parent)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    has_traces = any(manifest.valence_arousal)
    writer.writerow([*COLUMNS, *([VALENCE_AROUSAL] if has_traces else []), *manifest.further])
    for row in range(len(manifest)):
        trace = manifest.valence_arousal[row]
        writer.writerow(
            [
                guarded(manifest.clip_id[row]),
                guarded(_path_from(folder, manifest.path[row])),
                manifest.sha256[row],
                guarded(manifest.subject_id[row]),
                manifest.split[row],
                manifest.label[row],
                _seconds_text(manifest.start_seconds[row]),
                _seconds_text(manifest.end_seconds[row]),
                *([guarded(_path_from(folder, trace)) if trace else ""] if has_traces else []),
                *(guarded(values[row]) for values in manifest.further.values()),
            ]
        )
    write_text(path, text.getvalue())


def joined(manifests: Sequence[Manifest]) -> Manifest:
    """Return the rows of several manifests that have the same further columns."""
    values: dict[str, Any] = {}
    for one in fields(Manifest):
        parts = [getattr(manifest, one.name) for manifest in manifests]
        if one.name == "further":
            values[one.name] = {name: tuple(v for part in parts for v in part[name]) for name in parts[0]}
        elif isinstance(parts[0], np.ndarray):
            values[one.name] = np.concatenate(parts)
        else:
            values[one.name] = tuple(value for part in parts for value in part)
    return Manifest(**values)


def check_manifest(manifest: Manifest, *, source: str, check_files: bool = True) -> None:
    """Raise DataError for the first row that is wrong; ``source`` names the manifest in the message."""
    first_row: dict[str, int] = {}
    split_of: dict[tuple[str, str], int] = {}
    for row in range(len(manifest)):
        where = _where(source, row)
        _check_row(manifest, row, where)
        clip_id = manifest.clip_id[row]
        if clip_id in first_row:
            raise DataError(f"{where}: clip_id {clip_id!r} is taken by row {first_row[clip_id] + 1}; give each its own")
        first_row[clip_id] = row
        for what, value in (("subject", manifest.subject_id[row]), ("video", str(manifest.path[row]))):
            other = split_of.setdefault((what, value), row) if value else row
            if manifest.split[other] != manifest.split[row]:
                raise DataError(
                    f"{where}: {what} {value} is in {manifest.split[row]}, but in {manifest.split[other]} in row "
                    f"{other + 1}: results would be too good; keep every {what} in one split"
                )
        for path in (manifest.path[row], manifest.valence_arousal[row]):
            if path is None or not check_files or path.exists():
                continue
            raise DataError(
                f"{where}: {path} does not exist; put it there, correct the path, or say which folder "
                "the paths start from"
            )


def _check_row(manifest: Manifest, row: int, where: str) -> None:
    if not manifest.clip_id[row]:
        raise DataError(f"{where}: clip_id is empty")
    if manifest.label[row] not in EMOTION_INDEX and manifest.label[row] != WRONG:
        raise DataError(f"{where}: unknown label {manifest.label[row]!r}{_nearest(manifest.label[row], EMOTIONS)}")
    if manifest.split[row] not in SPLITS:
        raise DataError(f"{where}: unknown split {manifest.split[row]!r}{_nearest(manifest.split[row], SPLITS)}")
    if manifest.sha256[row] and not _SHA256.fullmatch(manifest.sha256[row]):
        raise DataError(f"{where}: sha256 must be 64 hexadecimal digits or empty, got {manifest.sha256[row]!r}")
    start, end = float(manifest.start_seconds[row]), float(manifest.end_seconds[row])
    if start < 0 or end <= (0.0 if math.isnan(start) else start) or math.isinf(start) or math.isinf(end):
        raise DataError(
            f"{where}: expected 0 <= start_seconds < end_seconds, got {_seconds_text(start) or 'nothing'} to "
            f"{_seconds_text(end) or 'nothing'}"
        )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            _check_columns(names, str(path))
            for number, row in enumerate(reader):
                if None in row or None in row.values():
                    raise DataError(f"{_where(str(path), number)}: expected {len(names)} values, as in the header")
                path_text = row["path"].strip()
                if not path_text:
                    raise DataError(f"{_where(str(path), number)}: path is empty")
                yield {name: unguarded(row.get(name, "").strip()) for name in dict.fromkeys((*_KNOWN, *names))}
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _check_columns(names: Sequence[str], source: str) -> None:
    for name in names:
        if not name.replace("\t", "").isprintable():
            raise DataError(f"{source}: expected a CSV file, got one that is no text")
        for sign, word in ((";", "semicolons"), ("\t", "tabs")):
            if sign in name:
                raise DataError(
                    f"{source}: expected commas between the columns, got {word} (Excel: save as CSV UTF-8, comma "
                    "delimited)"
                )
        if names.count(name) > 1:
            raise DataError(f"{source}: expected each column once, got {name[:40]!r} twice")
        # A misspelled column would be one column less, in silence.
        meant = [known for known in _KNOWN if known not in names and _alike(name, known)]
        if name not in _KNOWN and meant:
            raise DataError(f"{source}: unknown column {name!r}; did you mean {meant[0]!r}?")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise DataError(f"{source}: missing column {missing[0]!r}; got {_shortened(names)}")


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:12]) or "nothing"


def _alike(name: str, known: str) -> bool:
    name = name.lower()
    return known.startswith(name) or difflib.SequenceMatcher(None, name, known).ratio() >= _ALIKE


def _seconds(rows: list[dict[str, str]], column: str, path: Path) -> np.ndarray:
    values = np.full(len(rows), np.nan)
    for number, row in enumerate(rows):
        if row[column]:
            try:
                values[number] = float(row[column])
            except ValueError:
                where = _where(str(path), number)
                raise DataError(f"{where}: {column} must be seconds or empty, got {row[column]!r}") from None
    return values


def _seconds_text(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))


def _path_from(folder: str, path: Path) -> str:
    absolute = Path(os.path.abspath(path))
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else str(absolute)


def _where(source: str, row: int) -> str:
    return f"{source}: row {row + 1} (line {row + 2})"


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
