"""What people.csv says of people in several clips, given what is kept of each clip."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import vidfer.engine.across
from vidfer.config import load_pipeline
from vidfer.engine.across import Across, people_across
from vidfer.engine.people import PeopleWriter
from vidfer.errors import ConfigError
from vidfer.people.apply import GONE
from vidfer.store.cache import StageCache
from vidfer.store.journal import ClipRecord
from vidfer.store.layout import cache_folder

CONFIG = load_pipeline("default", ["people.keep_vectors=true", 'people.across="folder"'])
FACES = 5 * np.eye(8, 16)
Person = tuple[str, str, int]  # face_ids, name, whose face it is


def compared(out: Path, clips: dict[str, list[Person]], *, nothing_kept_of: tuple[str, ...] = ()) -> Across:
    """Compare clips; tracks have the vectors of the faces of their people, in order of track."""
    records = []
    for number, (clip, people) in enumerate(clips.items()):
        key = f"{number:064x}"
        if clip not in nothing_kept_of:
            faces = {int(part.split("@")[0]): face for ids, _, face in people for part in ids.split()}
            sums = [FACES[face] if face >= 0 else 0 * FACES[0] for _, face in sorted(faces.items())]
            StageCache(cache_folder(out)).store("track_vectors", key, {"sums": np.array(sums, np.float32)})
        listed = [{"person": k, "face_ids": ids, "name": name} for k, (ids, name, _) in enumerate(people)]
        records.append(
            ClipRecord(
                clip_id=clip,
                path=clip,
                fingerprint="f" * 64,
                status="ok",
                keys={"track_vectors": key},
                summary={"people": listed},
            )
        )
    return people_across(out, records, CONFIG)


def labels(found: Across) -> dict[str, list[str]]:
    return {
        clip: [cells.get("across_person", "-") for _, cells in sorted(people.items())]
        for clip, people in found.cells.items()
    }


def test_numbers_run_from_one_by_first_appearance_and_two_of_one_clip_are_two(tmp_path: Path) -> None:
    found = compared(tmp_path, {"a": [("0", "", 3)], "b": [("0", "", 1), ("1", "", 3)], "c": [("0 1", "", 1)]})
    assert labels(found) == {"a": ["P1"], "b": ["P2", "P1"], "c": ["P2"]}
    twins = compared(tmp_path, {"a": [("0", "", 3), ("1", "", 3)], "b": [("0", "", 3), ("1", "", 4)]})
    assert labels(twins)["a"] == ["P1", "P2"]
    assert twins.notes == ()


def test_a_name_is_shown_in_every_clip_and_no_number_is_taken_for_one(tmp_path: Path) -> None:
    found = compared(
        tmp_path, {"a": [("0", "", 0)], "b": [("0", "P1", 1)], "c": [("0", "", 1)], "d": [("0", "Ann", 0)]}
    )
    assert labels(found) == {"a": ["Ann"], "b": ["P1"], "c": ["P1"], "d": ["Ann"]}
    others = compared(tmp_path, {"a": [("0", "P1", 0)], "b": [("0", "", 1)], "c": [("0", "", 2)]})
    assert labels(others) == {"a": ["P1"], "b": ["P2"], "c": ["P3"]}


def test_one_name_is_one_person_however_they_look_and_two_names_are_two(tmp_path: Path) -> None:
    found = compared(
        tmp_path, {"a": [("0", "Ann", 0)], "b": [("0", "Ann", 1)], "c": [("0", "Bea", 2)], "d": [("0", "Cai", 2)]}
    )
    assert labels(found) == {"a": ["Ann"], "b": ["Ann"], "c": ["Bea"], "d": ["Cai"]}


def test_a_track_that_was_divided_by_hand_says_nothing(tmp_path: Path) -> None:
    found = compared(tmp_path, {"a": [("0", "", 0)], "b": [("0", "", 0), ("0@0:12", "Ann", 0)], "c": [("0", "", 5)]})
    assert labels(found) == {"a": ["P1"], "b": ["", "Ann"], "c": ["P2"]}
    assert found.cells["b"][0]["across_unsure"] == "not compared: no face is good enough"


def test_who_may_be_the_same_is_named_on_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near = FACES[0] * 0.62 + FACES[6] * np.sqrt(1 - 0.62**2)
    monkeypatch.setitem(globals(), "FACES", np.concatenate([FACES, near[None]]))
    faces = zip("abcdef", (0, 8, 1, 2, 3, 4), strict=True)
    found = compared(tmp_path, {name: [("0", "", face)] for name, face in faces})
    assert labels(found) == {name: [f"P{k}"] for k, name in enumerate("abcdef", start=1)}
    assert found.cells["a"][0]["across_unsure"].startswith("P2 0.")
    assert found.cells["b"][0]["across_unsure"].startswith("P1 0.")
    assert found.cells["c"][0]["across_unsure"] == ""


def test_clips_of_which_nothing_is_kept_are_told(tmp_path: Path) -> None:
    found = compared(tmp_path, {"a": [("0", "", 0)], "b": [("0", "", 0)]}, nothing_kept_of=("b",))
    assert labels(found) == {"a": ["P1"], "b": ["-"]}
    (note,) = found.notes
    assert "1 clip could not be compared" in note
    assert "--force identity" in note


def test_more_people_than_can_be_compared_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vidfer.engine.across, "MAX_PEOPLE", 1)
    found = compared(tmp_path, {"a": [("0", "", 0)], "b": [("0", "", 0)]})
    assert found.cells == {}
    assert "too many" in found.notes[0]


def test_a_row_whose_person_is_gone_is_nobody_of_another_clip(tmp_path: Path) -> None:
    found = Across(cells={"a": {0: {"across_person": "P1"}}})
    here = {"clip": "a", "person": "0", "face_ids": "0", "include": "yes", "reason": ""}
    gone = {**here, "name": "Ann", "reason": GONE, "across_person": "P7"}
    writer = PeopleWriter(tmp_path, ["a"], found)
    writer.add("a", [here, gone], {""})
    assert writer.write() == ()
    rows = csv.DictReader((tmp_path / "people.csv").read_text("utf-8-sig").splitlines())
    assert [row["across_person"] for row in rows] == ["P1", ""]


@pytest.mark.parametrize("without", ["people.keep_vectors=false", "people.link=false"])
def test_clips_are_not_compared_without_what_they_are_compared_by(without: str) -> None:
    with pytest.raises(ConfigError, match=r"people\.keep_vectors = true"):
        load_pipeline("default", ["people.keep_vectors=true", 'people.across="folder"', without])
