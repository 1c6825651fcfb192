"""What a newcomer gets: the built wheel in an empty environment outside the checkout does the main job."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest
from fixtures.commands import read_csv

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of an empty venv into which only the wheel was installed; dependencies come from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", wheel], check=True)
    # The heavy dependencies (torch, ...) are borrowed through a .pth file, after the venv's own packages; the checkout,
    # which is installed here as editable, is not.
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    borrowed = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    links = folder / "borrowed"
    links.mkdir()
    for entry in borrowed.iterdir():
        if "vidfer" not in entry.name.lower() and entry.suffix != ".pth":
            (links / entry.name).symlink_to(entry)
    (site / "borrowed.pth").write_text(f"{links}\n")
    return python


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
    assert len(read_csv(tmp_path / "results" / "sample" / "timeline.csv")) >= 175
    assert (tmp_path / "results" / "sample" / "timeline.png").stat().st_size > 5000
