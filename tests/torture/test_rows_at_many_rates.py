"""Rows match the sampled frames: every real clip, several rates, both readers."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.commands import read_csv, vidfer
from fixtures.timeline_rows import assert_rows_match_frames, frame_times, on_screen_at_ticks

pytestmark = pytest.mark.torture


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize("fps", [0.0, 0.4, 7.3, 24.0, 25.0, 29.97, 60.0])
def test_rows_of_every_real_clip(clips_folder: Path, tmp_path: Path, fps: float, decoder: str) -> None:
    settings = ("--fps", str(fps), "--decoder", decoder, "--set", "output.exports=['csv']")
    done = vidfer("process", clips_folder, "--out", tmp_path, *settings, timeout=1200)
    assert done.returncode == 0, done.stderr
    total = 0
    for video in sorted(clips_folder.glob("*.mp4")):
        rows = read_csv(tmp_path / video.stem / "timeline.csv")
        times = frame_times(video)
        frames = on_screen_at_ticks(times, fps=fps) if fps else list(range(len(times)))
        assert_rows_match_frames(rows, [times[frame] for frame in frames], frames=frames)
        total += len(frames)
    print(f"\n{decoder}, {fps or 'every'} frames/s: {total} frames of 11 clips, each with its rows")
