"""The documents as a site: it builds without a warning, fetches nothing, and its Python code runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FETCHED = re.compile(r"""<(?:script|link|img)[^>]+(?:src|href)=["'](https?://[^"']+)""")


def test_the_site_builds_and_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "python.html").read_text()
    for name in ("Pipeline", "Clip", "load_timeline", "BadVideo"):
        assert re.search(rf'id="vidfer\.[\w.]*{name}"', page), name
    for html in tmp_path.rglob("*.html"):
        fetched = [url for url in FETCHED.findall(html.read_text()) if "canonical" not in url]
        assert not fetched, html


@pytest.mark.parametrize("document", ["README.md", "docs/python.md"])
def test_python_in_the_documents_runs(
    document: str, tmp_path: Path, sample_video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    (tmp_path / "videos").mkdir()
    shutil.copy(sample_video, tmp_path / "videos" / "interview 1.mp4")
    shutil.copy(sample_video, tmp_path / "interview.mp4")
    Image.fromarray(pytest.importorskip("skimage.data").astronaut()).save(tmp_path / "portrait.jpg")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, document, "exec"), {})
