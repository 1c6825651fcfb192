"""The packaging that docs/export.md describes for machines without PyTorch, in an environment that has none."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest
from fixtures.commands import read_csv, vidfer
from fixtures.wheels import REPOSITORY, build_wheel, install_into

pytest.importorskip("onnx", reason="the extra vidfer[onnx] is not installed")

INSTALL_SECONDS = 1500
RUN_SECONDS = 600


def listed() -> list[str]:
    """Return the packages of the document's line."""
    lines = (REPOSITORY / "docs" / "export.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("    pip install onnxruntime ")]
    return line.split()[2:]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of a venv with vidfer's wheel and the listed packages, and nothing else."""
    folder = tmp_path_factory.mktemp("no torch")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    install_into(python, build_wheel(REPOSITORY, folder))
    command = [python, "-m", "pip", "install", "-q", "--constraint", REPOSITORY / "constraints.txt", *listed()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    if done.returncode:
        pytest.skip(f"the packages cannot be had here: {done.stderr.strip().splitlines()[-1]}")
    return python


def run(python: Path, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, check=False, timeout=RUN_SECONDS)


@pytest.mark.torture
def test_the_wheel_works_where_there_is_no_torch(python: Path, sample_video: Path, tmp_path: Path) -> None:
    assert "No module named 'torch'" in run(python, "-c", "import torch", cwd=tmp_path).stderr
    assert vidfer("export", "onnx", "--out", tmp_path / "networks", "--quiet").returncode == 0
    onnx = ("--set", "networks.runtime=onnx", "--set", "networks.folder=networks")
    done = run(python, "-m", "vidfer", "process", sample_video, "--out", "results", *onnx, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = tmp_path / "results" / "sample"
    assert len(read_csv(results / "timeline.csv")) >= 200
    assert (results / "timeline.png").stat().st_size > 5000
    live = run(python, "-m", "vidfer", "live", sample_video, *onnx, cwd=tmp_path)
    assert live.returncode == 0, live.stderr
    assert len(live.stdout.splitlines()) == 200
    assert str(python.parents[1]) in run(python, "-c", "import vidfer; print(vidfer.__file__)", cwd=tmp_path).stdout
    without = run(python, "-m", "vidfer", "process", sample_video, "--out", "other", cwd=tmp_path)
    assert without.returncode != 0
    assert "torch" in without.stderr
    packages = run(python, "-m", "pip", "list", cwd=tmp_path).stdout
    assert "torch" not in packages
    size = sum(file.stat().st_size for file in (python.parents[1] / "lib").rglob("*") if file.is_file())
    print(f"installed without torch: {size / 1e6:.0f} MB")
