"""FER2013 as Kaggle gives it: ``fer2013.csv``, with ``fer2013new.csv`` of FER+ beside it, or folders of pictures.

These have no landmarks: whoever trains on them uses the plain pictures, which on average are aligned faces.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX
from vidfer.learning.datasets.fer2013plus import (
    FER2013_LABELS,
    SIDE,
    SPLITS,
    VOTE_COLUMNS,
    FerPictures,
    Split,
    read_fer2013plus,
)

# Names of the folders of the Kaggle release, and the spelling used here.
FOLDER_LABELS: Final = {
    "angry": "anger",
    "happy": "happiness",
    "sad": "sadness",
    **{name: name for name in (*EMOTION_INDEX,)},
}
SPLIT_FOLDERS: Final[dict[Split, tuple[str, ...]]] = {
    "Training": ("train", "Training"),
    "PublicTest": ("validation", "val", "PublicTest"),
    "PrivateTest": ("test", "PrivateTest"),
}
_FERPLUS_COLUMNS: Final = dict(zip((*VOTE_COLUMNS[:-1], "NF"), range(len(VOTE_COLUMNS)), strict=True))


def read_fer_folder(folder: Path, split: Split) -> FerPictures:
    """Read one split of whichever form of FER2013 lies in ``folder``.

    Looked for in this order: ``fer2013plus.h5``, ``fer2013.csv``, ``train/<label>/*.png``.

    Raises
    ------
    DataError
        If there is none of them, or what is there is damaged; names file and row.
    """
    if (folder / "fer2013plus.h5").is_file():
        return read_fer2013plus(folder, split)
    if (folder / "fer2013.csv").is_file():
        votes = folder / "fer2013new.csv"
        return read_fer2013_csv(folder / "fer2013.csv", split, votes=votes if votes.is_file() else None)
    if any((folder / name).is_dir() for names in SPLIT_FOLDERS.values() for name in names):
        return read_fer2013_pictures(folder, split)
    raise DataError(
        f"{folder}: expected fer2013plus.h5, fer2013.csv or the folders train/<label>/ there; "
        "give the folder of FER2013 with --data"
    )


def read_fer2013_csv(path: Path, split: Split, *, votes: Path | None = None) -> FerPictures:
    """Read one split of ``fer2013.csv`` (emotion, pixels, Usage), row by row in step with FER+'s file of votes.

    Without ``votes`` every row's votes are zero, so only the labels of FER2013 can be used.
    """
    kept, pictures, labels = [], [], []
    number = -1
    for number, row in enumerate(_rows(path, ("emotion", "pixels", "Usage"))):
        where = f"{path}: row {number + 1}"
        if row["Usage"] not in SPLITS:
            raise DataError(f"{where}: unknown Usage {row['Usage']!r}; known: {', '.join(SPLITS)}")
        if row["Usage"] != split:
            continue
        pictures.append(_pixels(row["pixels"], where))
        labels.append(_code(row["emotion"], where))
        kept.append(number)
    rows = np.array(kept, np.int64)
    if not len(rows):
        raise DataError(f"{path}: no row of the split {split}")
    counted = _read_votes(votes, num_rows=number + 1)[rows] if votes else np.zeros((len(rows), len(VOTE_COLUMNS)))
    return _without_landmarks(np.stack(pictures), counted.astype(np.uint8), np.array(labels), rows)


def read_fer2013_pictures(folder: Path, split: Split) -> FerPictures:
    """Read one split of ``<split>/<label>/*.png`` (or .jpg), labels spelt as Kaggle or as vidfer spells them."""
    from PIL import Image, UnidentifiedImageError

    base = next((folder / name for name in SPLIT_FOLDERS[split] if (folder / name).is_dir()), None)
    if base is None:
        raise DataError(f"{folder}: no folder for the split {split}: expected {' or '.join(SPLIT_FOLDERS[split])}")
    pictures, labels = [], []
    for label in sorted(path for path in base.iterdir() if path.is_dir()):
        if label.name.lower() not in FOLDER_LABELS:
            raise DataError(f"{label}: unknown label {label.name!r}; known: {', '.join(FOLDER_LABELS)}")
        for file in sorted(path for path in label.iterdir() if path.suffix.lower() in (".png", ".jpg", ".jpeg")):
            try:
                with Image.open(file) as image:
                    pictures.append(np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)))
            except (UnidentifiedImageError, OSError) as error:
                raise DataError(f"{file}: the picture cannot be decoded: {error}") from error
            labels.append(EMOTION_INDEX[FOLDER_LABELS[label.name.lower()]])
    if not pictures:
        raise DataError(f"{base}: no pictures (.png, .jpg) in folders named after emotions")
    votes = np.zeros((len(pictures), len(VOTE_COLUMNS)), np.uint8)
    return _without_landmarks(np.stack(pictures), votes, np.array(labels), np.arange(len(pictures)))


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    csv.field_size_limit(1 << 20)  # a picture is one field of about 9,000 characters
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            missing = [name for name in columns if name not in names]
            if missing:
                raise DataError(f"{path}: missing column {missing[0]!r}; got {', '.join(names) or 'nothing'}")
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _pixels(text: str | None, where: str) -> np.ndarray:
    try:
        values = np.array((text or "").split(), np.int64)
    except ValueError as error:
        raise DataError(f"{where}: pixels are no numbers: {error}") from error
    if len(values) != SIDE * SIDE or values.min() < 0 or values.max() > 255:
        raise DataError(f"{where}: expected {SIDE * SIDE} pixels of 0 to 255, got {len(values)}")
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _code(text: str, where: str) -> int:
    if text not in [str(code) for code in range(len(FER2013_LABELS))]:
        raise DataError(f"{where}: unknown emotion {text!r}; known: 0 to {len(FER2013_LABELS) - 1}")
    return EMOTION_INDEX[FER2013_LABELS[int(text)]]


def _read_votes(path: Path, *, num_rows: int) -> np.ndarray:
    """Return the votes (num_rows, 10) of ``fer2013new.csv``."""
    votes = np.zeros((num_rows, len(VOTE_COLUMNS)), np.int64)
    count = 0
    for count, row in enumerate(_rows(path, tuple(_FERPLUS_COLUMNS)), start=1):
        if count > num_rows:
            break
        for name, column in _FERPLUS_COLUMNS.items():
            if not (row[name] or "").isdigit() or int(row[name]) > 10:
                raise DataError(f"{path}: row {count}: expected 0 to 10 votes for {name}, got {row[name]!r}")
            votes[count - 1, column] = int(row[name])
    if count != num_rows:
        raise DataError(f"{path}: expected {num_rows} rows, as in fer2013.csv beside it, got {count} or more")
    return votes


def _without_landmarks(images: np.ndarray, votes: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> FerPictures:
    n = len(images)
    return FerPictures(
        images=images,
        votes=votes,
        fer2013_label=labels.astype(np.int64),
        landmarks68=np.full((n, 68, 2), np.nan, np.float32),
        landmarks5=np.full((n, 5, 2), np.nan, np.float32),
        row=rows,
    )
