"""From a corpus's folder to its manifest: map the labels, split by subject, take digests, check."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidfer.errors import ConfigError, DataError
from vidfer.learning.datasets.corpora import CORPORA, BuildRequest, Corpus, LabelledClip, named_and_more
from vidfer.learning.datasets.corpus_description import CorpusDescription, read_description
from vidfer.learning.datasets.manifest import Manifest, check_manifest

Progress = Callable[[int, int], None]  # videos whose digest is taken, videos in all
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, kw_only=True)
class BuiltManifest:
    """A manifest, and what people should know of how it came about."""

    manifest: Manifest
    notes: tuple[str, ...]


def build_manifest(
    name: str,
    folder: str | Path,
    *,
    media: str | Path,
    fold: int = 1,
    with_digests: bool = True,
    progress: Progress | None = None,
) -> BuiltManifest:
    """Find the labelled clips of a corpus and return them as a manifest, sorted by clip.

    Parameters
    ----------
    name
        One of ``CORPORA.names()``.
    folder
        The corpus as its owners give it out, unpacked.
    media
        Folder for videos made from picture sequences (CK+) and for tables of valence and arousal (Aff-Wild2).
    fold
        Official fold, from 1, of corpora that have some (DFEW: 1 to 5).
    with_digests
        Whether every video is read once for its sha256.

    Raises
    ------
    DataError
        If the folder is not that corpus (expected, found, what to do), or a file of it is damaged or contradicts
        another.
    ConfigError
        For an unknown corpus or a fold that it does not have.
    """
    corpus, description, folder = CORPORA.get(name), read_description(name), Path(folder)
    if not 1 <= fold <= description.split.folds:
        raise ConfigError(f"--fold {fold}: {description.title} has the folds 1 to {description.split.folds}")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder of {description.title}: {corpus.layout}")
    request = BuildRequest(fold=fold, media=Path(media))
    clips = _without_copies(sorted(corpus.find(folder, request), key=lambda clip: clip.clip_id), request.notes)
    if not clips:
        raise DataError(_wrong_folder(corpus, description, folder))
    clips = _mapped(clips, description, request.notes)
    manifest = _manifest(clips, description, with_digests=with_digests, progress=progress)
    check_manifest(manifest, source=f"{description.title} in {folder}", check_files=False)
    return BuiltManifest(manifest=manifest, notes=tuple(request.notes))


def _wrong_folder(corpus: Corpus, description: CorpusDescription, folder: Path) -> str:
    found = sorted(os.listdir(folder))
    return (
        f"{folder}: no clips of {description.title}: expected {corpus.layout}; found "
        f"{named_and_more(found) if found else 'an empty folder'}. Give the folder where it was unpacked; it comes "
        f"from {description.source.url}"
    )


def _without_copies(clips: Sequence[LabelledClip], notes: list[str]) -> list[LabelledClip]:
    kept: dict[str, LabelledClip] = {}
    copies = []
    for clip in clips:
        if clip.clip_id in kept and _same(clip, kept[clip.clip_id]):
            copies.append(str(clip.path))
        elif clip.clip_id in kept:
            raise DataError(f"{clip.path}: clip {clip.clip_id} is also {kept[clip.clip_id].path}; remove one of them")
        else:
            kept[clip.clip_id] = clip
    if copies:
        notes.append(f"Second copies of the same clip left out: {named_and_more(copies)}.")
    return list(kept.values())


def _same(one: LabelledClip, other: LabelledClip) -> bool:
    """Whether two finds with one name are copies: the same file name, label and split in two folders."""
    return (one.path.stem, one.label, one.split) == (other.path.stem, other.label, other.split)


def _mapped(clips: Sequence[LabelledClip], description: CorpusDescription, notes: list[str]) -> list[LabelledClip]:
    kept = [clip for clip in clips if clip.label in description.labels]
    dropped = Counter(clip.label for clip in clips if clip.label not in description.labels)
    for label, count in sorted(dropped.items()):
        if label not in description.left_out:
            clip = next(clip for clip in clips if clip.label == label)
            known = ", ".join((*description.labels, *description.left_out))
            raise DataError(f"{clip.path}: unknown label {label!r} of {description.title}; known: {known}")
        notes.append(f"{count} x {label} left out: {description.left_out[label]}")
    if not kept:
        raise DataError(f"{description.title}: every clip that was found has a label that is left out")
    return kept


def _manifest(
    clips: Sequence[LabelledClip],
    description: CorpusDescription,
    *,
    with_digests: bool,
    progress: Progress | None,
) -> Manifest:
    digests = _digests(clips, progress) if with_digests else {}
    return Manifest(
        clip_id=tuple(clip.clip_id for clip in clips),
        path=tuple(Path(os.path.abspath(clip.path)) for clip in clips),
        sha256=tuple(digests.get(clip.path, "") for clip in clips),
        subject_id=tuple(clip.subject_id for clip in clips),
        split=tuple(clip.split or description.split.split_of(clip.subject_id) for clip in clips),
        label=tuple(description.labels[clip.label] for clip in clips),
        start_seconds=np.array([math.nan if clip.start_seconds is None else clip.start_seconds for clip in clips]),
        end_seconds=np.array([math.nan if clip.end_seconds is None else clip.end_seconds for clip in clips]),
        valence_arousal=tuple(
            None if clip.valence_arousal is None else Path(os.path.abspath(clip.valence_arousal)) for clip in clips
        ),
    )


def _digests(clips: Sequence[LabelledClip], progress: Progress | None) -> dict[Path, str]:
    paths = sorted({clip.path for clip in clips})
    digests = {}
    for done, path in enumerate(paths, start=1):
        digests[path] = _digest(path)
        if progress is not None:
            progress(done, len(paths))
    return digests


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise DataError(f"{path}: expected a video, found a Git LFS pointer to it; run git lfs pull there")
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
