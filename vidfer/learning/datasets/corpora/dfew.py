"""DFEW (Jiang et al. 2020): numbered film clips, five folds as lists of numbers and labels."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from vidfer.errors import DataError
from vidfer.learning.datasets.corpora import (
    BuildRequest,
    LabelledClip,
    corpus,
    files_below,
    named_and_more,
    videos_below,
)

LIST_FOLDERS = {
    "train(single-labeled)": "train",
    "train(single_labeled)": "train",
    "test(single-labeled)": "test",
    "test(single_labeled)": "test",
}
LAYOUT = (
    "EmoLabel_DataSplit/train(single-labeled)/set_1.csv, test(single-labeled)/set_1.csv and Clip/original/*/00001.mp4"
)


@corpus("dfew", layout=LAYOUT)
def find(folder: Path, request: BuildRequest) -> Iterator[LabelledClip]:
    """Yield the single-labelled clips of one fold."""
    lists = {
        LIST_FOLDERS[path.parent.name]: path
        for path in files_below(folder)
        if path.name == f"set_{request.fold}.csv" and path.parent.name in LIST_FOLDERS
    }
    if not lists:
        return
    for split in ("train", "test"):
        if split not in lists:
            raise DataError(
                f"{folder}: no {split}(single-labeled)/set_{request.fold}.csv; unpack {split}(single_labeled).zip"
            )
    videos = {int(path.stem): path for path in videos_below(folder) if path.stem.isdigit()}
    if not videos:
        raise DataError(
            f"{folder}: lists but no videos: unpack Clip/original; the pictures of clip_224x224 have no times, and "
            "vidfer finds the faces itself"
        )
    missing: list[str] = []
    for split, path in lists.items():
        for number, label in _read_list(path):
            if number in videos:
                yield LabelledClip(clip_id=f"{number:05d}", path=videos[number], label=label, split=split)
            else:
                missing.append(f"{number:05d}.mp4")
    if missing:
        request.notes.append(f"Clips that are listed but not there, left out: {named_and_more(missing)}.")


def _read_list(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for line, row in enumerate(csv.reader(file), start=1):
                if line == 1 and row and not row[0].strip().isdigit():
                    continue  # video_name,label
                if len(row) < 2 or not row[0].strip().isdigit():
                    raise DataError(
                        f"{path}: line {line}: expected a clip's number and its label, got {','.join(row)!r}"
                    )
                yield int(row[0]), row[1].strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
