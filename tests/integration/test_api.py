"""Use from Python, as a notebook does."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import vidfer
from vidfer.engine.events import ClipDone, Event, FramesDone
from vidfer.errors import OutputError, VidferError


def test_process_and_load(sample_video: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    report = vidfer.process(
        sample_video,
        tmp_path / "results",
        settings=["video.fps=5", "output.exports=['csv','parquet','summary']"],
        on_event=events.append,
    )
    assert not report.failed
    assert [record.clip_id for record in report.records] == ["sample"]
    assert [event.done for event in events if isinstance(event, FramesDone)][-1:] == [40], events
    assert [event.status for event in events if isinstance(event, ClipDone)] == ["ok"]
    table = vidfer.load_timeline(tmp_path / "results" / "sample")
    assert isinstance(table, pd.DataFrame)
    assert table["timestamp"].nunique() == 40
    from_csv = vidfer.load_timeline(tmp_path / "results" / "sample" / "timeline.csv")
    assert list(from_csv.columns) == list(table.columns)
    assert from_csv["happiness"].to_numpy() == pytest.approx(table["happiness"].to_numpy(), abs=1e-4, nan_ok=True)
    again = vidfer.process([sample_video], tmp_path / "results", settings=["video.fps=5", "output.exports=['csv']"])
    assert again.cached == frozenset() or again.records[0].computed_frames == 0


def test_nothing_to_process_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(VidferError, match="no video"):
        vidfer.process(tmp_path, tmp_path / "out")


def test_loading_from_the_wrong_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="expected the results folder of one clip"):
        vidfer.load_timeline(tmp_path)
