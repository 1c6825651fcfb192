"""The journal: what became of each clip survives kills."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from vidfer.store.journal import ClipRecord, Journal, Records, state_column


def record(clip_id: str, **values: object) -> ClipRecord:
    return ClipRecord(clip_id=clip_id, path=f"/v/{clip_id}.mp4", fingerprint="f" * 64, status="ok", **values)  # type: ignore[arg-type]


def test_the_last_record_of_a_clip_counts(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl") as journal:
        journal.add(record("a", seconds=1.0))
        journal.add(record("b"))
        journal.add(record("a", seconds=2.0))
    records = Journal(tmp_path / "j.jsonl").records
    assert set(records) == {"a", "b"}
    assert records["a"].seconds == 2.0


def test_a_line_cut_short_loses_only_its_clip(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.add(record("a"))
        journal.add(record("b"))
    path.write_bytes(path.read_bytes()[:-20])
    with Journal(path) as journal:
        assert set(journal.records) == {"a"}
        journal.add(record("c"))
    assert set(Journal(path).records) == {"a", "c"}


def test_no_file_is_made_before_there_is_something_to_say(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_lines_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    old = {name: value for name, value in asdict(record("a", summary={"x": 1})).items() if name != "seal"}
    (tmp_path / "j.jsonl").write_text(json.dumps(old) + "\n")
    with Journal(tmp_path / "j.jsonl") as journal:
        journal.add(record("b"))
    assert dict(Journal(tmp_path / "j.jsonl").records) == {"a": record("a", summary={"x": 1}), "b": record("b")}


def test_a_field_of_a_later_version_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "j.jsonl").write_text(json.dumps(asdict(record("a")) | {"mood": "good"}) + "\n")
    assert Journal(tmp_path / "j.jsonl").records["a"] == record("a")


def test_a_damaged_line_loses_only_its_clip(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        for name in "abc":
            journal.add(record(name))
    data = path.read_bytes()
    where = data.index(b"/v/b.mp4")
    path.write_bytes(data[:where] + b"#" + data[where + 1 :])
    assert set(Journal(path).records) == {"a", "c"}


def test_ids_of_any_kind_come_back(tmp_path: Path) -> None:
    ids = ['tab\tand "quote"', "line\nbreak", "Umlaut ü/x", "not text \udcff"]
    with Journal(tmp_path / "j.jsonl") as journal:
        for name in ids:
            journal.add(record(name))
    assert list(Journal(tmp_path / "j.jsonl").records) == ids
    assert list(Records(tmp_path / "j.jsonl", with_states=True).states) == ids


def test_records_stay_readable_when_another_run_rewrites_the_file(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        for number in range(9):
            journal.add(record("a", seconds=float(number)))
        journal.add(record("b"))
    before = Journal(path).records
    with Journal(path) as journal:
        journal.add(record("c"))  # most lines were replaced: the file is written anew
    assert len(path.read_bytes().splitlines()) == 3
    assert before["a"].seconds == 8.0
    assert before["b"] == record("b")


def test_many_clips_take_little_memory_and_heads_leave_summaries_out(tmp_path: Path) -> None:
    path, summary = tmp_path / "j.jsonl", {"course": [0.125] * 500}
    with Journal(path) as journal:
        for number in range(300):
            journal.add(record(f"{number:03d}", summary=summary))
    tracemalloc.start()
    try:
        records = Journal(path).records
        assert tracemalloc.get_traced_memory()[0] < 300 * 400  # bytes; with their summaries ten times as much
    finally:
        tracemalloc.stop()
    assert records["007"].summary == summary
    assert records.head("007") == record("007")
    assert records.head("of another run") is None


def test_states_are_read_without_parsing_and_are_those_of_the_records(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    sealed = record("a", keys={"faces": "1f", "outputs": "2f"}, seal="3f", reader="odd name\twith blanks %")
    with Journal(path) as journal:
        journal.add(record("a"))
        journal.add(record("b"))
        journal.add(sealed)
    records = Records(path, with_states=True)
    assert records["a"] == records.head("a") == sealed
    assert records.states == {"a": state_column(sealed), "b": b"ok  "}
    assert state_column(sealed).split(b" ")[0::3] == [b"ok", b"1f"]
    assert len(state_column(sealed).split(b" ")) == 5


def test_lines_of_four_columns_are_read(tmp_path: Path) -> None:
    old = record("a", summary={"x": 1}, keys={"faces": "1f"}, seal="3f", reader="pyav")
    head = {name: value for name, value in asdict(old).items() if name != "summary"}
    name, rest = b'"a"', json.dumps(head).encode() + b"\t" + json.dumps(old.summary).encode() + b"\n"
    path = tmp_path / "j.jsonl"
    path.write_bytes(b"%s\t%08x\t%s" % (name, zlib.crc32(name + rest), rest))
    records = Records(path, with_states=True)
    assert records["a"] == old
    assert records.head("a") == replace(old, summary={})
    assert records.states == {"a": b""}
    with Journal(path) as journal:
        for _ in range(4):
            journal.add(record("b"))
    with Journal(path) as journal:
        journal.add(record("c"))  # most lines were replaced: the file is written anew, in the form of today
    assert Records(path, with_states=True).states["a"] == state_column(old)
    assert Records(path)["a"] == old


def test_many_clips_are_flushed_to_the_disk_together_and_all_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: sizes.append(os.fstat(handle).st_size))
    began = time.monotonic()
    with Journal(tmp_path / "j.jsonl") as journal:
        for number in range(200):
            journal.add(record(str(number)))
        assert len(Journal(tmp_path / "j.jsonl").records) == 200  # whatever becomes of this process
        assert 1 <= len(sizes) <= 1 + time.monotonic() - began
    assert sizes[-1] == (tmp_path / "j.jsonl").stat().st_size
