"""people.csv from the real command on real video: written once, edited, followed by everything, never overwritten."""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from fixtures.commands import cache_digests, output_digests, read_csv
from fixtures.forked import start_vidfer, vidfer

from vidfer.people.table import write_people

EXPORTS = "csv,summary,segments,vtt,report"


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory, sample_video: Path) -> tuple[Path, Path]:
    """The folder of two copies of the sample, and its results; 4 frames a second."""
    videos = tmp_path_factory.mktemp("videos")
    for name in ("one.mp4", "two.mp4"):
        shutil.copy(sample_video, videos / name)
    out = tmp_path_factory.mktemp("people") / "results"
    process(videos, out)
    return videos, out


@pytest.fixture
def results(processed: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """The same, to be changed; the videos lie where they lay."""
    return processed[0], Path(shutil.copytree(processed[1], tmp_path / "results", copy_function=shutil.copy2))


def process(videos: Path, out: Path, *more: str) -> Any:
    done = vidfer("process", videos, "--out", out, "--fps", "4", "--export", EXPORTS, "--jobs", "1", *more)
    assert done.returncode == 0, done.stderr
    return done


def rows_of(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / "people.csv").read_text("utf-8-sig"))))


def edit(out: Path, clip: str, person: str, **cells: str) -> None:
    rows = rows_of(out)
    (row,) = [row for row in rows if (row["clip"], row["person"]) == (clip, person)]
    row.update(cells)
    (out / "people.csv").write_bytes(b"".join(write_people(rows)))


def summary_of(out: Path, clip: str) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((out / clip / "summary.json").read_text())
    return summary


def test_proposals_are_written_and_a_second_run_leaves_them(results: tuple[Path, Path]) -> None:
    videos, out = results
    rows = rows_of(out)
    faces = {row["face_id"] for row in read_csv(out / "one" / "timeline.csv")} - {"-1"}
    assert [row["person"] for row in rows if row["clip"] == "one"] == sorted(faces)
    assert {row["include"] for row in rows} == {"yes"}
    before = output_digests(out)
    assert "nothing left to do" in process(videos, out).stderr
    assert output_digests(out) == before


def test_everything_follows_an_edit_and_an_undone_edit_leaves_no_trace(results: tuple[Path, Path]) -> None:
    videos, out = results
    before, cache = output_digests(out), cache_digests(out)
    edit(out, "one", "0", name="Anna")
    edit(out, "one", "1", include="no")
    process(videos, out)
    assert cache_digests(out) == cache  # nothing was computed again
    summary, plain = summary_of(out, "one"), summary_of(out, "two")
    assert (summary["num_people"], summary["num_people_left_out"], summary["num_faces"]) == (
        plain["num_people"] - 1,
        1,
        plain["num_faces"],
    )
    assert summary["emotions"] != plain["emotions"]
    one, two = read_csv(out / "summary.csv")
    assert (one["num_people"], two["num_people_left_out"]) == (str(summary["num_people"]), "0")
    assert float(one["neutral_share_of_time"]) == summary["emotions"]["neutral"]["share_of_time"]
    people = {row["person"]: row for row in read_csv(out / "summary_people.csv") if row["clip"] == "one"}
    assert (people["0"]["name"], people["1"]["include"]) == ("Anna", "no")
    episodes = read_csv(out / "one" / "segments.csv")
    assert {(row["face_id"], row["name"], row["include"]) for row in episodes} >= {
        ("0", "Anna", "yes"),
        ("1", "", "no"),
    }
    assert "Anna" in (out / "one" / "report.html").read_text()
    assert "left out" in (out / "index.html").read_text()
    assert output_digests(out)["one/timeline.csv"] == before["one/timeline.csv"]
    followed = output_digests(out)
    assert "nothing left to do" in process(videos, out).stderr
    assert output_digests(out) == followed
    edit(out, "one", "0", name="")
    edit(out, "one", "1", include="yes")
    process(videos, out)
    assert output_digests(out) == before


def test_deleting_the_table_or_a_row_brings_the_proposals_back(results: tuple[Path, Path]) -> None:
    videos, out = results
    before = output_digests(out)
    edit(out, "one", "0", name="Anna")
    process(videos, out)
    (out / "people.csv").unlink()
    process(videos, out)
    assert output_digests(out) == before


def test_an_edit_follows_its_person_through_a_recomputation(results: tuple[Path, Path]) -> None:
    videos, out = results
    edit(out, "one", "1", name="Bo", include="no")
    done = process(videos, out, "--set", "faces.min_score=0.55", "--set", "tracks.max_gap_seconds=0.4")
    assert "fits" not in done.stderr
    people = [person for person in summary_of(out, "one")["people"] if person["name"] == "Bo"]
    assert [person["include"] for person in people] == [False]
    (bo,) = [row for row in rows_of(out) if row["name"] == "Bo"]
    assert (bo["include"], bo["face_ids"]) == ("no", people[0]["face_ids"])


def test_wrong_rows_are_told_and_kept_and_the_rest_counts(results: tuple[Path, Path]) -> None:
    _, out = results
    rows = rows_of(out)
    rows[0] |= {"include": "perhaps", "name": "Anna"}
    rows += [{"clip": "ones", "face_ids": "0", "name": "Nobody"}, {"clip": "two", "face_ids": "77", "name": "Cy"}]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=";", restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    (out / "people.csv").write_bytes(text.getvalue().encode("cp1252"))
    for _ in range(2):
        done = vidfer("report", out, "--export", "summary")
        assert done.returncode == 0
        assert "row 2, column include: expected yes or no, got 'perhaps'" in done.stderr
        assert "column clip: no clip 'ones' in these results: did you mean 'one'? (the row is kept)" in done.stderr
        assert "column face_ids: the clip has no face 77" in done.stderr
    kept = list(csv.DictReader(io.StringIO((out / "people.csv").read_text("utf-8-sig")), delimiter=";"))
    assert {"Nobody", "Cy", "Anna"} <= {row["name"] for row in kept}
    assert "perhaps" in {row["include"] for row in kept}
    assert summary_of(out, "one")["people"][0]["name"] == "Anna"


def test_a_table_that_is_none_stops_before_any_work_and_is_left(results: tuple[Path, Path]) -> None:
    videos, out = results
    (out / "people.csv").write_bytes(b"PK\x03\x04 a workbook")
    before = output_digests(out)
    done = vidfer("process", videos, "--out", out, "--fps", "4", "--export", EXPORTS)
    assert done.returncode == 2
    assert "people.csv: row 1: no column" in done.stderr
    assert output_digests(out) == before


def test_what_is_edited_while_a_run_goes_on_is_not_lost(results: tuple[Path, Path]) -> None:
    videos, out = results
    running = start_vidfer(
        *("process", str(videos), "--out", str(out), "--fps", "5", "--export", EXPORTS, "--jobs", "1"), "--quiet"
    )
    while json.loads((out / ".vidfer" / "pipeline.json").read_text())["video"]["fps"] != 5:  # people.csv has been read
        assert running.poll() is None
        time.sleep(0.01)
    edit(out, "one", "0", name="Anna")
    assert running.wait() == 0
    assert next(row["name"] for row in rows_of(out) if row["clip"] == "one") == "Anna"
    done = vidfer("process", videos, "--out", out, "--fps", "5", "--export", EXPORTS)
    assert summary_of(out, "one")["people"][0]["name"] == "Anna", done.stderr


def test_people_who_count_are_chosen_without_computing_anything_again(results: tuple[Path, Path]) -> None:
    videos, out = results
    cache = cache_digests(out)
    process(videos, out, "--people", "main")
    assert cache_digests(out) == cache
    assert [summary_of(out, clip)["num_people"] for clip in ("one", "two")] == [1, 1]
    left = [row for row in rows_of(out) if row["include"] == "no"]
    assert {row["reason"] for row in left} == {"not the one seen longest (people.which)"}
    edit(out, "one", left[0]["person"], include="yes")
    process(videos, out, "--people", "main")
    assert [summary_of(out, clip)["num_people"] for clip in ("one", "two")] == [2, 1]


def test_the_table_of_a_page_is_merged_and_only_its_clip_written(results: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = results
    rows = [row for row in rows_of(out) if row["clip"] == "two"]
    rows[0]["name"] = "Anna"
    page = tmp_path / "people.csv"
    page.write_bytes(b"".join(write_people([*rows, {"clip": "three", "face_ids": "0", "name": "X"}])))
    done = vidfer("report", out, "--people", page)
    assert done.returncode == 0
    assert "1 clip written" in done.stdout
    assert "no clip 'three'" in done.stderr
    assert summary_of(out, "two")["people"][0]["name"] == "Anna"
    assert {row["name"] for row in rows_of(out)} == {"", "Anna"}
    assert vidfer("report", out, "--people", tmp_path / "none.csv").returncode == 2
