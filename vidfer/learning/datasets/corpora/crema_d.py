"""CREMA-D (Cao et al. 2014): 91 actors, twelve sentences; actor, sentence, emotion, level are the file's name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vidfer.learning.datasets.corpora import BuildRequest, LabelledClip, corpus, videos_below

# The level has one letter in 1040_ITH_SAD_X, as it is given out.
_NAME = re.compile(r"(?P<actor>1\d{3})_[A-Z]{3}_(?P<emotion>[A-Z]{3})_[A-Z]{1,2}")


@corpus("crema-d", layout="VideoFlash/1001_DFA_ANG_XX.flv")
def find(folder: Path, request: BuildRequest) -> Iterator[LabelledClip]:
    """Yield every clip with the emotion that the actor was asked for (not what the raters saw)."""
    for path in videos_below(folder):
        match = _NAME.fullmatch(path.stem)
        if match is not None:
            yield LabelledClip(clip_id=path.stem, path=path, label=match["emotion"], subject_id=match["actor"])
