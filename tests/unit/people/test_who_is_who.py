"""Who is who in a clip: proposals, edits, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from fixtures.clip_results import SEGMENT_OPTIONS, make_clip

from vidfer.config import PeopleConfig
from vidfer.people.apply import with_roster
from vidfer.people.by_person import by_person
from vidfer.people.figures import Figures
from vidfer.people.table import Row, read_people, write_people
from vidfer.timeline.segments import find_segments
from vidfer.timeline.summary import summarise
from vidfer.types import ClipResult, FacePeople

FIND = partial(find_segments, **SEGMENT_OPTIONS)
# Faces 0 and 1 are never seen together, face 2 is there all the time, face 3 briefly.
GAPS = [(0, 5, 10), (1, 0, 5), (3, 0.6, 10)]


@pytest.fixture(scope="module")
def clip() -> ClipResult:
    return make_clip(faces=4, seconds=10, gaps=GAPS)


def with_people(
    clip: ClipResult, rows: tuple[Row, ...] = (), config: PeopleConfig | None = None
) -> tuple[ClipResult, tuple[str, ...]]:
    return with_roster(clip, rows, config=config or PeopleConfig(), find_segments=FIND)


def edited(
    clip: ClipResult, *edits: tuple[int, Mapping[str, str]], added: tuple[dict[str, str], ...] = ()
) -> tuple[Row, ...]:
    """Return the rows that vidfer proposes for a clip, edited by number, as they are read from the file."""
    proposed, _ = with_people(clip)
    assert proposed.roster is not None
    rows = [dict(row) for row in proposed.roster.rows]
    for number, edit in edits:
        rows[number] |= edit
    return read_people(b"".join(write_people([*rows, *added]))).by_clip.get(clip.clip_id, ())


def people_of(clip: ClipResult) -> dict[str, tuple[str, bool]]:
    assert clip.roster is not None
    return {person.label: (person.face_ids, person.include) for person in clip.roster.people}


def moved_to(clip: ClipResult, numbers: list[int]) -> ClipResult:
    """Return the clip with its tracks numbered anew: track i becomes numbers[i]."""
    track_id = np.array([*numbers, -1], np.int32)[clip.timeline.track_id]
    timeline = replace(clip.timeline, track_id=track_id)
    return replace(clip, timeline=timeline, segments=FIND(timeline, clip.frames))


def test_without_an_edit_each_track_is_a_person_who_counts(clip: ClipResult) -> None:
    found, problems = with_people(clip)
    assert people_of(found) == {f"face {number}": (str(number), True) for number in range(4)}
    assert problems == ()
    plain, counted = summarise(clip), summarise(found)
    assert {key: plain[key] for key in plain if key != "people"} == {
        key: counted[key] for key in plain if key != "people"
    }
    assert found.roster is not None
    assert [person.role for person in found.roster.people] == ["", "", "main", "bystander"]


def test_one_name_makes_two_rows_one_person(clip: ClipResult) -> None:
    found, problems = with_people(clip, edited(clip, (0, {"name": "Anna"}), (1, {"name": "Anna"})))
    assert problems == ()
    assert people_of(found)["Anna"] == ("0 1", True)
    (anna,) = [person for person in summarise(found)["people"] if person["label"] == "Anna"]
    assert anna["seconds_on_screen"] == pytest.approx(10.0)
    chart = by_person(found)
    assert set(chart.timeline.track_id.tolist()) == {0, 2, 3}
    assert len(chart.segments) == len(clip.segments)


def test_two_faces_of_one_picture_stay_two_people(clip: ClipResult) -> None:
    found, (problem,) = with_people(clip, edited(clip, (0, {"name": "Anna"}), (2, {"name": "Anna"})))
    assert problem.startswith("people.csv: row 4, column name: 'Anna' is face 0, too, and both are seen at 0.00 s")
    assert people_of(found)["Anna (0)"] == ("0", True)
    assert people_of(found)["Anna (2)"] == ("2", True)


def test_who_is_excluded_enters_no_figure_and_is_told(clip: ClipResult) -> None:
    found, _ = with_people(clip, edited(clip, (2, {"include": "no"})))
    summary, before = summarise(found), summarise(clip)
    assert (summary["num_people"], summary["num_people_left_out"], summary["num_faces"]) == (3, 1, 4)
    assert summary["num_episodes"] == before["num_episodes"] - sum(of.track_id == 2 for of in clip.segments)
    assert sum(numbers["share_of_time"] for numbers in summary["emotions"].values()) + summary[
        "unsure_share_of_time"
    ] == pytest.approx(1)
    left = [person for person in before["people"] if person["person"] != 2]
    seconds = np.array([person["seconds_on_screen"] for person in left])
    for name, numbers in summary["emotions"].items():
        of_each = [person["emotions"][name]["share_of_time"] for person in left]
        assert numbers["share_of_time"] == pytest.approx(np.average(of_each, weights=seconds), abs=1e-5)


def test_a_track_is_split_where_the_user_says_and_its_episodes_with_it(clip: ClipResult) -> None:
    rows = edited(clip, added=({"clip": clip.clip_id, "face_ids": "2@0:04", "name": "Bo"},))
    found, problems = with_people(clip, rows)
    assert problems == ()
    assert people_of(found)["Bo"] == ("2@0:04", True)
    assert people_of(found)["face 2"] == ("2", True)
    assert found.roster is not None
    seconds = clip.frames.pts_seconds[clip.timeline.frame_row]
    bo = found.roster.person_id == 4
    assert seconds[bo].min() == pytest.approx(4.0)
    assert set(clip.timeline.track_id[bo].tolist()) == {2}
    assert not [of for of in found.segments if of.track_id == 2 and of.start_seconds < 4 < of.end_seconds]
    assert [of for of in found.segments if of.track_id != 2] == [of for of in clip.segments if of.track_id != 2]


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ({"face_ids": "9"}, "row 6, column face_ids: the clip has no face 9: it has 0, 1, 2, 3"),
        ({"face_ids": "3@0:05"}, "row 6, column face_ids: face 3 is last seen at 0.6 s"),
        ({"face_ids": "0"}, "row 6, column face_ids: face 0 stands in row 2, too, which counts"),
    ],
)
def test_a_row_that_fits_nothing_is_told_and_kept(clip: ClipResult, added: dict[str, str], said: str) -> None:
    rows = edited(clip, (0, {"name": "Anna"}), added=({"clip": clip.clip_id, "name": "Bo", **added},))
    found, problems = with_people(clip, rows)
    assert [said in problem for problem in problems] == [True]
    assert people_of(found)["Anna"] == ("0", True)
    assert found.roster is not None
    assert [row["name"] for row in found.roster.rows][-1] == "Bo"


def test_edits_follow_their_person_when_tracks_are_numbered_anew(clip: ClipResult) -> None:
    rows = edited(clip, (0, {"name": "Anna"}), (2, {"include": "no", "role": "clerk"}))
    found, problems = with_people(moved_to(clip, [3, 1, 0, 2]), rows)
    assert problems == ()
    assert people_of(found) == {
        "face 0": ("0", False),
        "face 1": ("1", True),
        "face 2": ("2", True),
        "Anna": ("3", True),
    }
    assert found.roster is not None
    again = read_people(b"".join(write_people(found.roster.rows))).by_clip[clip.clip_id]
    assert people_of(with_people(moved_to(clip, [3, 1, 0, 2]), again)[0]) == people_of(found)


def test_an_edit_whose_person_is_gone_is_listed(clip: ClipResult) -> None:
    rows = edited(clip, (2, {"name": "Cy"}))
    found, problems = with_people(moved_to(clip, [0, 1, -1, 2]), rows)
    assert "row 4, column face_ids: nobody is found where and when this person was seen" in problems[0]
    assert found.roster is not None
    assert [row["name"] for row in found.roster.rows] == ["", "", "", "Cy"]
    back, _ = with_people(clip, read_people(b"".join(write_people(found.roster.rows))).by_clip[clip.clip_id])
    assert people_of(back)["Cy"] == ("2", True)


def test_a_track_that_was_cut_in_two_stays_its_persons(clip: ClipResult) -> None:
    rows = edited(clip, (2, {"name": "Cy"}))
    seconds = clip.frames.pts_seconds[clip.timeline.frame_row]
    track_id = clip.timeline.track_id.copy()
    track_id[(track_id == 2) & (seconds >= 6)] = 5
    found, problems = with_people(replace(clip, timeline=replace(clip.timeline, track_id=track_id)), rows)
    assert problems == ()
    assert people_of(found)["Cy"] == ("2 5", True)


def linked(clip: ClipResult, person_of: list[int]) -> ClipResult:
    """Return the clip as the linking of tracks leaves it."""
    person_id = np.array([*person_of, -1], np.int32)[clip.timeline.track_id]
    return replace(
        clip,
        people=FacePeople(
            person_id=person_id,
            confidence=np.ones(len(person_id), np.float32),
            unsure=np.empty((0, 2), np.int32),
            unsure_confidence=np.empty(0, np.float32),
        ),
    )


def test_linked_tracks_are_one_person_and_edits_of_it_hold_for_new_ones(clip: ClipResult) -> None:
    joined = linked(clip, [0, 0, 1, 2])
    found, _ = with_people(joined)
    assert people_of(found) == {"person 0": ("0 1", True), "person 1": ("2", True), "person 2": ("3", True)}
    rows = edited(joined, (0, {"name": "Anna"}))
    more, problems = with_people(linked(clip, [0, 0, 1, 0]), rows)  # face 3 is found to be the same person's
    assert problems == ()
    assert people_of(more)["Anna"] == ("0 1 3", True)
    apart, _ = with_people(joined, edited(joined, (0, {"face_ids": "0"})))
    assert people_of(apart)["person 0"] == ("0", True)
    assert apart.people is not None
    assert set(apart.people.person_id.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("settings", "who"),
    [
        ({}, [0, 1, 2, 3]),
        ({"which": "main"}, [2]),
        ({"which": "largest"}, [1]),
        ({"min_seconds": 1.0}, [0, 1, 2]),
        ({"min_quality": 0.99}, []),
    ],
)
def test_settings_decide_where_the_user_has_not(clip: ClipResult, settings: dict[str, object], who: list[int]) -> None:
    xyxy = clip.faces.xyxy.copy()
    xyxy[clip.timeline.track_id == 1, 2:] += 50
    larger = replace(clip, faces=replace(clip.faces, xyxy=xyxy))
    config = PeopleConfig.model_validate(settings)
    found, _ = with_people(larger, config=config)
    assert found.roster is not None
    assert [person.number for person in found.roster.people if person.include] == who
    assert all(person.reason for person in found.roster.people if not person.include)
    rows = edited(larger, (3, {"include": "no"}))
    rows = tuple(
        replace(row, include=True, proposed=row.proposed._replace(include=False))
        if row.parts[0].face_id == 3 and row.proposed
        else row
        for row in rows
    )
    kept, _ = with_people(larger, rows, config)
    assert kept.roster is not None
    assert kept.roster.by_number[3].include


def test_a_face_that_never_moves_is_proposed_not_to_count(clip: ClipResult) -> None:
    rng = np.random.default_rng(0)
    xyxy = clip.faces.xyxy.copy()
    mine = clip.timeline.track_id == 2
    xyxy[mine] = np.array([460, 200, 580, 340], np.float32) + rng.normal(0, 0.05, (mine.sum(), 4)).astype(np.float32)
    found, _ = with_people(replace(clip, faces=replace(clip.faces, xyxy=xyxy)))
    assert found.roster is not None
    poster = found.roster.by_number[2]
    assert (poster.include, poster.role, poster.still_share) == (False, "poster", pytest.approx(1.0))
    assert "never moves" in poster.reason
    assert found.roster.by_number[3].include  # still seen too briefly to tell


@pytest.mark.parametrize(("frames", "never"), [(5, False), (50, True)])
def test_a_few_frames_do_not_make_a_poster_of_a_person(frames: int, never: bool) -> None:
    seen = Figures(
        first_seconds=0, last_seconds=5, seconds_on_screen=5, frames=frames,
        median_size_px=192, mean_quality=1, stray_px=0.07, still_share=0,
    )  # fmt: skip
    assert seen.never_moves is never


def test_where_all_who_are_seen_are_left_out_the_summary_says_so(clip: ClipResult) -> None:
    nobody = summarise(with_people(clip, config=PeopleConfig(min_seconds=1000))[0])
    assert nobody["dominant_emotion"] is None
    (warning,) = nobody["warnings"]
    assert "nobody counts" in warning
    assert "people.min_seconds" in warning
    assert summarise(with_people(clip)[0])["warnings"] == []
