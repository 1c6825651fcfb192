"""What pyproject.toml requires: bounds that hold here, and nothing by default that needs a system library."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
NOT_TESTED_HERE = {"timm"}  # it brings torchvision, which must be built for the torch that is installed
ALL = [Requirement(text) for text in [*PROJECT["dependencies"], *(text for extra in EXTRAS.values() for text in extra)]]


@pytest.mark.parametrize("required", [one for one in ALL if not one.extras], ids=lambda one: one.name)
def test_each_requirement_has_a_lower_bound_and_holds_here(required: Requirement) -> None:
    assert any(bound.operator in (">=", "==") for bound in required.specifier)
    if required.name in NOT_TESTED_HERE:
        return
    if required.marker is None or required.marker.evaluate():
        assert required.specifier.contains(metadata.version(required.name), prereleases=True)


def test_opencv_comes_with_an_extra_only() -> None:
    assert not {"face-alignment", "opencv-python"} & {Requirement(text).name for text in PROJECT["dependencies"]}
    assert any(Requirement(text).name == "face-alignment" for text in EXTRAS["face-alignment"])


def test_the_document_lists_what_a_machine_without_torch_needs() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "export.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("    pip install onnxruntime ")]
    needed = {Requirement(text).name for text in PROJECT["dependencies"]} - {"torch", "decord"}
    assert set(line.split()[2:]) == needed | {"onnxruntime"}
