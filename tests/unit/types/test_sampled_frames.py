"""How long each sampled frame stands for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vidfer.types import SampledFrames


@pytest.mark.parametrize(
    ("seconds", "end", "durations"),
    [
        ([0.0, 1.0, 3.0, 4.0], math.inf, [1.0, 2.0, 1.0, 1.0]),  # the last as usual
        ([0.0, 1.0, 3.0, 4.0], 4.2, [1.0, 2.0, 1.0, 0.2]),  # no longer than the clip
        ([0.0, 1.0, 3.0, 4.0], 60.0, [1.0, 2.0, 1.0, 1.0]),  # what follows was not seen
        ([0.0, 1.0, 3.0, 4.0], 4.0, [1.0, 2.0, 1.0, 1.0]),  # an end that cannot be right
        ([0.5], 9.0, [0.04]),
        ([0.5], 0.51, [0.01]),
        ([], 3.0, []),
    ],
)
def test_the_last_frame_ends_with_its_clip(seconds: list[float], end: float, durations: list[float]) -> None:
    count = len(seconds)
    frames = SampledFrames(
        frame_index=np.arange(count), pts_seconds=np.array(seconds), is_cut=np.zeros(count, np.bool_), end_seconds=end
    )
    assert frames.durations_seconds == pytest.approx(durations)
    assert len(frames) == count
