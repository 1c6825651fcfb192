"""summary.csv and failures.csv."""

from __future__ import annotations

import io

import pandas as pd
from fixtures.clip_results import make_clip

from vidfer.exporters.batch_tables import failures_csv, summary_csv
from vidfer.timeline.summary import summarise
from vidfer.types import DecodeReport


def test_summary_has_a_row_per_clip_and_empty_cells_where_no_face_was_seen() -> None:
    damaged = DecodeReport(
        reader="pyav", expected_frames=9, decoded_frames=5, truncated=True, warnings=("Two\nlines.", "b, c")
    )
    clips = [make_clip(clip_id='a, "b"', seconds=2, decode=damaged), make_clip(clip_id="none", seconds=1, faces=0)]
    table = pd.read_csv(io.BytesIO(summary_csv([summarise(clip) for clip in clips])), dtype={"fingerprint": str})
    assert table["clip"].tolist() == ['a, "b"', "none"]
    assert table["num_faces"].tolist() == [1, 0]
    assert table["truncated"].tolist() == [1, 0]
    assert table["warnings"][0] == "Two lines. b, c"
    shares = [column for column in table.columns if column.endswith("_share_of_time")]
    assert len(shares) == 9  # with unsure
    assert abs(table.loc[0, shares].astype(float).sum() - 1) < 1e-5
    assert table.loc[1, [*shares, "dominant_emotion", "mean_quality"]].isna().all()


def test_failures_have_the_agreed_columns_and_one_line_each() -> None:
    failure = {
        "clip": "a", "path": "/v/a.mp4", "stage": "faces", "reason": "unreadable", "message": "no moov\n atom",
        "attempts": 1, "traceback": "left out",
    }  # fmt: skip
    content = failures_csv([failure])
    assert content.decode().splitlines()[0] == "clip,path,stage,reason,message,attempts"
    assert content.count(b"\n") == 2
    (row,) = pd.read_csv(io.BytesIO(content)).to_dict("records")
    assert row["message"] == "no moov atom"


def test_a_batch_without_failures_still_has_the_header() -> None:
    assert failures_csv([]) == b"clip,path,stage,reason,message,attempts\n"
