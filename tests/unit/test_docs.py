"""What the documents say of settings, columns, files and options is so."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.clip_results import make_clip
from pydantic import BaseModel

from vidfer.cli import build_parser
from vidfer.config import PipelineConfig, load_pipeline
from vidfer.exporters import EXPORTERS, Exporter
from vidfer.exporters.batch_tables import summary_csv
from vidfer.exporters.table import COLUMNS
from vidfer.timeline.summary import SUMMARY_COLUMNS, summarise
from vidfer.types import FacePeople

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_table_of_settings_has_every_key_with_its_default() -> None:
    said: dict[tuple[str, str], object] = {}
    sections: list[str] = []
    for line in (ROOT / "docs" / "settings.md").read_text().splitlines():
        if line.startswith("## "):
            sections = re.findall(r"\[([\w.]+)\]", line)
        if row := re.match(r"\| `(\w+)` \| `(.*?)` \|", line):
            said |= {(section, row[1]): json.loads(row[2]) for section in sections}
    assert said == dict(_defaults(PipelineConfig(), ""))


def _defaults(section: BaseModel, path: str) -> list[tuple[tuple[str, str], object]]:
    found: list[tuple[tuple[str, str], object]] = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            found += _defaults(value, f"{path}.{name}".lstrip("."))
        else:
            found.append(((path, name), list(value) if isinstance(value, tuple) else value))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)", page.read_text()) if "://" not in target]
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_of_commands_exist(page: Path) -> None:
    """Every ``--option`` on a line that starts with a vidfer command is one of that command's."""
    commands = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    for line in re.findall(r"vidfer (\w+[^`\n]*--[^`\n]*)", page.read_text()):
        words = line.split("#")[0].split()
        if words[0] in commands:
            known = {option for parser in _with_actions(commands[words[0]]) for option in parser._option_string_actions}
            given = set(re.findall(r"(?<![\w-])--[\w-]+", " ".join(words)))
            assert given <= known, f"{line}: {given - known}"


def _with_actions(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    nested = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [parser, *(choice for action in nested for choice in action.choices.values())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_in_examples_can_be_set(page: Path) -> None:
    for setting in re.findall(r"--set ([\w.]+=[\w.]+)", page.read_text()):
        if setting != "section.key=value":
            load_pipeline("default", [setting])


def test_the_readme_names_the_columns_and_the_exporters() -> None:
    text = (ROOT / "README.md").read_text()
    assert not [name for name in COLUMNS if f"`{name}`" not in text]
    assert not [name for name in EXPORTERS.names() if not name.endswith("-blurred") and name not in text]


@pytest.mark.parametrize("name", ["001", "a b"])
def test_the_guide_reads_results_with_pandas(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(seconds=1, clip_id=name, gaps=[(0, 0.2, 0.4)])
    track_id = clip.timeline.track_id
    nothing = np.zeros((0, 2), np.int32), np.zeros(0, np.float32)
    sure = np.ones(len(track_id), np.float32)
    people = FacePeople(person_id=track_id, confidence=sure, unsure=nothing[0], unsure_confidence=nothing[1])
    clip = replace(clip, people=people)
    (tmp_path / "results" / name).mkdir(parents=True)
    for export in ("csv", "parquet"):
        exporter = EXPORTERS.get(export)
        assert isinstance(exporter, Exporter)
        for file, data in exporter.render(clip).items():
            (tmp_path / "results" / name / file).write_bytes(data)
    (tmp_path / "results" / "summary.csv").write_bytes(summary_csv([summarise(clip)]))
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/guide.md").read_text(), re.DOTALL)
    assert code is not None
    found: dict[str, Any] = {}
    exec(code[1], found)
    assert found["means"].index.tolist() == [(name, 0)]
    assert 0 < len(found["seen"]) < len(found["rows"])


def test_columns_of_summary_csv_named_in_the_guide_exist() -> None:
    named = re.findall(r"`(\w+_share_of_time|\w+_mean_probability|\w+_episodes)`", (ROOT / "docs/guide.md").read_text())
    assert named
    assert set(named) <= set(SUMMARY_COLUMNS)
