"""Cells that a spreadsheet would run are written as text, and read back as they were."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from vidfer.exporters.rows import quoted, records_csv
from vidfer.learning.datasets.manifest import read_manifest
from vidfer.spreadsheet import guarded, unguarded

NAMES = ["=1+1", "-a", "+y", "@x", "\tt", "\rc", "'=1", "'quote", "plain", "", "é"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_comes_back_as_it_was(name: str) -> None:
    written = guarded(name)
    assert not written.startswith(("=", "-", "+", "@", "\t", "\r"))
    assert unguarded(written) == name


def test_tables_hold_no_formula_and_numbers_stay_numbers() -> None:
    text = records_csv(("clip", "pitch"), [{"clip": "=1+1", "pitch": -3.5}]).decode()
    assert list(csv.reader(io.StringIO(text)))[1] == ["'=1+1", "-3.5"]
    assert quoted("@x.mp4") == "'@x.mp4"


@pytest.mark.parametrize("mark", ["", "'"])
def test_a_manifest_names_its_videos_with_and_without_the_apostrophe(tmp_path: Path, mark: str) -> None:
    for name in ("=1+1.mp4", "-a.mp4", "@x.mp4", "+y.mp4"):
        (tmp_path / name).touch()
    lines = [f"{mark}{n},{mark}{n},test,fear" for n in ("=1+1.mp4", "-a.mp4", "@x.mp4", "+y.mp4")]
    (tmp_path / "m.csv").write_text("\n".join(["clip_id,path,split,label", *lines]) + "\n")
    manifest = read_manifest(tmp_path / "m.csv")
    assert manifest.clip_id == ("=1+1.mp4", "-a.mp4", "@x.mp4", "+y.mp4")
    assert [path.name for path in manifest.path] == list(manifest.clip_id)
