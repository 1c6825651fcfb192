"""CK+ (Lucey et al. 2010): picture sequences from neutral to the peak of an expression, labelled at the peak.

The pictures of a labelled sequence are written, without loss, as a video. Its first frame is labelled neutral and its
last three carry the emotion, as is usual with this corpus; what lies between has no label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vidfer.errors import DataError
from vidfer.learning.datasets.corpora import BuildRequest, LabelledClip, corpus, files_below, named_and_more

FPS = 30  # the cameras' rate; the pictures themselves carry no times
PEAK_FRAMES = 3
EMOTION_CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
_NAME = re.compile(r"(?P<sequence>(?P<subject>S\d{3})_\d{3})_(?P<frame>\d{8})")
_LABEL_NAME = re.compile(r"(?P<sequence>S\d{3}_\d{3})_(?P<frame>\d{8})_emotion")


@corpus(
    "ck+", layout="cohn-kanade-images/S005/001/S005_001_00000011.png and Emotion/S005/001/S005_001_00000011_emotion.txt"
)
def find(folder: Path, request: BuildRequest) -> Iterator[LabelledClip]:
    """Write a video of each labelled sequence below ``request.media`` and yield its neutral and its peak frames."""
    from vidfer.video.picture_sequence import write_picture_sequence

    pictures: dict[str, dict[str, Path]] = {}
    labels: dict[str, tuple[Path, str]] = {}
    for path in files_below(folder):
        if path.suffix == ".png" and (match := _NAME.fullmatch(path.stem)):
            pictures.setdefault(match["sequence"], {})[path.stem] = path
        elif path.suffix == ".txt" and (match := _LABEL_NAME.fullmatch(path.stem)):
            labels[match["sequence"]] = (path, _read_label(path))
    if labels and not pictures:
        raise DataError(f"{folder}: labels but no pictures; unpack cohn-kanade-images.zip there")
    if pictures and not labels:
        raise DataError(f"{folder}: pictures but no labels; unpack Emotion_labels.zip there")
    unlabelled = len(pictures.keys() - labels.keys())
    if unlabelled:
        request.notes.append(f"{unlabelled} sequences left out: the corpus has no emotion label for them.")
    missing = sorted(labels.keys() - pictures.keys())
    if missing:
        request.notes.append(f"Labelled sequences whose pictures are not there, left out: {named_and_more(missing)}.")
    for sequence in sorted(labels.keys() & pictures.keys()):
        frames = [pictures[sequence][name] for name in sorted(pictures[sequence])]
        video = request.media / f"{sequence}.mkv"
        write_picture_sequence(frames, video, fps=FPS)
        yield from _labelled(sequence, video, len(frames), labels[sequence][1])


def _labelled(sequence: str, video: Path, num_frames: int, emotion: str) -> Iterator[LabelledClip]:
    """Yield the first frame and the last three; bounds lie midway between frames."""
    subject = sequence.partition("_")[0]
    first_peak = max(num_frames - PEAK_FRAMES, 1)
    yield LabelledClip(
        clip_id=f"{sequence}/onset",
        path=video,
        label="neutral",
        subject_id=subject,
        start_seconds=0.0,
        end_seconds=0.5 / FPS,
    )
    if num_frames > 1:
        yield LabelledClip(
            clip_id=f"{sequence}/peak",
            path=video,
            label=emotion,
            subject_id=subject,
            start_seconds=(first_peak - 0.5) / FPS,
        )


def _read_label(path: Path) -> str:
    """Return the emotion of a file that holds one number, such as ``   3.0000000e+00``."""
    try:
        return EMOTION_CODES[int(float(path.read_text(encoding="utf-8").strip()))]
    except (OSError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{path}: expected one number from 0 to {len(EMOTION_CODES) - 1}: {error}") from error
