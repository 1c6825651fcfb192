"""FERV39k (Wang et al. 2022): web clips by scene and emotion, official lists for training and test."""

from __future__ import annotations

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

LISTS = {"train_All.csv": "train", "test_All.csv": "test"}


@corpus("ferv39k", layout="4_setups/All_scenes/train_All.csv, test_All.csv and 0_7_LabelClips/Action/Sad/0010.mp4")
def find(folder: Path, request: BuildRequest) -> Iterator[LabelledClip]:
    """Yield the clips of the lists over all scenes."""
    lists = {LISTS[path.name]: path for path in files_below(folder) if path.name in LISTS}
    if not lists:
        return
    for name, split in LISTS.items():
        if split not in lists:
            raise DataError(f"{folder}: {name} is missing; expected it beside {next(iter(lists.values()))}")
    videos = {"/".join(path.with_suffix("").parts[-3:]): path for path in videos_below(folder)}
    if not videos:
        raise DataError(
            f"{folder}: lists but no videos: unpack 0_7_LabelClips; the pictures of 2_ClipsforFaceCrop have no times, "
            "and vidfer finds the faces itself"
        )
    missing: list[str] = []
    for split, path in lists.items():
        for name, label in _read_list(path):
            if name in videos:
                yield LabelledClip(clip_id=name, path=videos[name], label=label, split=split)
            else:
                missing.append(name)
    if missing:
        request.notes.append(f"Clips that are listed but not there, left out: {named_and_more(missing)}.")


def _read_list(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (``Action/Sad/0010``, ``Sad``) of lines such as ``Action/Sad/0010 Sad``."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        if len(words) != 2 or words[0].count("/") != 2:
            raise DataError(f"{path}: line {number}: expected scene/emotion/number and a label, got {line!r}")
        yield words[0], words[1]
