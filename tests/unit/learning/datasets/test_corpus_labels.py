"""Which tracks of a video get which labels."""

from pathlib import Path

import numpy as np
import pytest
from fixtures.tracks import steady_track

from vidfer.errors import DataError
from vidfer.labels import EMOTION_INDEX
from vidfer.learning.datasets.corpus_sequences import LabelledCorpus, label_track, labels_by_step, main_tracks
from vidfer.learning.datasets.manifest import Manifest
from vidfer.learning.datasets.valence_arousal import ValenceArousal


def manifest_of(*rows):
    """Rows: clip, video, split, label, start, end."""
    clip, video, split, label, start, end = zip(*rows, strict=True)
    return Manifest(
        clip_id=clip,
        path=tuple(Path(f"/{name}.mp4") for name in video),
        sha256=("",) * len(rows),
        subject_id=video,
        split=split,
        label=label,
        start_seconds=np.array(start, float),
        end_seconds=np.array(end, float),
    )


NAN = float("nan")


def test_the_largest_face_and_what_never_meets_it_is_the_person():
    tracks = [steady_track(2, 10), steady_track(3, 10, start_seconds=1.0), steady_track(2, 10, start_seconds=5.0)]
    assert main_tracks(tracks, [10.0, 90.0, 5.0]) == [1, 2]
    assert main_tracks(tracks, [90.0, 10.0, 5.0]) == [0, 2]
    assert main_tracks([], []) == []


def test_one_label_for_a_clip_and_stretches_by_time():
    manifest = manifest_of(
        ("a", "v", "train", "anger", NAN, NAN),
        ("b", "w", "test", "fear", 1.0, 2.0),
        ("c", "w", "test", "neutral", 2.5, NAN),
    )
    track = steady_track(4, 10)
    whole = label_track(track, manifest, np.array([0]))
    assert whole.clip_id == "a"
    assert set(whole.labels) == {EMOTION_INDEX["anger"]}
    parts = label_track(track, manifest, np.array([1, 2]))
    assert parts.clip_id == ""
    expected = [-1] * 10 + [EMOTION_INDEX["fear"]] * 10 + [-1] * 5 + [EMOTION_INDEX["neutral"]] * 15
    assert parts.labels.tolist() == expected
    assert labels_by_step(parts).tolist() == [label for label in expected if label >= 0]
    assert label_track(steady_track(0.5, 10), manifest, np.array([1])) is None


def test_valence_and_arousal_follow_the_rows():
    values = ValenceArousal(pts_seconds=np.array([0.0, 0.4]), values=np.array([[0, 0], [0.4, -0.4]], np.float32))
    manifest = manifest_of(("a", "v", "train", "anger", NAN, NAN))
    found = label_track(steady_track(1, 10), manifest, np.array([0]), values=values).valence_arousal
    assert found[:5] == pytest.approx(np.stack([np.arange(5) / 10, -np.arange(5) / 10], 1), abs=1e-6)
    assert np.isnan(found[8:]).all()


def test_two_labels_for_one_video_are_refused():
    manifest = manifest_of(("a", "v", "train", "anger", NAN, NAN), ("b", "v", "train", "fear", NAN, NAN))
    with pytest.raises(DataError, match="a, b give the whole video different labels"):
        label_track(steady_track(1, 10), manifest, np.array([0, 1]))


def test_parts_and_clips_without_a_face():
    manifest = manifest_of(
        ("a", "v", "train", "anger", NAN, NAN), ("b", "w", "test", "fear", NAN, NAN), ("c", "x", "test", "fear", 0, 1)
    )  # fmt: skip
    corpus = LabelledCorpus(manifest=manifest, sequences=(label_track(steady_track(1, 10), manifest, np.array([0])),))
    assert len(corpus.part("train")) == 1
    assert corpus.part("test") == []
    assert corpus.clips_without_face("test") == ["b"]
    assert corpus.clips_without_face("train") == []
