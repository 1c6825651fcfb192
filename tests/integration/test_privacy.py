"""docs/privacy.md is true: no connection is opened, all lies where it says, and the recipe for forgetting works."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from fixtures.commands import vidfer
from fixtures.fuzz_trials import short_clip

SABOTAGE = Path(__file__).parent.parent / "fixtures" / "sabotage"
PAGE = (Path(__file__).parent.parent.parent / "docs" / "privacy.md").read_text()
SETTINGS = ["--jobs", "1", "--export", "csv,parquet,segments,summary,report"]
SECRET = "patient 4711"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose home and temporary folders are empty, and in which a connection ends the process."""
    folders = {name: str(tmp_path / name.lower()) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    for folder in folders.values():
        Path(folder).mkdir()
    path = os.pathsep.join(filter(None, [str(SABOTAGE), os.environ.get("PYTHONPATH")]))
    return {**folders, "PYTHONPATH": path, "VIDFER_SABOTAGE": "no-network"}


def naming(folder: Path, text: str) -> list[str]:
    """Return the files whose path or content holds a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(
        str(path.relative_to(folder)) for path in files if text in str(path) or text.encode() in path.read_bytes()
    )


def test_everything_lies_where_the_page_says_and_can_be_forgotten(
    sample_video: Path, tmp_path: Path, home: dict[str, str]
) -> None:
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    short_clip(sample_video, videos / f"{SECRET}.mp4")
    short_clip(sample_video, videos / "other.mp4", num_frames=30)
    (videos / "broken.mp4").write_bytes(b"")
    done = vidfer("process", videos, "--out", out, *SETTINGS, env=home)
    assert done.returncode == 1, done.stderr
    for place in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        assert naming(Path(home[place]), SECRET) == []
    assert sorted(path.name for path in videos.iterdir()) == ["broken.mp4", "other.mp4", f"{SECRET}.mp4"]
    own = {path.name for path in out.iterdir()} - {SECRET, "other", "assets"}
    assert all(f"`{name}`" in PAGE or f"`DIR/{name}" in PAGE for name in own), own
    assert len([name for name in naming(out, SECRET) if name.startswith(".vidfer")]) >= 1

    for path in (out / SECRET, out / ".vidfer"):  # the page's recipe
        shutil.rmtree(path)
    (out / "run.json").unlink()
    (videos / f"{SECRET}.mp4").unlink()
    vidfer("process", videos, "--out", out, *SETTINGS, env=home)
    assert naming(out, SECRET) == []
    assert (out / "other" / "timeline.csv").is_file()


def test_the_trap_for_connections_works(home: dict[str, str]) -> None:
    import subprocess
    import sys

    program = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=1)"
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, **home}, check=False)
    assert done.returncode == 99
