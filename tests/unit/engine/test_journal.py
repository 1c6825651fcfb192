"""The journal: what became of each clip survives kills."""

from __future__ import annotations

from pathlib import Path

from vidfer.engine.journal import ClipRecord, Journal


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
