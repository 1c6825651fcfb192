"""Aff-Wild2 (Kollias and Zafeiriou 2019): one expression a frame, as text files beside the videos; valence and arousal.

Equal labels in a row become one row of the manifest, from midway to the frame before to midway to the frame behind, so
that rounding never moves a frame to another row. The times are the video's own. Where a video with expressions is also
annotated for valence and arousal, those are put into a table of their own (``learning.datasets.valence_arousal``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vidfer.errors import BadVideo, DataError
from vidfer.learning.datasets.corpora import (
    BuildRequest,
    LabelledClip,
    corpus,
    files_below,
    named_and_more,
    videos_below,
)
from vidfer.learning.datasets.valence_arousal import ValenceArousal, write_valence_arousal

SETS = {
    "train_set": "train",
    "training_set": "train",
    "validation_set": "validation",
}
CHALLENGES = ("EXPR_Classification_Challenge", "EXPR_Recognition_Challenge", "EXPR_Set")
AFFECT_CHALLENGES = ("VA_Estimation_Challenge", "VA_Set")
AFFECT_HEADER = "valence,arousal"
SIDES = ("_left", "_right")
IGNORED = -1  # the owners' code of frames to leave out


@corpus(
    "aff-wild2", layout="EXPR_Classification_Challenge/Train_Set/*.txt, Validation_Set/*.txt and the videos by name"
)
def find(folder: Path, request: BuildRequest) -> Iterator[LabelledClip]:
    """Yield the labelled stretches of every annotated video that is there and shows one annotated person."""
    annotations, affect = (_annotations(folder, names) for names in (CHALLENGES, AFFECT_CHALLENGES))
    videos = {path.stem: path for path in videos_below(folder)}
    if annotations and not videos:
        raise DataError(f"{folder}: annotations but no videos; put the videos (batch1, batch2, ...) below it")
    pairs = {name for name in annotations if name.endswith(SIDES) or any(name + side in annotations for side in SIDES)}
    missing = sorted(annotations.keys() - videos.keys() - pairs)
    if pairs:
        request.notes.append(
            f"Videos with two annotated people left out, as a row cannot say which face it is for: "
            f"{named_and_more(sorted(pairs))}."
        )
    if missing:
        request.notes.append(f"Annotated videos that are not there, left out: {named_and_more(missing)}.")
    for name in sorted((annotations.keys() & videos.keys()) - pairs):
        split = SETS[annotations[name].parent.name.lower()]
        try:
            times = _frame_times(videos[name])
        except BadVideo as error:
            request.notes.append(f"Left out: {error}")
            continue
        table = _affect_table(times, affect[name], request.media / f"{name}.csv") if name in affect else None
        yield from _stretches(videos[name], times, annotations[name], split, table, request)


def _annotations(folder: Path, challenges: tuple[str, ...]) -> dict[str, Path]:
    return {
        path.stem: path
        for path in files_below(folder)
        if path.suffix == ".txt" and path.parent.name.lower() in SETS and path.parent.parent.name in challenges
    }


def _stretches(
    video: Path, times: np.ndarray, annotation: Path, split: str, affect: Path | None, request: BuildRequest
) -> Iterator[LabelledClip]:
    words, codes = _read_annotation(annotation)
    count = min(len(codes), len(times))
    if len(codes) != len(times):
        request.notes.append(f"{video.name}: {len(codes)} labels for {len(times)} frames; the first {count} are used.")
    bounds = np.concatenate([[0.0], (times[1:] + times[:-1]) / 2]) if len(times) else np.zeros(0)  # (F,)
    starts = np.flatnonzero(np.diff(codes[:count], prepend=IGNORED - 1))  # first frame of each run of equal codes
    for start, end in zip(starts, [*starts[1:], count], strict=True):
        if codes[start] == IGNORED:
            continue
        yield LabelledClip(
            clip_id=f"{video.stem}/{start:06d}-{end - 1:06d}",
            path=video,
            label=words[codes[start]],
            subject_id=video.stem,
            split=split,
            start_seconds=float(bounds[start]),
            end_seconds=float(bounds[end]) if end < len(bounds) else None,
            valence_arousal=affect,
        )


def _affect_table(times: np.ndarray, annotation: Path, table: Path) -> Path:
    """Write the valence and arousal of the annotated frames with their times and return the file.

    Frames that are to be left out have values outside -1..1 (the owners write -5).
    """
    try:
        lines = annotation.read_text(encoding="utf-8-sig").split()
        if lines[:1] != [AFFECT_HEADER]:
            raise ValueError(f"expected a first line {AFFECT_HEADER}, got {lines[0][:60] if lines else 'nothing'!r}")
        values = np.array([line.split(",") for line in lines[1:]], np.float32).reshape(-1, 2)
    except (OSError, ValueError) as error:
        raise DataError(f"{annotation}: cannot be read as valence and arousal: {error}") from error
    count = min(len(values), len(times))
    known = (np.abs(values[:count]) <= 1).all(1)
    write_valence_arousal(
        ValenceArousal(pts_seconds=times[:count][known].astype(np.float64), values=values[:count][known]), table
    )
    return table


def _read_annotation(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the words of the header and the codes (F,) int64, one a frame, -1 where a frame is to be left out."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    words = lines[0].split(",") if lines else []
    if len(words) < 7:
        raise DataError(f"{path}: expected a first line Neutral,Anger,Disgust,..., got {','.join(words)[:60]!r}")
    codes = np.empty(len(lines) - 1, np.int64)
    for number, text in enumerate(lines[1:]):
        if text not in {str(code) for code in range(IGNORED, len(words))}:
            raise DataError(f"{path}: line {number + 2}: expected a label from -1 to {len(words) - 1}, got {text!r}")
        codes[number] = int(text)
    return words, codes


def _frame_times(video: Path) -> np.ndarray:
    """Return when each frame is shown, (F,) seconds."""
    from vidfer.video.probe import frame_times_seconds, probe  # PyAV: only when a corpus is built

    return frame_times_seconds(probe(video))
