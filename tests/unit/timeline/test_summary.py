"""The numbers of one clip."""

from __future__ import annotations

import dataclasses
import json
import time

import numpy as np
import pytest
from fixtures.clip_results import SEGMENT_OPTIONS, make_clip

from vidfer.labels import EMOTIONS, STATES
from vidfer.timeline.segments import find_segments
from vidfer.timeline.summary import SUMMARY_COLUMNS, state_shares, summarise, summary_row
from vidfer.types import ClipResult, DecodeReport, EmotionTimeline, SampledFrames


def with_labels(clip: ClipResult, labels: list[str], pts: list[float]) -> ClipResult:
    """The clip with one face that shows these labels with probability 0.9 at these times."""
    probabilities = np.full((len(labels), len(EMOTIONS)), 0.1 / 7, dtype=np.float32)
    probabilities[np.arange(len(labels)), [EMOTIONS.index(label) for label in labels]] = 0.9
    timeline = EmotionTimeline(
        track_id=np.zeros(len(labels), dtype=np.int32),
        frame_row=np.arange(len(labels)),
        probabilities=probabilities,
        labels=EMOTIONS,
    )
    frames = SampledFrames(
        frame_index=np.arange(len(labels)), pts_seconds=np.array(pts), is_cut=np.zeros(len(labels), dtype=np.bool_)
    )
    segments = find_segments(timeline, frames, **SEGMENT_OPTIONS | {"min_duration_seconds": 0.0})
    return dataclasses.replace(clip, timeline=timeline, frames=frames, segments=segments)


def test_counts_what_was_seen() -> None:
    summary = summarise(make_clip(seconds=4, faces=2, gaps=[(0, 1, 2), (1, 0, 3)], dropped=[(0, 0.5), (1, 2)]))
    assert summary["sampled_frames"] == 100
    assert summary["frames_with_face"] == 75
    assert summary["num_faces"] == 2
    assert [face["face_id"] for face in summary["faces"]] == [0, 1]
    assert [face["seconds_on_screen"] for face in summary["faces"]] == pytest.approx([3.0, 1.0])
    assert summary["faces"][1]["first_seconds"] == pytest.approx(3.0)
    assert summary["faces"][1]["last_seconds"] == pytest.approx(4.0)


def test_shares_are_of_time_not_of_frames() -> None:
    clip = with_labels(
        make_clip(seconds=0.2), ["neutral", "neutral", "neutral", "happiness", "anger"], [0.0, 0.1, 0.2, 0.3, 3.3]
    )
    shares = {name: numbers["share_of_time"] for name, numbers in summarise(clip)["emotions"].items()}
    assert shares["happiness"] == pytest.approx(3.0 / 3.4, abs=1e-6)
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
    assert summarise(clip)["dominant_emotion"] == "happiness"


def test_shares_follow_episodes_and_sum_to_one_with_what_is_unsure() -> None:
    clip = with_labels(make_clip(seconds=0.4), ["happiness"] * 6 + ["anger"] * 4, [i / 10 for i in range(10)])
    clip.timeline.probabilities[6:] = (1 - 0.33) / 7
    clip.timeline.probabilities[6:, EMOTIONS.index("anger")] = 0.33
    segments = find_segments(clip.timeline, clip.frames, **SEGMENT_OPTIONS)
    summary = summarise(dataclasses.replace(clip, segments=segments))
    for numbers in (summary, *summary["faces"]):
        shares = state_shares(numbers)
        assert shares["happiness"] == pytest.approx(0.6, abs=1e-6)
        assert shares["anger"] == 0
        assert shares["unsure"] == pytest.approx(0.4, abs=1e-6)
        assert numbers["dominant_emotion"] == "happiness"
    row = summary_row(summary)
    assert sum(row[f"{name}_share_of_time"] for name in STATES) == pytest.approx(1.0, abs=1e-5)
    assert summarise(dataclasses.replace(clip, segments=()))["dominant_emotion"] == "unsure"


def test_episodes_and_peaks_are_those_of_the_segments() -> None:
    clip = make_clip(seconds=20, faces=2)
    summary = summarise(clip)
    assert summary["num_episodes"] == len(clip.segments)
    assert sum(numbers["episodes"] for numbers in summary["emotions"].values()) == len(clip.segments)
    for name, peak in summary["peaks"].items():
        best = max((s for s in clip.segments if s.emotion == name), key=lambda s: s.peak_probability)
        assert peak == {
            "seconds": pytest.approx(best.peak_seconds),
            "probability": pytest.approx(best.peak_probability, abs=1e-6),
            "face_id": best.track_id,
            "person": best.track_id,
        }


def test_without_a_face_there_are_no_numbers_and_no_errors() -> None:
    summary = summarise(make_clip(seconds=1, faces=0, dropped=[(0, 1)]))
    assert summary["num_faces"] == summary["frames_with_face"] == summary["num_episodes"] == 0
    assert summary["dominant_emotion"] is None
    assert summary["mean_quality"] is None
    assert summary["emotions"]["fear"] == {"share_of_time": None, "mean_probability": None, "episodes": 0}


def test_damage_is_told() -> None:
    decode = DecodeReport(
        reader="pyav", expected_frames=9, decoded_frames=5, bad_packets=2, corrupt_frames=1, truncated=True,
        warnings=("Two packets.",),
    )  # fmt: skip
    summary = summarise(make_clip(seconds=1, decode=decode))
    assert summary["truncated"] is True
    assert summary["warnings"] == ["Two packets."]
    assert summary["decode"] == {
        "reader": "pyav", "expected_frames": 9, "decoded_frames": 5, "bad_packets": 2, "corrupt_frames": 1,
    }  # fmt: skip


def test_is_json_without_nan_even_where_quality_is_unknown() -> None:
    clip = make_clip(seconds=1)
    clip.faces.quality[:] = np.nan
    text = json.dumps(summarise(clip), allow_nan=False)
    assert json.loads(text)["mean_quality"] is None


def test_says_where_the_result_comes_from_but_not_where_the_file_lay() -> None:
    summary = summarise(make_clip(path="/home/someone/private/anna.mp4"))
    assert summary["video"] == "anna.mp4"
    assert summary["provenance"]["weights"]["detector"] == "aa" * 32
    assert "/home/someone" not in json.dumps(summary)


def test_the_row_fills_every_column() -> None:
    clip = make_clip(seconds=30)
    row = summary_row(summarise(clip))
    assert tuple(row) == SUMMARY_COLUMNS
    shown = {segment.emotion for segment in clip.segments}
    assert len(shown) > 2
    peaks = {name.removesuffix("_peak_seconds"): row.pop(name) for name in list(row) if name.endswith("_peak_seconds")}
    assert {name for name, value in peaks.items() if value is not None} == shown
    assert not [name for name, value in row.items() if value is None]
    assert sum(row[f"{name}_episodes"] for name in peaks) == len(clip.segments)


def test_a_crowd_takes_no_longer_than_its_rows() -> None:
    clip = make_clip(seconds=400, fps=25)
    crowd = dataclasses.replace(
        clip, timeline=dataclasses.replace(clip.timeline, track_id=np.arange(10_000, dtype=np.int32) // 5)
    )
    start = time.process_time()
    assert summarise(crowd)["num_faces"] == 2000
    assert time.process_time() - start < 15.0  # 2 s on a quiet machine
