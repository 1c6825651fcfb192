"""eNTERFACE'05 (Martin et al. 2006): reactions to stories; subject and emotion are names of folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vidfer.learning.datasets.corpora import BuildRequest, LabelledClip, corpus, videos_below

_SUBJECT = re.compile(r"subject[ _-]*(\d{1,2})", re.IGNORECASE)
EMOTION_FOLDERS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")


@corpus("enterface", layout="subject 1/anger/sentence 1/s1_an_1.avi")
def find(folder: Path, request: BuildRequest) -> Iterator[LabelledClip]:
    """Yield every clip below ``subject N/<emotion>``; subject 6 has no folders for sentences, and names vary."""
    for path in videos_below(folder):
        parents = [part.strip().lower() for part in path.relative_to(folder.parent).parts[:-1]]
        subjects = [match[1] for part in parents if (match := _SUBJECT.fullmatch(part))]
        emotions = [part for part in parents if part in EMOTION_FOLDERS]
        if len(subjects) == 1 and len(emotions) == 1:
            subject = f"{int(subjects[0]):02d}"
            yield LabelledClip(
                clip_id=f"subject {subject}/{emotions[0]}/{path.stem}",
                path=path,
                label=emotions[0],
                subject_id=subject,
            )
