"""Files name people by name and leave out who does not count; charts are drawn again from the files alone."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fixtures.clip_results import SEGMENT_OPTIONS, make_clip

from vidfer.api import write
from vidfer.config import OutputConfig, PeopleConfig
from vidfer.exporters import EXPORTERS, Exporter
from vidfer.people.apply import with_roster
from vidfer.people.table import read_people, write_people
from vidfer.pipeline.clip import Clip
from vidfer.report.chart_options import ChartOptions
from vidfer.report.people_section import people_section
from vidfer.timeline.saved import clip_of_tables, read_episodes, read_summary, read_table
from vidfer.timeline.segments import find_segments
from vidfer.timeline.summary import summarise
from vidfer.types import ClipResult, FacePeople

NAME = "A & <b> -->"


@pytest.fixture(scope="module")
def clip() -> ClipResult:
    """Faces 0 and 1 are one person, face 2 does not count, and face 3 is another from 0:04 on."""
    plain = make_clip(faces=4, seconds=10, gaps=[(0, 5, 10), (1, 0, 5)])
    apply = partial(with_roster, plain, config=PeopleConfig(), find_segments=partial(find_segments, **SEGMENT_OPTIONS))
    proposed, _ = apply()
    assert proposed.roster is not None
    rows = [dict(row) for row in proposed.roster.rows]
    rows[0]["name"] = rows[1]["name"] = NAME
    rows[2]["include"] = "no"
    rows.append({"clip": plain.clip_id, "face_ids": "3@0:04", "name": "Bo"})
    edited, problems = apply(read_people(b"".join(write_people(rows))).by_clip[plain.clip_id])
    assert problems == ()
    return edited


def text_of(name: str, clip: ClipResult) -> str:
    exporter = EXPORTERS.get(name)
    assert isinstance(exporter, Exporter)
    (data,) = exporter.render(clip).values()
    return data.decode()


def test_subtitles_and_tiers_are_of_people_who_count(clip: ClipResult) -> None:
    speakers = {line.rpartition(": ")[0] for line in text_of("vtt", clip).splitlines() if "%" in line}
    assert speakers == {"A &amp; &lt;b&gt; --&gt;", "face 3", "Bo"}
    tiers = [tier.get("TIER_ID") for tier in ET.fromstring(text_of("elan", clip)).iter("TIER")]
    assert tiers == [NAME, "face 3", "Bo"]
    praat = [line for line in text_of("textgrid", clip).splitlines() if "        name = " in line]
    assert praat == [f'        name = "{name}"' for name in tiers]


def test_tables_keep_every_row_and_say_whose_it_is(clip: ClipResult) -> None:
    fex = list(csv.DictReader(io.StringIO(text_of("fex", clip))))
    assert {row["Identity"] for row in fex} == {NAME, "Person_2", "Person_3", "Bo"}
    episodes = list(csv.DictReader(io.StringIO(text_of("segments", clip))))
    assert len(episodes) == len(clip.segments)
    assert {row["person_id"] for row in episodes if row["face_id"] in "01"} == {"0"}
    assert {(row["include"], row["face_id"]) for row in episodes} == {("no", "2")} | {("yes", face) for face in "013"}
    assert {row["name"] for row in episodes if row["face_id"] == "3" and float(row["start_seconds"]) >= 4} == {"Bo"}


def test_who_is_who_is_read_back_from_a_clips_folder(clip: ClipResult, tmp_path: Path) -> None:
    write(Clip(clip, OutputConfig()), tmp_path, exports=["csv", "segments", "summary"])
    saved = clip_of_tables(read_table(tmp_path), read_episodes(tmp_path), read_summary(tmp_path), clip_id="a")
    assert clip.roster is not None
    assert saved.roster is not None
    rows = np.lexsort((clip.timeline.track_id, clip.timeline.frame_row))  # as in the table
    assert saved.roster.person_id.tolist() == clip.roster.person_id[rows].tolist()
    assert [person.label for person in saved.roster.people] == [person.label for person in clip.roster.people]


def test_the_painter_draws_bars_only_for_who_counts(clip: ClipResult) -> None:
    exporter = EXPORTERS.get("overlay")
    frame = np.full((clip.info.height, clip.info.width, 3), 60, np.uint8)
    painted = exporter.painter(clip)(frame, 1.0)  # type: ignore[union-attr]
    rows = np.flatnonzero((clip.timeline.frame_row == 25) & (clip.timeline.track_id == 2))
    left, top, _, bottom = clip.faces.xyxy[rows[0]].round().astype(int).tolist()
    inside = painted[top + 20 : bottom - 20, left + 20 : left + 60]
    assert (inside == 60).all()  # no landmarks; bars of others begin beside their faces
    assert (painted[top + 40 : bottom, left - 2 : left + 3] != 60).any()  # a thin box


def test_who_was_left_apart_is_told_until_a_user_joins_them() -> None:
    plain = make_clip(faces=3, seconds=10, gaps=[(0, 5, 10), (1, 0, 5)])
    people = FacePeople(
        person_id=plain.timeline.track_id,
        confidence=np.ones(len(plain.timeline.track_id), np.float32),
        unsure=np.array([[0, 1]], np.int32),
        unsure_confidence=np.array([0.6], np.float32),
    )
    find = partial(find_segments, **SEGMENT_OPTIONS)
    linked = replace(plain, people=people)
    proposed, _ = with_roster(linked, config=PeopleConfig(), find_segments=find)
    summary = summarise(proposed)
    assert summary["unsure_links"] == [{"people": [0, 1], "confidence": 0.6}]
    assert "may be one person: person 0 and person 1 (60 %)" in people_section(proposed, summary, ChartOptions())
    assert proposed.roster is not None
    rows = [dict(row) for row in proposed.roster.rows]
    rows[0]["name"] = rows[1]["name"] = "Ann"
    joined, problems = with_roster(
        linked,
        read_people(b"".join(write_people(rows))).by_clip[plain.clip_id],
        config=PeopleConfig(),
        find_segments=find,
    )
    assert problems == ()
    assert summarise(joined)["unsure_links"] == []
    assert "may be one person" not in people_section(joined, summarise(joined), ChartOptions())
