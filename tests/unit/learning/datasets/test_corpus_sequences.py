"""Stretches of a corpus's tracks."""

import numpy as np
import pytest
from fixtures.tracks import clip_target, steady_track

from vidfer.errors import DataError
from vidfer.learning.datasets.corpus_sequences import CorpusSequences
from vidfer.learning.datasets.face_sequences import LabelledSequence


def labelled(duration, label, *, start=0.0, dim=16):
    track = steady_track(duration, 25, start_seconds=start, dim=dim)
    return LabelledSequence(track=track, target=clip_target(label, len(track)))


def test_stretches_have_the_duration_and_the_label_of_the_clip():
    source = CorpusSequences([labelled(20, 1, start=100.0), labelled(2, 4)])
    seen = set()
    for seed in range(30):
        drawn = source.draw(np.random.default_rng(seed), duration_seconds=5.0)
        label = int(drawn.labels[0])
        seen.add(label)
        assert np.all(drawn.labels == label)
        assert len(drawn.track) == (pytest.approx(125, abs=1) if label == 1 else 50)
        assert drawn.target.shape == drawn.track.logits.shape
    assert seen == {1, 4}


def test_a_single_row_is_a_sequence_and_none_is_an_error():
    assert len(CorpusSequences([labelled(0.04, 2)]).draw(np.random.default_rng(0), duration_seconds=3.0).track) == 1
    with pytest.raises(DataError, match="no labelled track"):
        CorpusSequences([])
    with pytest.raises(DataError, match="different backbones"):
        CorpusSequences([labelled(1, 0), labelled(1, 0, dim=8)])
