"""Manifests: what is read is what was written, and what is wrong is named with file and row."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vidfer.commands.manifest import run
from vidfer.config import parse_section
from vidfer.errors import ConfigError, DataError, OutputError
from vidfer.learning.datasets.corpus_description import CorpusDescription, SplitRule, manifests_folder, read_description
from vidfer.learning.datasets.manifest import COLUMNS, Manifest, read_manifest, write_manifest

HEADER = ",".join(COLUMNS)
GOOD = ("a,a.mp4,,s1,train,neutral,,", "b,a.mp4,,s1,train,happiness,1.5,2.25", "c,sub/c.mp4,,s2,test,fear,,")


def write_rows(folder: Path, *rows: str, header: str = HEADER) -> Path:
    (folder / "sub").mkdir(exist_ok=True)
    for name in ("a.mp4", "sub/c.mp4"):
        (folder / name).write_bytes(b"x")
    path = folder / "m.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def test_reads_rows_with_paths_from_the_folder_of_the_file(tmp_path: Path) -> None:
    manifest = read_manifest(write_rows(tmp_path, *GOOD))
    assert manifest.path == (tmp_path / "a.mp4", tmp_path / "a.mp4", tmp_path / "sub" / "c.mp4")
    assert manifest.label_index.tolist() == [0, 1, 6]
    assert manifest.is_frame_level.tolist() == [False, True, False]
    np.testing.assert_array_equal(manifest.start_seconds, [np.nan, 1.5, np.nan])
    test = manifest.select(manifest.rows_of("test"))
    assert (test.clip_id, test.end_seconds.shape) == (("c",), (1,))


def test_reads_paths_from_another_root(tmp_path: Path) -> None:
    path = write_rows(tmp_path, *GOOD)
    moved = tmp_path / "elsewhere" / "m.csv"
    moved.parent.mkdir()
    path.rename(moved)
    with pytest.raises(DataError, match=r"row 1 \(line 2\): .*a\.mp4 does not exist"):
        read_manifest(moved)
    assert read_manifest(moved, root=tmp_path).path[0] == tmp_path / "a.mp4"
    assert len(read_manifest(moved, check_files=False)) == 3


def test_four_columns_are_enough(tmp_path: Path) -> None:
    manifest = read_manifest(write_rows(tmp_path, "a,a.mp4,train,anger", header="clip_id,path,split,label"))
    assert (manifest.subject_id, manifest.sha256) == (("",), ("",))
    assert np.isnan(manifest.end_seconds[0])


def test_a_round_trip_keeps_every_bit_and_names_files_relative_where_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    manifest = Manifest(
        clip_id=('one, "two"', "é\udce9", "far"),
        path=(folder / "x y.mp4", folder / "z\udce9.mp4", tmp_path / "far.mp4"),
        sha256=("0" * 64, "", ""),
        subject_id=("", "s", "s"),
        split=("test", "train", "train"),
        label=("contempt", "anger", "anger"),
        start_seconds=np.array([np.nan, 0.1 + 0.2, 0.0]),
        end_seconds=np.array([np.nan, 1 / 3, np.nan]),
    )
    write_manifest(manifest, folder / "m.csv")
    again = read_manifest(folder / "m.csv", check_files=False)
    assert (again.clip_id, again.path, again.sha256) == (manifest.clip_id, manifest.path, manifest.sha256)
    np.testing.assert_array_equal(again.start_seconds, manifest.start_seconds)
    np.testing.assert_array_equal(again.end_seconds, manifest.end_seconds)
    lines = (folder / "m.csv").read_text(errors="surrogateescape").splitlines()
    assert ",x y.mp4," in lines[1]
    assert f",{tmp_path / 'far.mp4'}," in lines[3]
    assert sorted(path.name for path in folder.iterdir()) == ["m.csv"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("d,a.mp4,,s1,train,happy,,", r"row 4 \(line 5\): unknown label 'happy'; did you mean 'happiness'"),
        ("d,a.mp4,,s1,train,boredom,,", r"row 4 .*unknown label 'boredom'.*known: neutral, happiness"),
        ("d,a.mp4,,s1,validate,anger,,", r"row 4 .*unknown split 'validate'; did you mean 'validation'"),
        ("d,a.mp4,,s3,test,anger,,", r"row 4 .*video .*a\.mp4 is in test, but in train in row 1"),
        ("d,sub/c.mp4,,s1,test,anger,,", r"row 4 .*subject s1 is in test, but in train in row 1"),
        ("d,none.mp4,,s1,train,anger,,", r"row 4 .*none\.mp4 does not exist"),
        ("b,a.mp4,,s1,train,anger,,", r"row 4 .*clip_id 'b' is taken by row 2"),
        (",a.mp4,,s1,train,anger,,", r"row 4 .*clip_id is empty"),
        ("d,,,s1,train,anger,,", r"row 4 .*path is empty"),
        ("d,a.mp4,abc,s1,train,anger,,", r"row 4 .*sha256 must be 64"),
        ("d,a.mp4,,s1,train,anger,2,1", r"row 4 .*0 <= start_seconds < end_seconds, got 2\.0 to 1\.0"),
        ("d,a.mp4,,s1,train,anger,-1,1", r"row 4 .*got -1\.0 to 1\.0"),
        ("d,a.mp4,,s1,train,anger,,0", r"row 4 .*got nothing to 0\.0"),
        ("d,a.mp4,,s1,train,anger,0,inf", r"row 4 .*got 0\.0 to inf"),
        ("d,a.mp4,,s1,train,anger,1:30,", r"row 4 .*start_seconds must be seconds or empty, got '1:30'"),
        ("d,a.mp4,,s1,train", r"row 4 .*expected 8 values"),
        ("d,a.mp4,,s1,train,anger,,,,", r"row 4 .*expected 8 values"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = write_rows(tmp_path, *GOOD, row)
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(DataError, match="no rows"):
        read_manifest(write_rows(tmp_path))
    with pytest.raises(DataError, match="missing column 'label'; got clip_id, path, split"):
        read_manifest(write_rows(tmp_path, "a,a.mp4,train", header="clip_id,path,split"))
    with pytest.raises(DataError, match="unknown column 'subject'; did you mean 'subject_id'"):
        read_manifest(write_rows(tmp_path, *GOOD, header=HEADER.replace("subject_id", "subject")))
    for wrong, right in (
        ("labels", "label"),
        ("start", "start_seconds"),
        ("Subject_ID", "subject_id"),
        ("sha", "sha256"),
    ):
        with pytest.raises(DataError, match=f"unknown column '{wrong}'; did you mean '{right}'"):
            read_manifest(write_rows(tmp_path, *GOOD, header=HEADER.replace(right, wrong)))
    with pytest.raises(DataError, match="expected each column once, got 'label' twice"):
        read_manifest(write_rows(tmp_path, *GOOD, header=HEADER.replace("sha256", "label")))
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(DataError, match="missing column 'clip_id'; got nothing"):
        read_manifest(tmp_path / "empty.csv")


def test_further_columns_are_kept(tmp_path: Path) -> None:
    path = write_rows(tmp_path, *(f"{row},{i},'=x" for i, row in enumerate(GOOD)), header=f"{HEADER},age group,site")
    manifest = read_manifest(path)
    assert manifest.further == {"age group": ("0", "1", "2"), "site": ("=x",) * 3}
    assert manifest.select([2, 0]).further["age group"] == ("2", "0")
    write_manifest(manifest, tmp_path / "again.csv")
    again = read_manifest(tmp_path / "again.csv")
    assert (again.further, again.clip_id) == (manifest.further, manifest.clip_id)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"clip_id;path;split;label\na;a.mp4;train;anger\n", "expected commas between the columns, got semicolons"),
        (b"clip_id\tpath\tsplit\tlabel\n", "expected commas between the columns, got tabs"),
        (b"\0\0\0 ftypisom\0\0", "expected a CSV file, got one that is no text"),
        (b"x" * 5000, "^.{0,400}$"),
    ],
)
def test_a_file_of_another_kind_is_said_to_be_one(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(DataError, match=expected):
        read_manifest(tmp_path / "m.csv")


def test_a_wrong_manifest_is_not_written(tmp_path: Path) -> None:
    manifest = read_manifest(write_rows(tmp_path, *GOOD))
    wrong = manifest.select([0, 0])
    with pytest.raises(DataError, match="taken by row 1"):
        write_manifest(wrong, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    with pytest.raises(OutputError, match="cannot be written"):
        write_manifest(manifest, tmp_path / "a.mp4" / "out.csv")


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="label: expected 1 rows as in clip_id, got 0"):
        Manifest(
            clip_id=("a",), path=(Path("a"),), sha256=("",), subject_id=("",), split=("train",), label=(),
            start_seconds=np.zeros(1), end_seconds=np.zeros(1),
        )  # fmt: skip


def test_a_description_is_strict() -> None:
    import tomllib

    data = tomllib.loads((manifests_folder() / "savee.toml").read_text())
    data["licence"]["comercial_use"] = "no"
    with pytest.raises(ConfigError, match="did you mean 'commercial_use'"):
        parse_section(CorpusDescription, data, source="savee.toml")
    data = tomllib.loads((manifests_folder() / "savee.toml").read_text())
    data["labels"]["b"] = "boredom"
    with pytest.raises(ConfigError, match="boredom"):
        parse_section(CorpusDescription, data, source="savee.toml")


def test_a_subject_is_always_in_the_same_part() -> None:
    rule = SplitRule(rule="r", official=False, test=("A",), validation_endings=("7",), test_endings=("8", "9"))
    assert [rule.split_of(subject) for subject in ("A", "17", "1019", "B1", "")] == [
        "test", "validation", "test", "train", "train",
    ]  # fmt: skip
    assert len([n for n in range(1001, 1092) if read_description("crema-d").split.split_of(str(n)) == "test"]) == 18


def test_the_command_builds_checks_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fixtures.corpus_folders import savee

    savee(tmp_path / "data" / "SAVEE")
    out = tmp_path / "data" / "savee.csv"
    build = argparse.Namespace(
        action="build", corpus="savee", folder=str(tmp_path / "data" / "SAVEE"), out=str(out), fold=1,
        no_digests=True, quiet=False, verbose=False,
    )  # fmt: skip
    assert run(build) == 0
    assert "28 rows of 28 videos, 4 subjects; train 14, validation 7, test 7; neutral 4" in capsys.readouterr().out
    (tmp_path / "data").rename(tmp_path / "moved")  # manifest and videos together
    check = argparse.Namespace(action="check", file=str(tmp_path / "moved" / "savee.csv"), root=None, quiet=False)
    assert run(check) == 0
    assert "28 rows" in capsys.readouterr().out
    assert run(argparse.Namespace(action="list", quiet=False)) == 0
    listed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("savee") and "build" in line for line in listed)
    assert any(line.startswith("lfw") and "build" not in line for line in listed)


def test_reading_a_manifest_imports_nothing_heavy() -> None:
    code = (
        "import sys, vidfer.commands.manifest, vidfer.learning.datasets.manifest\n"
        "from vidfer.learning.datasets import corpora\n"
        "corpora.CORPORA.names()\n"
        "print(sorted({'torch', 'av', 'decord', 'matplotlib', 'pandas', 'cv2', 'PIL'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
