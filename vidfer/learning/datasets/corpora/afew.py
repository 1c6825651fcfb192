"""AFEW, as EmotiW gave it out (Dhall et al. 2012): folders for the split, in them folders for the emotion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vidfer.learning.datasets.corpora import BuildRequest, LabelledClip, corpus, videos_below

SPLIT_FOLDERS = {"train_afew": "train", "train": "train", "val_afew": "validation", "val": "validation"}


@corpus("afew", layout="Train_AFEW/Angry/000046280.avi and Val_AFEW/Angry/005150814.avi")
def find(folder: Path, request: BuildRequest) -> Iterator[LabelledClip]:
    """Yield the clips of the training and validation folders; the labels of the test clips were never given out."""
    unlabelled = 0
    for path in videos_below(folder):
        split_folder = path.parent.parent.name
        split = SPLIT_FOLDERS.get(split_folder.lower())
        if split is not None:
            emotion = path.parent.name
            yield LabelledClip(clip_id=f"{split}/{emotion}/{path.stem}", path=path, label=emotion, split=split)
        elif "test" in (path.parent.name + split_folder).lower():
            unlabelled += 1
    if unlabelled:
        request.notes.append(f"{unlabelled} test clips left out: their labels were not given out.")
