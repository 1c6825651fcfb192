"""RAVDESS (Livingstone and Russo 2018): actors speak two sentences; labels are in the files' names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vidfer.learning.datasets.corpora import BuildRequest, LabelledClip, corpus, videos_below

# modality (01 video and sound, 02 video only), channel (01 speech, 02 song), emotion, intensity, statement,
# repetition, actor: the names' convention on Zenodo, record 1188976
_NAME = re.compile(r"(?P<modality>0[12])-(?P<channel>0[12])-(?P<emotion>0[1-8])-\d\d-\d\d-\d\d-(?P<actor>\d\d)")
EMOTION_CODES = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


@corpus("ravdess", layout="Video_Speech_Actor_*/Actor_*/01-01-05-01-02-01-12.mp4 (or Actor_*/ directly)")
def find(folder: Path, request: BuildRequest) -> Iterator[LabelledClip]:
    """Yield spoken clips; of a recording that is there with and without sound, the one with sound."""
    with_sound: dict[str, Path] = {}
    without_sound: dict[str, Path] = {}
    songs = 0
    for path in videos_below(folder):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            continue
        if match["channel"] == "02":
            songs += 1
            continue
        recordings = with_sound if match["modality"] == "01" else without_sound
        recordings.setdefault(path.stem[3:], path)
    copies = len(with_sound.keys() & without_sound.keys())
    if songs:
        request.notes.append(f"{songs} sung clips left out: the mouth shows the song.")
    if copies:
        request.notes.append(f"{copies} clips without sound left out: the same recordings are there with sound.")
    for path in {**without_sound, **with_sound}.values():
        match = _NAME.fullmatch(path.stem)
        assert match is not None
        yield LabelledClip(
            clip_id=path.stem,
            path=path,
            label=EMOTION_CODES[int(match["emotion"]) - 1],
            subject_id=match["actor"],
        )
