"""A line of JSON for each frame."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from fixtures.live_frames import live_frame

from vidfer.live.lines import json_line


def test_further_values_are_json_and_a_number_that_is_none_is_null() -> None:
    """As for a face that is too small for movements."""
    frame = live_frame(1, 1)
    values = {"smile_left": np.float32(0.25), "gaze_yaw": np.float32("nan"), "pair": np.array([1.5, np.inf]), "n": 3}
    frame = replace(frame, faces=[replace(frame.faces[0], person_id=7, values=values)])
    (face,) = json.loads(json_line(frame, latency_seconds=0.01))["faces"]
    assert [face[name] for name in values] == [0.25, None, [1.5, None], 3]
    assert face["person_id"] == 7


def test_where_people_are_not_compared_there_is_no_person_id() -> None:
    assert "person_id" not in json.loads(json_line(live_frame(1, 1), latency_seconds=0.01))["faces"][0]
