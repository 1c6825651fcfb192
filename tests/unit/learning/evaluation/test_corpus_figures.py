"""Figures over a corpus: clips by their mean, frames by their own label, valence and arousal by a readout."""

import json
from pathlib import Path

import numpy as np
import pytest
from fixtures.tracks import clip_target, steady_track

from vidfer.errors import DataError
from vidfer.learning.datasets.corpus_sequences import CorpusSequence
from vidfer.learning.evaluation.corpus import clip_predictions, evaluate_timelines
from vidfer.learning.evaluation.valence_arousal import AffectReadout, affect_features


def clip(name, label, rows=20, *, seed=0):
    track = steady_track(rows / 10, 10, seed=seed)
    return CorpusSequence(track=track, target=clip_target(label, len(track)), video=Path(f"/{name}.mp4"), clip_id=name)


def sure_of(*labels):
    return np.eye(8, dtype=np.float32)[np.array(labels)] * 0.9 + np.float32(0.0125)


def test_a_clip_is_decided_by_the_mean_of_all_its_tracks():
    parts = [clip("a", 1, 4), clip("a", 1, 2), clip("b", 3, 3)]
    timelines = [sure_of(2, 2, 1, 1), sure_of(1, 1), sure_of(3, 3, 0)]
    found, truth = clip_predictions(timelines, parts)
    assert found.argmax(1).tolist() == truth.tolist() == [1, 3]
    figures = evaluate_timelines(timelines, parts, clips_without_face=["c", "d"])
    assert figures.clips.accuracy == 1.0
    assert figures.clip_accuracy_of_all == 0.5
    assert figures.frames.accuracy == pytest.approx(6 / 9)
    assert figures.timing is None


def test_frames_without_a_label_are_in_no_figure(tmp_path):
    track = steady_track(2, 10)
    target = clip_target(1, 20)
    target[:5] = 0
    target[12:] = np.eye(8)[4]
    sequence = CorpusSequence(track=track, target=target, video=Path("/a.mp4"))
    assert sequence.labels.tolist() == [-1] * 5 + [1] * 7 + [4] * 8
    figures = evaluate_timelines([sure_of(*[0] * 5, *[1] * 9, *[4] * 6)], [sequence])
    assert figures.clips is None
    assert figures.frames.samples == 15
    assert figures.frames.accuracy == pytest.approx(13 / 15)
    assert figures.timing.change_ratio == pytest.approx(1.0)
    assert figures.timing.onset_error_seconds == pytest.approx(0.2)
    figures.write(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text())["frames"]["classes"]["anger"]["recall"] == 0.75
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate_timelines([sure_of(*[0] * 20)], [CorpusSequence(track=track, target=target * 0, video=Path("/a.mp4"))])


def with_affect(number, weights):
    track = steady_track(6, 10, seed=number)
    timeline = np.full((60, 8), 0.125, np.float32)
    values = np.tanh(affect_features(track, timeline)[:, :16] @ weights).astype(np.float32)
    values[:10] = np.nan
    target = clip_target(0, 60)
    return CorpusSequence(track=track, target=target, video=Path(f"/{number}.mp4"), valence_arousal=values), timeline


def test_valence_and_arousal_are_read_from_the_embeddings_of_people_never_seen():
    weights = np.random.default_rng(0).normal(0, 0.15, (16, 2))
    known, timelines = zip(*(with_affect(i, weights) for i in range(12)), strict=True)
    readout = AffectReadout(known[:9], timelines[:9])
    figures = readout.evaluate(known[9:], timelines[9:])
    assert figures.frames == 3 * 50
    assert figures.valence_ccc > 0.7
    assert figures.arousal_ccc > 0.7
    assert np.abs(readout.predict(known[0].track, timelines[0])).max() <= 1
    without = [clip("x", 1)]
    assert readout.evaluate(without, [sure_of(*[1] * 20)]) is None
    with pytest.raises(DataError, match="no training row has valence"):
        AffectReadout(without, [sure_of(*[1] * 20)])
