"""summary.csv, failures.csv and the start page of more clips than are held at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vidfer.engine.batch
from vidfer.engine.batch import write_batch_files
from vidfer.engine.journal import ClipRecord, Journal, SomeRecords
from vidfer.engine.layout import batch_file, journal_file
from vidfer.exporters.batch_tables import summary_csv
from vidfer.labels import EMOTIONS


def summary(name: str) -> dict[str, Any]:
    emotions = {emotion: {"share_of_time": 0.125, "mean_probability": 0.125, "episodes": 0} for emotion in EMOTIONS}
    return {
        **{"clip": name, "video": f"{name}.mp4", "duration_seconds": 2.0, "sampled_frames": 50, "frames_with_face": 50},
        **{"num_faces": 1, "dominant_emotion": "neutral", "num_episodes": 0, "mean_quality": 0.5, "emotions": emotions},
        **{"truncated": False, "warnings": [], "width": 64, "height": 48, "codec": "h264", "average_fps": 25.0},
        **{"fingerprint": "f" * 64, "peaks": {}, "faces": []},
    }


def record(name: str, *, failed: bool = False) -> ClipRecord:
    if failed:
        failure = {"clip": name, "path": name, "stage": "decode", "reason": "no_frames", "message": "x", "attempts": 1}
        return ClipRecord(clip_id=name, path=name, fingerprint="", status="failed", failure=failure)
    return ClipRecord(clip_id=name, path=name, fingerprint="f" * 64, status="ok", summary=summary(name))


@pytest.mark.parametrize("num_clips", [0, 1, 2, 3, 7])
def test_tables_have_every_clip_and_the_start_page_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_clips: int
) -> None:
    monkeypatch.setattr(vidfer.engine.batch, "ROWS_PER_PIECE", 2)
    monkeypatch.setattr(vidfer.engine.batch, "MAX_LISTED", 3)
    names = [f"clip, {number}" for number in range(num_clips)]
    records = [record(name) for name in names] + [record("bad", failed=True)]
    write_batch_files(tmp_path, records, exports=["csv"])
    assert (tmp_path / "summary.csv").read_bytes() == summary_csv(summary(name) for name in names)
    assert b"bad" in (tmp_path / "failures.csv").read_bytes()
    page = (tmp_path / "index.html").read_text()
    assert [name for name in names if f">{name}<" in page] == names[:3]
    assert ("the first of 8 clips" in page) == (num_clips == 7)


class CountedRecords(dict[str, ClipRecord]):
    """Records that count how often one is asked for."""

    num_read = 0

    def __getitem__(self, clip_id: str) -> ClipRecord:
        self.num_read += 1
        return super().__getitem__(clip_id)


@pytest.fixture
def written(tmp_path: Path) -> CountedRecords:
    """Return two clips of a journal from which the files of the batch were written once."""
    records = CountedRecords((name, record(name)) for name in "ab")
    with Journal(journal_file(tmp_path)) as journal:
        for one in records.values():
            journal.add(one)
    write(tmp_path, records)
    assert records.num_read == 2
    return records


def write(out: Path, records: CountedRecords, *, clips: str = "ab", exports: tuple[str, ...] = ("csv",)) -> None:
    write_batch_files(out, SomeRecords(records, tuple(clips)), exports=exports)


def batch_bytes(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def test_where_nothing_was_touched_no_record_is_read(tmp_path: Path, written: CountedRecords) -> None:
    before = batch_bytes(tmp_path)
    write(tmp_path, written)
    assert written.num_read == 2
    assert batch_bytes(tmp_path) == before


def deleted(out: Path) -> None:
    (out / "summary.csv").unlink()


def edited(out: Path) -> None:
    (out / "index.html").write_text("mine")


def replaced_by_a_link(out: Path) -> None:
    (out / "failures.csv").rename(out / "elsewhere.csv")
    (out / "failures.csv").symlink_to(out / "elsewhere.csv")


def note_damaged(out: Path) -> None:
    batch_file(out).write_bytes(batch_file(out).read_bytes().replace(b'"origin": [', b'"origin": ["x", '))
    (out / "index.html").write_text("mine")


def note_is_no_json(out: Path) -> None:
    batch_file(out).write_bytes(b"\xff")
    (out / "index.html").write_text("mine")


@pytest.mark.parametrize("touch", [deleted, edited, replaced_by_a_link, note_damaged, note_is_no_json])
def test_what_was_touched_is_written_again(
    tmp_path: Path, written: CountedRecords, touch: Callable[[Path], None]
) -> None:
    before = batch_bytes(tmp_path)
    touch(tmp_path)
    write(tmp_path, written)
    assert {name: data for name, data in batch_bytes(tmp_path).items() if name in before} == before
    assert not (tmp_path / "failures.csv").is_symlink()


def test_another_clip_another_export_or_a_picture_changes_the_files(tmp_path: Path, written: CountedRecords) -> None:
    with Journal(journal_file(tmp_path)) as journal:
        written["c"] = record("c")
        journal.add(written["c"])
    write(tmp_path, written, clips="abc")
    assert b"\nc," in (tmp_path / "summary.csv").read_bytes()
    write(tmp_path, written, clips="ca")
    assert b"\nb," not in (tmp_path / "summary.csv").read_bytes()
    for exports, linked in ((("csv",), False), (("csv", "segments"), True), (("csv",), False)):
        write(tmp_path, written, exports=exports)
        assert (b"segments.csv" in (tmp_path / "index.html").read_bytes()) == linked
    (tmp_path / "batch_share.png").write_bytes(b"a picture")
    write(tmp_path, written)
    assert b"batch_share.png" in (tmp_path / "index.html").read_bytes()
    with Journal(journal_file(tmp_path)) as journal:  # the same clip, done again
        written["a"] = replace(written["a"], summary=summary("a") | {"num_faces": 7})
        journal.add(written["a"])
    write(tmp_path, written)
    assert b",7," in (tmp_path / "summary.csv").read_bytes()
