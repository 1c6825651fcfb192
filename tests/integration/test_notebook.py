"""docs/example_notebook.py: run as a script and cell by cell, as users do."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "example_notebook.py"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the script ran without an argument, and what it printed."""
    folder = tmp_path_factory.mktemp("notebook")
    done = subprocess.run(
        [sys.executable, str(NOTEBOOK)],
        cwd=folder, capture_output=True, text=True, timeout=400, check=False,
        env={**os.environ, "PYTHONPATH": str(NOTEBOOK.parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_without_an_argument_it_makes_a_sample_and_shows_its_numbers(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    assert (folder / "results" / "index.html").is_file()
    for text in ("dominant_emotion", "neutral", "face_id", "duration_seconds"):
        assert text in printed


def test_cell_by_cell_over_finished_results_it_shows_a_chart(
    finished: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["notebook", str(finished[0] / "results")])
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = [value for cell in code_cells() if (value := run_cell(cell, names)) is not None]
    charts = [value._repr_png_() for value in shown if hasattr(value, "_repr_png_")]
    assert len(charts) == 1
    assert charts[0][0].startswith(b"\x89PNG")
    assert capsys.readouterr().out == finished[1]
    assert list(tmp_path.iterdir()) == []  # nothing is made where results were given


def code_cells() -> list[str]:
    cells = re.split(r"^# %%", NOTEBOOK.read_text(), flags=re.MULTILINE)[1:]
    return [cell.partition("\n")[2] for cell in cells if not cell.startswith(" [markdown]")]


def run_cell(cell: str, names: dict[str, Any]) -> Any:
    """Run a cell and return what a notebook would show of it: the value of its last line."""
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(NOTEBOOK), "exec"), names)
    return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names) if last is not None else None
