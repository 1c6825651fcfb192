"""Mutants by the thousand: a result or one clear error, never more. See tests/integration/test_fuzz.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fixtures.fuzz_tasks import Trial
from fixtures.fuzz_trials import results_trials, settings_trials, video_trials, weights_trials
from fixtures.fuzzing import fuzz

pytestmark = pytest.mark.torture

MUTANTS = int(os.environ.get("VIDFER_MUTANTS", "1000"))
FIRST_SEED = int(os.environ.get("VIDFER_FIRST_SEED", "10000"))


def check(what: str, trials: list[Trial]) -> None:
    tally = fuzz(trials)
    print(f"\n{what}: {tally}")
    for outcome, example in sorted(tally.examples.items()):
        print(f"  {outcome}: {example}")
    for text in tally.contained:
        print(f"  contained: {text.splitlines()[0]}")
    for text in tally.bad:
        print(f"  bad: {text}")
    assert tally.bad == []
    assert tally.outcomes.total() == len(trials)
    assert tally.outcomes["result"] >= len(trials) // 20


def test_videos(tmp_path: Path) -> None:
    check("videos", video_trials(tmp_path, MUTANTS, FIRST_SEED))


def test_results_folders(sample_video: Path, tmp_path: Path) -> None:
    damaged, forged = results_trials(sample_video, tmp_path, MUTANTS, FIRST_SEED)
    check("results folders", damaged)
    check("forged caches", forged)


def test_settings(tmp_path: Path) -> None:
    check("settings", settings_trials(tmp_path, MUTANTS, FIRST_SEED))


def test_weights(shared_folder: Path, tmp_path: Path) -> None:
    check("weights", weights_trials(tmp_path, shared_folder / "weights", MUTANTS, FIRST_SEED))
