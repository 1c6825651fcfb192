"""A share of the mutants of `make torture`: a result or one clear error, never more, whatever is damaged.

Each runs in a worker process with a deadline and a limit of memory; see fixtures/fuzzing.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.fuzz_tasks import Trial
from fixtures.fuzz_trials import results_trials, settings_trials, video_trials, weights_trials
from fixtures.fuzzing import Tally, fuzz


def check(trials: list[Trial]) -> Tally:
    tally = fuzz(trials)
    assert tally.bad == []
    assert tally.outcomes.total() == len(trials)
    assert tally.outcomes["result"] >= 2, tally
    return tally


def test_videos(tmp_path: Path) -> None:
    assert check(video_trials(tmp_path, 45, 0)).outcomes["BadVideo"] >= 5


def test_results_folders(sample_video: Path, tmp_path: Path) -> None:
    damaged, forged = results_trials(sample_video, tmp_path, 15, 0)
    check(damaged)
    check(forged)


def test_settings(tmp_path: Path) -> None:
    assert check(settings_trials(tmp_path, 60, 0)).outcomes["ConfigError"] >= 10


def test_weights(tmp_path: Path) -> None:
    assert check(weights_trials(tmp_path, None, 45, 0)).outcomes["WeightsError"] >= 10


def test_a_mutant_that_misbehaves_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness itself: what hangs, eats memory, raises or dies is bad or contained, never lost."""
    monkeypatch.setattr("fixtures.fuzzing.TIMEOUT_SECONDS", 3.0)
    monkeypatch.setattr("fixtures.fuzzing.MAX_BYTES", 256 << 20)
    kinds = ["hang", "eat", "bug", "die"]
    tally = fuzz([Trial(kind=kind, base=tmp_path / kind, seed=0, folder=tmp_path) for kind in kinds])
    assert len(tally.bad) == 3
    assert len(tally.contained) == 1
