"""Clips whose names spreadsheets and pandas take for something else, through the real command and back."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from fixtures.commands import read_csv
from fixtures.forked import vidfer
from fixtures.fuzz_trials import short_clip

import vidfer as package
from vidfer.errors import OutputError

NAMES = ("+y", "-a", "=1+1", "@x", "NA", "None", "001")
FORMULA = ("=", "+", "-", "@")


@pytest.fixture(scope="module")
def results(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a folder of such clips, and of one that cannot be read; all tables, in the folder of the videos."""
    folder = tmp_path_factory.mktemp("names")
    (folder / "videos").mkdir()
    content = short_clip(sample_video, folder / "any.mp4", num_frames=10).read_bytes()
    for name in NAMES:
        (folder / "videos" / f"{name}.mp4").write_bytes(content)
    (folder / "videos" / "=broken.mp4").write_bytes(b"no video" * 100)
    done = vidfer(
        *("process", folder / "videos", "--out", folder / "out", "--jobs", "1"),
        *("--export", "csv,segments,summary,fex,openface"),
    )
    assert done.returncode == 1, done.stderr  # of the one that is no video
    return folder / "out"


def test_no_cell_of_any_table_is_run_by_a_spreadsheet(results: Path) -> None:
    tables = sorted(results.rglob("*.csv"))
    expected = {"summary.csv", "failures.csv", "timeline.csv", "segments.csv", "fex.csv"}
    assert {table.name for table in tables} >= expected
    for table in tables:
        with table.open(newline="") as file:
            for cell in (cell for row in csv.reader(file) for cell in row):
                assert not cell.startswith(FORMULA) or _is_number(cell), (table, cell)
    written = [row["clip"] for row in read_csv(results / "summary.csv")]
    assert sorted(written) == sorted(f"'{name}" if name.startswith(FORMULA) else name for name in NAMES)
    assert [row["clip"] for row in read_csv(results / "failures.csv")] == ["'=broken"]
    assert {row["input"] for row in read_csv(results / "=1+1" / "fex.csv")} == {"'=1+1.mp4"}


def test_load_summary_gives_the_names_on_disk(results: Path) -> None:
    for given in (results, str(results), results / "summary.csv"):
        clips = package.load_summary(given)
        assert sorted(clips["clip"]) == sorted(NAMES)
        assert sorted(clips["video"]) == sorted(f"{name}.mp4" for name in NAMES)
        for clip in clips["clip"]:
            assert len(package.load_timeline(results / clip)) == 10
    assert (clips["num_faces"] == 1).all()
    assert clips["duration_seconds"].tolist() == pytest.approx([0.4] * len(NAMES))
    assert not clips["warnings"].isna().any()  # text that is empty is no missing number


def test_a_clip_without_a_face_has_no_number(tmp_path: Path, results: Path) -> None:
    clips = package.load_summary(results)
    clips.loc[0, ["dominant_emotion", "mean_quality"]] = None
    clips.to_csv(tmp_path / "summary.csv", index=False)
    again = package.load_summary(tmp_path)
    assert again.loc[0, ["dominant_emotion", "mean_quality"]].isna().all()
    assert again["mean_quality"].dtype == float
    pd.testing.assert_frame_equal(again.iloc[1:], clips.iloc[1:])


def test_what_is_no_summary_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"summary\.csv is missing"):
        package.load_summary(tmp_path)
    wrong = {b"": "not a table", b"a,b\n1,2\n": "no column 'clip'", b"\xff\xfe\x00": "not a table"}
    for content, message in wrong.items():
        (tmp_path / "summary.csv").write_bytes(content)
        with pytest.raises(OutputError, match=message):
            package.load_summary(tmp_path)


def test_names_copied_from_the_table_make_a_manifest(results: Path, tmp_path: Path) -> None:
    """What stands in summary.csv is what people copy: `vidfer evaluate` finds the videos, and guards its own table."""
    names = {row["clip"]: row["video"] for row in read_csv(results / "summary.csv")}
    lines = [f"{clip},{video},test,happiness" for clip, video in names.items()]
    manifest = results.parent / "videos" / "labels.csv"
    manifest.write_text("\n".join(["clip_id,path,split,label", *lines]) + "\n")
    done = vidfer("evaluate", "--manifest", manifest, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert [row["clip_id"] for row in read_csv(tmp_path / "out" / "predictions.csv")] == list(names)


def test_status_and_report_find_the_clips(results: Path) -> None:
    done = vidfer("report", results, "--export", "chart")
    assert done.returncode == 0, done.stderr
    assert sorted(path.parent.name for path in results.rglob("timeline.png")) == sorted(NAMES)
    assert "=broken" in vidfer("status", results).stdout


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
