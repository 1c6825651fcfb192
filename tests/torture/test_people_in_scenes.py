"""People in galleries and edits of known truth, made by benchmarks/people.py of real clips: slow, some minutes each."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vidfer import Pipeline

pytestmark = pytest.mark.torture
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "people.py"


def load_benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("people_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


people = load_benchmark()
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
