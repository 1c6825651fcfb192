"""timeline.csv, timeline.parquet, timeline.json, segments.csv: read as users read them."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from fixtures.clip_results import make_clip
from fixtures.measuring import cpu_seconds

from vidfer.exporters import EXPORTERS
from vidfer.labels import EMOTIONS
from vidfer.timeline.saved import clip_of_tables
from vidfer.types import ClipResult, FacePeople

HEADER = (
    "frame, timestamp, face_id, success, confidence, x, y, width, height, pitch, yaw, roll, quality, emotion, "
    "emotion_confidence, neutral, happiness, surprise, sadness, anger, disgust, fear, contempt"
)
CONTRACT = HEADER.split(", ")


def render(name: str, clip: ClipResult) -> bytes:
    (content,) = EXPORTERS.get(name).render(clip).values()
    return content


def read_csv(clip: ClipResult) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(render("csv", clip)))


@pytest.fixture(scope="module")
def clip() -> ClipResult:
    return make_clip(seconds=4, fps=30, faces=2, gaps=[(0, 1, 2), (1, 0, 3)], dropped=[(0, 0.5), (1.2, 1.4)])


def test_columns_are_the_contract_in_order(clip: ClipResult) -> None:
    assert list(read_csv(clip).columns) == CONTRACT
    assert render("csv", clip).splitlines()[0].decode() == ",".join(CONTRACT)


def test_people_follow_the_contract_where_they_are_linked(clip: ClipResult) -> None:
    track_id = clip.timeline.track_id
    people = FacePeople(
        person_id=np.where(track_id >= 0, 7 - track_id, -1).astype(np.int32),
        confidence=np.ones(len(track_id), np.float32),
        unsure=np.array([[6, 7]], np.int32),
        unsure_confidence=np.array([0.6], np.float32),
    )
    linked = replace(clip, people=people)
    table = read_csv(linked)
    assert list(table.columns) == [*CONTRACT, "person_id"]
    seen = table["success"] == 1
    assert (table.loc[seen, "person_id"] == 7 - table.loc[seen, "face_id"]).all()
    assert (table.loc[~seen, "person_id"] == -1).all()
    summary = json.loads(render("summary", linked))
    assert [face["link_confidence"] for face in summary["faces"]] == [1.0, 1.0]
    assert summary["unsure_links"] == [{"people": [6, 7], "confidence": 0.6}]
    plain = json.loads(render("summary", clip))
    assert plain["unsure_links"] == []
    assert not any("link_confidence" in face for face in plain["faces"])
    read_back = clip_of_tables(table, pd.DataFrame(), summary, clip_id="x")
    assert read_back.people is not None
    np.testing.assert_array_equal(read_back.people.person_id, table.loc[seen, "person_id"])
    np.testing.assert_array_equal(read_back.people.unsure, people.unsure)


def test_every_sampled_frame_has_a_row(clip: ClipResult) -> None:
    table = read_csv(clip)
    assert table["frame"].nunique() == len(clip.frames)
    assert table["frame"].is_monotonic_increasing


def test_a_frame_without_a_face_has_one_row_without_values(clip: ClipResult) -> None:
    table = read_csv(clip)
    empty = table[table["success"] == 0]
    assert len(empty) == 30  # of second 1 to 2, where only a dropped face is seen now and then
    assert (empty["face_id"] == -1).all()
    assert empty.drop(columns=["frame", "timestamp", "face_id", "success"]).isna().all(axis=None)
    assert not empty["frame"].isin(table.loc[table["success"] == 1, "frame"]).any()


def test_dropped_faces_are_no_faces(clip: ClipResult) -> None:
    table = read_csv(clip)
    assert set(table.loc[table["success"] == 1, "face_id"]) == {0, 1}
    assert (table["success"] == 1).sum() == (clip.tracks.track_id >= 0).sum()


def test_values_are_those_of_the_clip(clip: ClipResult) -> None:
    table = read_csv(clip)
    faces = table[table["success"] == 1].reset_index(drop=True)
    for row in range(0, len(faces), 7):
        cells = faces.iloc[row]
        frame_row = int(np.flatnonzero(clip.frames.frame_index == cells["frame"] - 1)[0])
        assert cells["timestamp"] == pytest.approx(clip.frames.pts_seconds[frame_row], abs=1e-6)
        (source,) = np.flatnonzero(
            (clip.timeline.frame_row == frame_row) & (clip.timeline.track_id == cells["face_id"])
        )
        left, top, right, bottom = clip.faces.xyxy[source]
        assert cells[["x", "y", "width", "height"]].tolist() == pytest.approx(
            [left, top, right - left, bottom - top], abs=0.01
        )
        assert cells[["pitch", "yaw", "roll"]].tolist() == pytest.approx(clip.faces.pose[source].tolist(), abs=0.01)
        assert cells["confidence"] == pytest.approx(clip.faces.landmark_score[source], abs=1e-4)
        assert cells["quality"] == pytest.approx(clip.faces.quality[source], abs=1e-4)
        probabilities = clip.timeline.probabilities[source]
        assert cells[list(EMOTIONS)].tolist() == pytest.approx(probabilities.tolist(), abs=1e-6)
        assert cells["emotion"] == EMOTIONS[int(probabilities.argmax())]
        assert cells["emotion_confidence"] == pytest.approx(probabilities.max(), abs=1e-6)


def test_probabilities_sum_to_one(clip: ClipResult) -> None:
    sums = read_csv(clip)[list(EMOTIONS)].dropna().sum(axis=1)
    assert sums.to_numpy() == pytest.approx(1.0, abs=1e-5)


def test_frames_count_from_one_as_in_openface() -> None:
    table = read_csv(make_clip(seconds=0.2))
    assert table["frame"].tolist() == [1, 2, 3, 4, 5]
    assert table["timestamp"].tolist() == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])


def test_parquet_and_json_hold_the_same_table(clip: ClipResult) -> None:
    expected = read_csv(clip)
    parquet = pd.read_parquet(io.BytesIO(render("parquet", clip)))
    columns = pd.DataFrame(json.loads(render("json", clip))["timeline"])
    for table in (parquet, columns):
        assert list(table.columns) == CONTRACT
        assert table["emotion"].where(table["emotion"].notna(), None).tolist() == (
            expected["emotion"].where(expected["emotion"].notna(), None).tolist()
        )
        numbers = [column for column in CONTRACT if column != "emotion"]
        np.testing.assert_allclose(
            table[numbers].astype(float).to_numpy(), expected[numbers].to_numpy(), rtol=0, atol=0.0051
        )


def test_tables_tell_how_much_later_they_are_on_the_players_clock(clip: ClipResult) -> None:
    late = replace(clip, info=replace(clip.info, start_seconds=2.007))
    assert pq.read_table(io.BytesIO(render("parquet", late))).schema.metadata[b"start_seconds"] == b"2.007000"
    assert json.loads(render("json", late))["start_seconds"] == 2.007
    assert json.loads(render("summary", late))["start_seconds"] == 2.007
    assert render("csv", late) == render("csv", clip)  # timestamps count from the first frame


def test_parquet_has_types_and_nulls(clip: ClipResult) -> None:
    table = pq.read_table(io.BytesIO(render("parquet", clip)))
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["frame"] == "int64"
    assert kinds["timestamp"] == "double"
    assert kinds["face_id"] == "int32"
    assert kinds["emotion"] == "string"
    assert kinds["happiness"] == "float"
    without_face = (np.array(table["success"]) == 0).sum()
    assert table["happiness"].null_count == table["emotion"].null_count == without_face > 0
    assert table.schema.metadata[b"clip"] == clip.clip_id.encode()


def test_unknown_numbers_become_empty_cells() -> None:
    clip = make_clip(seconds=0.2)
    clip.faces.pose[2] = np.nan
    table = read_csv(clip)
    assert table["pitch"].isna().tolist() == [False, False, True, False, False]
    assert b"nan" not in render("csv", clip)


def test_segments_are_written_as_they_are(clip: ClipResult) -> None:
    table = pd.read_csv(io.BytesIO(render("segments", clip)))
    assert len(table) == len(clip.segments)
    for cells, segment in zip(table.to_dict("records"), clip.segments, strict=True):
        assert cells["face_id"] == segment.track_id
        assert cells["emotion"] == segment.emotion
        assert cells["start_seconds"] == pytest.approx(segment.start_seconds, abs=1e-6)
        assert cells["end_seconds"] == pytest.approx(segment.end_seconds, abs=1e-6)
        assert cells["duration_seconds"] == pytest.approx(segment.end_seconds - segment.start_seconds, abs=1e-6)
        assert cells["mean_probability"] == pytest.approx(segment.mean_probability, abs=1e-6)
    document = json.loads(render("json", clip))
    assert [s["emotion"] for s in document["segments"]] == table["emotion"].tolist()


def test_an_hour_of_video_would_be_written_in_a_few_seconds() -> None:
    clip = make_clip(seconds=900, fps=30)
    assert cpu_seconds(lambda: render("csv", clip)) < 1.0
