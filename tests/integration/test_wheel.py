"""What a newcomer gets: the built wheel in an empty environment outside the checkout does the main job."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from fixtures.commands import read_csv
from fixtures.wheels import environment_with_vidfer


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of an empty venv into which only the wheel was installed."""
    return environment_with_vidfer(tmp_path_factory.mktemp("wheel"))


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *arguments], capture_output=True, text=True, cwd=cwd, check=False, timeout=300)


def test_the_wheel_carries_pipelines_and_weights(installed: Path, tmp_path: Path) -> None:
    code = (
        "import vidfer; from vidfer.config import pipelines_folder, load_pipeline; from vidfer import weights\n"
        "load_pipeline('default'); load_pipeline('accurate'); load_pipeline('fast')\n"
        "[weights.locate(f.kind, f.name) for f in weights.TABLE if not f.url]; print(vidfer.__file__)"
    )
    done = run(installed, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(installed.parents[1]) in done.stdout, "imported from the checkout, not from the wheel"


def test_the_wheel_does_the_main_job(installed: Path, tmp_path: Path, sample_video: Path) -> None:
    done = run(installed, "-m", "vidfer.cli", "process", str(sample_video), "--out", "results", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(read_csv(tmp_path / "results" / "sample" / "timeline.csv")) >= 200
    assert (tmp_path / "results" / "sample" / "timeline.png").stat().st_size > 5000
    pages = (tmp_path / "results" / "index.html", tmp_path / "results" / "sample" / "report.html")
    assert all("th[aria-sort=ascending]" in page.read_text() for page in pages)  # styles and scripts are files, too
