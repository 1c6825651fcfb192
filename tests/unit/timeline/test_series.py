"""Curves: what is averaged, where lines break, where the face is not seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fixtures.clip_results import make_clip

from vidfer.timeline.series import face_series
from vidfer.types import SampledFrames


def test_a_short_clip_keeps_every_frame() -> None:
    clip = make_clip(seconds=2)
    series = face_series(clip, 0)
    assert not series.averaged
    np.testing.assert_array_equal(series.seconds[:-1], clip.frames.pts_seconds)
    np.testing.assert_array_equal(series.probabilities[:-1], clip.timeline.probabilities)
    assert series.seconds[-1] == pytest.approx(2.0)
    assert series.gaps.shape == (0, 2)


def test_lines_break_at_gaps_and_gaps_are_told() -> None:
    series = face_series(make_clip(seconds=4, gaps=[(0, 0, 0.4), (0, 1, 2), (0, 3.6, 4)]), 0)
    np.testing.assert_allclose(series.gaps, [[0, 0.4], [1, 2], [3.6, 4]], atol=1e-9)
    broken = np.isnan(series.probabilities).any(axis=1)
    assert broken.sum() == 1
    assert series.seconds[broken] == pytest.approx(1.0)
    assert not broken[-1]


def test_a_single_frame_has_a_length() -> None:
    series = face_series(make_clip(seconds=2, gaps=[(0, 0, 1), (0, 1.04, 2)]), 0)
    np.testing.assert_allclose(series.seconds, [1.0, 1.04])
    np.testing.assert_array_equal(series.probabilities[0], series.probabilities[1])


def test_a_long_clip_is_averaged_to_what_can_be_drawn() -> None:
    clip = make_clip(seconds=120, gaps=[(0, 30, 50)])
    series = face_series(clip, 0, max_points=200)
    assert series.averaged
    assert len(series.seconds) <= 210
    known = ~np.isnan(series.probabilities[:, 0])
    assert (np.diff(series.seconds) >= 0).all()
    np.testing.assert_allclose(series.probabilities[known].sum(axis=1), 1, atol=1e-4)
    assert (series.low[known] <= series.high[known]).all()
    inside = (series.seconds[known] > 30.0001) & (series.seconds[known] < 49.999)
    assert not inside.any()
    mean = np.nanmean(clip.timeline.probabilities, axis=0)
    np.testing.assert_allclose(series.probabilities[known].mean(axis=0), mean, atol=0.01)


def test_variable_frame_rate_leaves_no_false_gap() -> None:
    clip = make_clip(seconds=40)
    steps = np.where(np.arange(1000) % 100 < 90, 0.01, 2.0)
    frames = SampledFrames(frame_index=clip.frames.frame_index, pts_seconds=np.cumsum(steps), is_cut=clip.frames.is_cut)
    series = face_series(dataclasses.replace(clip, frames=frames), 0, max_points=500)
    assert series.gaps.shape == (0, 2)
    assert not np.isnan(series.probabilities).any()
