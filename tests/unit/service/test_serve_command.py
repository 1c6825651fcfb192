"""``vidfer serve`` before it serves."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest

from vidfer.cli import main


def test_a_missing_extra_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    known = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "uvicorn" else known(name))
    assert main(["serve", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "vidfer serve needs the package uvicorn" in said
    assert "pip install 'vidfer[serve]'" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()
