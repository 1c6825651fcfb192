"""The service against what schemathesis makes of its OpenAPI: no answer that is not documented, no mistake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.service import serving

LIMITS = ("--set", "serve.requests_per_second=10000", "--set", "serve.max_queue=10000")
TABLES = ("--set", "video.fps=1", "--set", "output.exports=['csv', 'summary']")


@pytest.mark.torture
def test_schemathesis_finds_nothing(sample_video: Path, tmp_path: Path) -> None:
    found = shutil.which("schemathesis", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip("schemathesis is not installed (pip install schemathesis)")
    with serving(tmp_path / "out", "--root", sample_video.parent, *LIMITS, *TABLES) as service:
        options = ("--max-examples", "50", "--phases", "examples,coverage,fuzzing,stateful", "--request-timeout", "120")
        command = [found, "run", f"http://127.0.0.1:{service.port}/openapi.json", *options, "--no-color"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stdout
        assert service.ask("GET", "/health").status == 200
        assert "Traceback" not in service.log()
