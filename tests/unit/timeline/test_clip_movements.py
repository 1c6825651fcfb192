"""Columns that people get of a clip's movements: each person's own neutral, empty cells, what is said of them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from fixtures.movements import clip_with_movements, movement_columns

from vidfer.exporters import EXPORTERS
from vidfer.exporters.table import COLUMNS
from vidfer.movements import REPORTED
from vidfer.people.by_person import by_person
from vidfer.report.lanes import face_lanes
from vidfer.timeline.summary import summarise
from vidfer.types import ClipResult, Person, Roster


def rows_of(clip: ClipResult, export: str, filename: str) -> list[dict[str, str]]:
    text = EXPORTERS.get(export).render(clip)[filename].decode()  # type: ignore[union-attr]
    return list(csv.DictReader(io.StringIO(text)))


def test_columns_follow_the_emotions_in_order_and_only_where_measured() -> None:
    clip = clip_with_movements()
    header = list(rows_of(clip, "csv", "timeline.csv")[0])
    assert header[: len(COLUMNS)] == list(COLUMNS)
    assert header[len(COLUMNS) :] == [*REPORTED, "gaze_yaw", "gaze_pitch", "movement_quality"]
    without = clip_with_movements(measured=False)
    assert list(rows_of(without, "csv", "timeline.csv")[0]) == list(COLUMNS)


def test_a_change_is_the_value_less_the_median_of_the_persons_own_rows() -> None:
    clip = clip_with_movements(faces=2, baseline=(0.0, 2.0))
    columns = movement_columns(clip)
    seconds = clip.frames.pts_seconds[clip.timeline.frame_row]
    for track in (0, 1):
        mine = clip.timeline.track_id == track
        for name in ("smile_left", "brow_lower"):
            own = np.median(columns[name][mine & (seconds < 2)])
            np.testing.assert_allclose(columns[f"{name}_change"][mine], columns[name][mine] - own, atol=1e-6)
    assert [name for name in columns if name.endswith("_change")] == [f"{name}_change" for name in REPORTED]
    assert "gaze_yaw_change" not in columns


def test_who_is_not_seen_in_the_baseline_has_no_change() -> None:
    clip = clip_with_movements(faces=2, gaps=[(1, 0.0, 5.0)], baseline=(0.0, 2.0))
    columns, late = movement_columns(clip), clip.timeline.track_id == 1
    assert np.isnan(columns["smile_left_change"][late]).all()
    assert np.isfinite(columns["smile_left"][late]).all()


def test_who_was_seen_in_the_baseline_as_another_track_has_a_change() -> None:
    clip = clip_with_movements(faces=2, gaps=[(0, 5.0, 10.0), (1, 0.0, 5.0)], baseline=(0.0, 2.0), person_of=[0, 0])
    columns, seconds = movement_columns(clip), clip.frames.pts_seconds[clip.timeline.frame_row]
    values = columns["smile_left"]
    np.testing.assert_allclose(columns["smile_left_change"], values - np.median(values[seconds < 2]), atol=1e-6)


def test_small_faces_have_empty_cells_and_a_reason() -> None:
    clip = clip_with_movements(small=True)
    cells = rows_of(clip, "csv", "timeline.csv")
    assert {row["smile_left"] for row in cells} == {""}
    assert any("smaller than" in text for text in clip.movements.warnings)  # type: ignore[union-attr]


def test_blinks_are_listed_and_counted() -> None:
    clip = clip_with_movements(blinks_at=(2.0, 5.0, 8.0))
    found = rows_of(clip, "blinks", "blinks.csv")
    assert [row["face_id"] for row in found] == ["0"] * 3
    assert {row["side"] for row in found} == {"both"}
    np.testing.assert_allclose([float(row["closed_seconds"]) for row in found], [2, 5, 8], atol=0.1)
    assert all(float(r["start_seconds"]) < float(r["closed_seconds"]) < float(r["end_seconds"]) for r in found)
    numbers = json.loads(EXPORTERS.get("summary").render(clip)["summary.json"])  # type: ignore[union-attr]
    face = numbers["faces"][0]["movements"]
    assert face["blinks"] == 3
    assert face["blinks_per_minute"] == pytest.approx(18, rel=0.02)
    assert face["blinks_measured_share"] == pytest.approx(1, abs=0.01)


def test_at_ten_frames_a_second_it_is_said_that_blinks_cannot_be_counted() -> None:
    clip = clip_with_movements(fps=10, blinks_at=(2.0, 5.0))
    assert rows_of(clip, "blinks", "blinks.csv") == []
    assert any("cannot be counted at 10 frames a second" in text for text in clip.movements.warnings)  # type: ignore[union-attr]
    numbers = json.loads(EXPORTERS.get("summary").render(clip)["summary.json"])  # type: ignore[union-attr]
    assert numbers["faces"][0]["movements"]["blinks_per_minute"] is None


def test_gaze_and_smiles_in_numbers() -> None:
    clip = clip_with_movements(seconds=12)
    numbers = json.loads(EXPORTERS.get("summary").render(clip)["summary.json"])["faces"][0]["movements"]  # type: ignore[union-attr]
    gaze, smile = numbers["gaze"], numbers["smile"]
    # A third at the camera, a third down, a third aside, as the fixture looks.
    for name in ("at_camera", "down", "aside"):
        assert gaze[f"{name}_share"] == pytest.approx(1 / 3, abs=0.02)
    assert gaze["up_share"] == 0
    assert sum(gaze[f"{name}_share"] for name in ("at_camera", "down", "up", "aside")) == pytest.approx(1, abs=1e-5)
    assert smile["share_of_time"] == pytest.approx(0.195, abs=0.02)
    assert smile["symmetry"] == pytest.approx(0.8, abs=0.02)
    assert smile["with_eyes_narrowed_share"] == pytest.approx(1, abs=0.05)
    assert smile["onset_per_second"] == pytest.approx(1.8, rel=0.2)
    assert smile["offset_per_second"] == pytest.approx(0.9, rel=0.2)


def test_other_tools_tables_are_filled_where_measured_and_the_same_as_before_where_not() -> None:
    clip, without = clip_with_movements(blinks_at=(2.0, 5.0)), clip_with_movements(measured=False)
    openface, plain = (rows_of(c, "openface", "openface.csv") for c in (clip, without))
    assert list(openface[0])[-3:] == ["gaze_angle_x", "gaze_angle_y", "AU45_c"]
    assert list(openface[0])[:-3] == list(plain[0])
    assert sum(row["AU45_c"] == "1" for row in openface) == pytest.approx(2 * 0.25 * 25, abs=5)
    assert not [name for name in openface[0] if name.startswith("AU") and name != "AU45_c"]
    fex, plain = (rows_of(c, "fex", "fex.csv") for c in (clip, without))
    added = [name for name in fex[0] if name not in plain[0]]
    assert {"eyeBlinkLeft", "mouthSmileRight", "jawOpen", "browInnerUp"} <= set(added)
    assert [name for name in fex[0] if name in plain[0]] == list(plain[0])
    assert float(fex[0]["mouthSmileLeft"]) == pytest.approx(movement_columns(clip)["smile_left"][0], abs=1e-3)


def test_blinks_of_a_person_are_those_of_all_their_tracks() -> None:
    clip = clip_with_movements(faces=2, gaps=[(0, 5.0, 10.0), (1, 0.0, 5.0)], blinks_at=(1.0, 3.0, 7.0))
    assert clip.movements is not None
    by_track = [face["movements"]["blinks"] for face in summarise(clip)["faces"]]
    one = Person(
        number=7, label="Ann", name="Ann", role="", include=True, reason="", face_ids="0, 1", median_size_px=100.0,
        still_share=0.0,
    )  # fmt: skip
    person_id = np.where(clip.timeline.track_id >= 0, 7, -1).astype(np.int32)
    clip = replace(clip, roster=Roster(person_id=person_id, people=(one,), rows=()))
    numbers = summarise(clip)
    assert [face["movements"]["blinks"] for face in numbers["faces"]] == by_track
    assert [person["movements"]["blinks"] for person in numbers["people"]] == [sum(by_track)]
    assert by_track == [2, 1]
    lanes = face_lanes(by_person(clip), 7)
    assert lanes is not None
    assert len(lanes.blinks) == sum(by_track)
    nobody = replace(clip, roster=Roster(person_id=person_id, people=(replace(one, include=False),), rows=()))
    assert by_person(nobody).movements.blinks == ()  # type: ignore[union-attr]
