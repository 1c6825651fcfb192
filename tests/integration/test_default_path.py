"""The default pipeline needs nothing but what the package carries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fixtures.commands import read_csv

# Runs before anything else in every Python process below, workers included: these modules cannot be imported, and no
# socket but a local one can be opened.
SITECUSTOMIZE = """
import socket, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("cv2", "face_alignment"):
            raise ImportError(f"{name}: libGL.so.1: cannot open shared object file")

sys.meta_path.insert(0, Refuse())
connect = socket.socket.connect

def local_only(self, address):
    if self.family != socket.AF_UNIX:
        raise OSError("no network here")
    return connect(self, address)

socket.socket.connect = local_only
"""


def run_without_cv2(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return subprocess.run(
        [sys.executable, "-m", "vidfer.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        check=False,
        timeout=240,
    )


def test_the_main_job_runs_without_cv2_face_alignment_and_network(sample_video: Path, tmp_path: Path) -> None:
    done = run_without_cv2(tmp_path, "process", str(sample_video), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    rows = read_csv(tmp_path / "out" / "sample" / "timeline.csv")
    assert sum(row["success"] == "1" for row in rows) > 130


def test_asking_for_face_alignment_without_libgl_is_one_clear_line(sample_video: Path, tmp_path: Path) -> None:
    done = run_without_cv2(
        tmp_path, "process", str(sample_video), "--out", str(tmp_path / "out"), "--pipeline", "accurate"
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "libGL" in done.stderr or "sfd" in done.stderr.lower()
