"""Rows match the frames that were sampled, on every clip, with faces or without, at any rate.

Every frame of real clips is in test_process.py, every format in test_formats.py, more rates in tests/torture.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.commands import read_csv
from fixtures.forked import vidfer
from fixtures.timeline_rows import assert_rows_match_frames, frame_times, on_screen_at_ticks


def test_rows_match_sampled_frames_where_no_face_is_found(clips_folder: Path, tmp_path: Path) -> None:
    settings = ("--fps", "3", "--set", "faces.min_score=1", "--set", "video.rotation=0", "--export", "csv")
    videos = [clips_folder / f"{name}.mp4" for name in ("d0", "d11", "s13", "s29")]  # 512 to 720 px, 25 and 30 a second
    done = vidfer("process", *videos, "--out", tmp_path, *settings)
    assert done.returncode == 0, done.stderr
    for video in videos:
        rows = read_csv(tmp_path / video.stem / "timeline.csv")
        assert {row["success"] for row in rows} == {"0"}
        times = frame_times(video)
        frames = on_screen_at_ticks(times, fps=3)
        assert len(rows) == len(frames)
        assert_rows_match_frames(rows, [times[frame] for frame in frames], frames=frames)


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_rows_match_sampled_frames_with_a_face_that_comes_and_goes(
    sample_video: Path, tmp_path: Path, decoder: str
) -> None:
    if decoder == "decord":
        pytest.importorskip("decord", reason="decord has wheels for x86-64 only")
    settings = ("--fps", "7.3", "--decoder", decoder, "--set", "output.exports=['csv']")
    done = vidfer("process", sample_video, "--out", tmp_path, *settings)
    assert done.returncode == 0, done.stderr
    rows = read_csv(tmp_path / "sample" / "timeline.csv")
    assert {row["success"] for row in rows} == {"0", "1"}
    times = frame_times(sample_video)
    frames = on_screen_at_ticks(times, fps=7.3)
    assert_rows_match_frames(rows, [times[frame] for frame in frames], frames=frames)
