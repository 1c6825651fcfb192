"""What a recording holds while the stream goes on, and in the end."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from vidfer.live.recording import Recording
from vidfer.movements import REPORTED
from vidfer.pipeline.pipeline import Pipeline
from vidfer.timeline.movements import CHANGE


def test_rows_are_as_told_and_in_the_end_as_a_clip_has_them(
    sample_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose the first faces are is not known at first, nor is a neutral that is taken from the whole."""
    settings = ["people.link=true", "movements.enabled=true", "movements.baseline=clip", "output.exports=['csv']"]
    pipeline = Pipeline("live", device="cpu", settings=settings)
    monkeypatch.setattr("vidfer.live.recording.FLUSH_SECONDS", 0.0)
    recording = Recording(tmp_path, "a", pipeline.config)
    told: list[int] = []
    with av.open(str(sample_video)) as video, pipeline.stream() as stream:
        for number, shown in zip(range(12), video.decode(video=0), strict=False):
            image = shown.to_ndarray(format="rgb24")
            frame = stream.process(image, number / 25)
            assert frame is not None
            recording.add(frame, image)
            told += [face.person_id for face in frame.faces]
            written = pd.read_csv(tmp_path / "a" / "timeline.csv")
            assert written["person_id"][written["success"] == 1].tolist() == told
    assert told[0] == -1
    assert told[-1] == 0
    assert written[list(REPORTED)].notna().any().all()
    assert not [name for name in written if name.endswith(CHANGE)]
    assert not [path for path in tmp_path.rglob("*.npz") if any("identity" in name for name in np.load(path))]

    assert recording.finish() == tmp_path / "a"
    whole = pd.read_csv(tmp_path / "a" / "timeline.csv")
    assert whole["person_id"][whole["success"] == 1].tolist() == [0] * len(told)
    assert set(whole) - set(written) == {name + CHANGE for name in REPORTED}
    pd.testing.assert_frame_equal(whole[list(written)].drop(columns="person_id"), written.drop(columns="person_id"))
