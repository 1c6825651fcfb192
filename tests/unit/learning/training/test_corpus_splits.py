"""Splits of a corpus for training: folds by subject, and a part that is held back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vidfer.errors import DataError
from vidfer.learning.datasets.manifest import Manifest
from vidfer.learning.training.corpus import fold_manifests, held_back, manifest_digest


def manifest_of(subjects, *, clips=3, split="train", known=True):
    rows = [(who, number) for who in range(subjects) for number in range(clips)]
    return Manifest(
        clip_id=tuple(f"{who}-{number}" for who, number in rows),
        path=tuple(Path(f"/corpus/{who}-{number}.mp4") for who, number in rows),
        sha256=("",) * len(rows),
        subject_id=tuple(f"s{who}" if known else "" for who, _ in rows),
        split=(split,) * len(rows),
        label=("anger",) * len(rows),
        start_seconds=np.full(len(rows), np.nan),
        end_seconds=np.full(len(rows), np.nan),
    )


def subjects_in(manifest, split):
    return {manifest.subject_id[row] for row in manifest.rows_of(split)}


@pytest.mark.parametrize("count", [3, 5])
def test_everybody_is_tested_on_once_and_never_on_both_sides(count):
    folds = fold_manifests(manifest_of(11), count)
    assert len(folds) == count
    tested = [subjects_in(fold, "test") for fold in folds]
    assert sorted(who for part in tested for who in part) == sorted(f"s{i}" for i in range(11))
    for fold in folds:
        parts = [subjects_in(fold, split) for split in ("train", "validation", "test")]
        assert all(parts)
        assert sum(map(len, parts)) == 11
    assert [fold.split for fold in fold_manifests(manifest_of(11), count)] == [fold.split for fold in folds]


def test_folds_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="expected 3 or more"):
        fold_manifests(manifest_of(5), 2)
    with pytest.raises(DataError, match="no subject_id"):
        fold_manifests(manifest_of(5, known=False), 3)
    with pytest.raises(DataError, match="number of subjects"):
        fold_manifests(manifest_of(5), 6)


@pytest.mark.parametrize("known", [True, False])
def test_a_tenth_is_held_back_by_subject_or_video_and_always_the_same(known):
    manifest = manifest_of(40, known=known)
    official = replace(manifest, split=("test",) * 30 + ("train",) * 90)
    held = held_back(official)
    elsewhere = replace(official, path=tuple(Path("/elsewhere") / path.name for path in official.path))
    assert held.split == held_back(elsewhere).split
    assert len(held.rows_of("test")) == 30
    assert len(held.rows_of("validation")) == 9
    if known:
        assert not subjects_in(held, "validation") & subjects_in(held, "train")
    with pytest.raises(DataError, match="too few to hold some back"):
        held_back(manifest_of(1))


def test_the_digest_follows_labels_and_splits_not_places():
    manifest = manifest_of(4)
    moved = replace(manifest, path=tuple(Path("/elsewhere") / path.name for path in manifest.path))
    assert manifest_digest(moved) == manifest_digest(manifest)
    assert manifest_digest(replace(manifest, split=("test",) * 12)) != manifest_digest(manifest)
    assert manifest_digest(replace(manifest, label=("fear",) * 12)) != manifest_digest(manifest)
