"""summary.csv, failures.csv and the start page of more clips than are held at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import vidfer.engine.batch
from vidfer.engine.batch import write_batch_files
from vidfer.engine.journal import ClipRecord
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
