"""SAVEE (Haq and Jackson 2009): four men; the emotion is the letters that the file's name begins with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vidfer.learning.datasets.corpora import BuildRequest, LabelledClip, corpus, videos_below

SPEAKERS = ("DC", "JE", "JK", "KL")
_NAME = re.compile(r"(?P<emotion>sa|su|a|d|f|h|n)\d{1,2}")


@corpus("savee", layout="AudioVisualClip/DC/a1.avi, with the speakers DC, JE, JK and KL")
def find(folder: Path, request: BuildRequest) -> Iterator[LabelledClip]:
    """Yield every clip that lies in a folder with a speaker's name."""
    for path in videos_below(folder):
        match = _NAME.fullmatch(path.stem)
        if match is not None and path.parent.name in SPEAKERS:
            speaker = path.parent.name
            yield LabelledClip(clip_id=f"{speaker}/{path.stem}", path=path, label=match["emotion"], subject_id=speaker)
