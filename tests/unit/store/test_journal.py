"""The journal: what became of each clip survives kills."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
import zlib
from dataclasses import asdict
from pathlib import Path

import pytest

from vidfer.store.journal import ClipRecord, Journal, Records


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


def test_a_line_of_another_format_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    name, rest = b'"a"', b"ok 3f pyav 1f\t" + json.dumps(asdict(record("a"))).encode() + b"\t{}\n"
    path.write_bytes(b"%s\t%08x\t%s" % (name, zlib.crc32(name + rest), rest))
    with Journal(path) as journal:
        journal.add(record("b"))
    assert dict(Journal(path).records) == {"b": record("b")}


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
    assert list(Records(tmp_path / "j.jsonl").made_by) == ids


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


def test_everything_that_is_known_of_a_clip_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    known = record(
        "a", keys={"faces": "1f"}, made_by="3f", reader="odd name\twith blanks %", video=(1, 2, 3), problems=("x",)
    )
    with Journal(path) as journal:
        journal.add(record("a"))
        journal.add(record("b"))
        journal.add(known)
    records = Records(path)
    assert records["a"] == records.head("a") == known
    assert records.made_by == {"a": "3f", "b": ""}


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
