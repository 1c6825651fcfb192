"""summary.csv, failures.csv and the start page of more clips than are held at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vidfer.engine.batch
from vidfer.config import load_pipeline
from vidfer.engine.batch import records_of_batch, write_batch_files
from vidfer.engine.plan import KeyPlan
from vidfer.exporters.batch_tables import summary_csv
from vidfer.labels import EMOTIONS
from vidfer.store.journal import ClipRecord, Journal, SomeRecords
from vidfer.store.layout import batch_file, journal_file


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
    write_batch_files(tmp_path, records, load_pipeline("default"), exports=["csv"])
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
    write_batch_files(out, SomeRecords(records, tuple(clips)), load_pipeline("default"), exports=exports)


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


FILES = {"timeline.csv": (1, 1)}


def finished(out: Path, clip_id: str, video: str, *settings: str, content: str = "") -> ClipRecord:
    """Return what is remembered of a clip that was processed, with its folder and its video there."""
    path = out.parent / video
    path.write_bytes(b"a video")
    (out / clip_id).mkdir(parents=True, exist_ok=True)
    config, fingerprint = load_pipeline("default", settings), content or video[0] * 64
    plan = KeyPlan(config, "pyav")
    known = {"keys": dict(plan.keys(fingerprint, clip_id)), "made_by": plan.digest, "files": FILES}
    return replace(record(clip_id), path=str(path), fingerprint=fingerprint, reader="pyav", **known)


def listed(out: Path, records: list[ClipRecord], named: list[ClipRecord] | None, *settings: str) -> list[str]:
    journal_file(out).unlink(missing_ok=True)
    with Journal(journal_file(out)) as journal:
        for one in records:
            journal.add(one)
        names = None if named is None else {one.clip_id: one.path for one in named}
        found = records_of_batch(out, journal.records, load_pipeline("default", settings), named=names)
        return [one.clip_id for one in found]


def test_clips_of_every_command_are_listed_in_whatever_order_they_came(tmp_path: Path) -> None:
    out = tmp_path / "out"
    a, b, c = (finished(out, f"x/{name}", f"{name}.mp4") for name in "abc")
    names = ["x/a", "x/b", "x/c"]
    assert listed(out, [a, b, c], [c]) == listed(out, [c, a, b], [a, b]) == listed(out, [b, a, c], []) == names


def test_clips_of_other_figures_are_not_listed_but_those_drawn_otherwise_are(tmp_path: Path) -> None:
    out, faster, briefer = tmp_path / "out", "video.fps=5", "timeline.min_duration_seconds=1"
    a = finished(out, "a", "a.mp4")
    for settings in (faster, briefer):
        b = finished(out, "b", "b.mp4", settings)
        assert listed(out, [a, b], [b], settings) == ["b"]
        assert listed(out, [a, b], [a]) == ["a"]
    more = "output.exports=['csv','fex']"
    assert listed(out, [a, finished(out, "b", "b.mp4", more)], [], more) == ["a", "b"]


def test_a_clip_whose_folder_was_removed_is_forgotten_and_one_whose_video_was_removed_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    a, b, c = (finished(out, name, f"{name}.mp4") for name in "abc")
    (out / "a").rmdir()
    Path(b.path).unlink()
    assert listed(out, [a, b, c], [c]) == ["b", "c"]


def test_a_video_counts_once_as_it_is_called_now(tmp_path: Path) -> None:
    out = tmp_path / "out"
    before, now = finished(out, "x/a", "a.mp4"), finished(out, "a", "a.mp4")
    assert listed(out, [before, now], [now]) == ["a"]  # the folder above it was given, then its own
    assert listed(out, [now, before], []) == ["x/a"]
    moved, copied = finished(out, "b", "b.mp4", content="0" * 64), finished(out, "c", "c.mp4", content="0" * 64)
    assert listed(out, [moved, copied], [copied]) == ["b", "c"]
    Path(moved.path).unlink()
    assert listed(out, [moved, copied], [copied]) == ["c"]


def test_failures_are_listed_while_their_video_is_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done, bad = finished(out, "a", "a.mp4"), replace(record("bad", failed=True), path=str(tmp_path / "bad.mp4"))
    assert listed(out, [bad, done], [done]) == ["a"]
    assert listed(out, [bad, done], None) == ["a", "bad"]  # as for `vidfer report`, which asks for no videos
    Path(bad.path).write_bytes(b"no video")
    assert listed(out, [bad, done], [done]) == ["a", "bad"]
    assert listed(out, [done, bad], [bad]) == ["a", "bad"]
