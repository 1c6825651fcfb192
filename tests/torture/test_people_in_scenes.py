"""People in galleries and edits of known truth, made by benchmarks/people.py of real clips: slow, some minutes each."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.benchmarks import load_benchmark

from vidfer import Pipeline

pytestmark = pytest.mark.torture

people = load_benchmark("people")
SCENES = [*people.scenes(6.0), *people.further_scenes(6.0)]


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(device="cpu")


@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
def test_people_keep_their_number_and_their_timeline(clips_folder: Path, pipeline: Pipeline, scene: object) -> None:
    figures = people.measure(scene, clips_folder, pipeline)
    assert figures.idf1 >= 0.95
    assert figures.merged <= 0.01 * figures.pairs
    assert max(figures.difference) <= 0.03
