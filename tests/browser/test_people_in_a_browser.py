"""The page's editor of who is who, from the click to the changed summary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.commands import vidfer
from test_pages_in_a_browser import ARTIFACTS, CHROMIUM, FLAGS, Visit

from vidfer.people.face_ids import parse_face_ids
from vidfer.people.table import read_people


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, sample_video: Path) -> Path:
    out = tmp_path_factory.mktemp("people") / "results"
    done = vidfer("process", sample_video, "--out", out, "--fps", "4", "--export", "summary,report", "--thumbnails")
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def report(results: Path) -> Iterator[Visit]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser: {CHROMIUM} is absent (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        opened = Visit(chromium.new_page(viewport={"width": 1400, "height": 900}))
        yield opened.open(results / "sample" / "report.html")
        chromium.close()


def saved(report: Visit, folder: Path) -> Path:
    with report.page.expect_download() as download:
        report.page.click("#save-people")
    path = folder / "people.csv"
    download.value.save_as(path)
    return path


def merged(out: Path, file: Path) -> dict[str, Any]:
    done = vidfer("report", out, "--people", file)
    assert (done.returncode, done.stderr.count("people.csv")) == (0, 0), done.stderr
    summary: dict[str, Any] = json.loads((out / "sample" / "summary.json").read_text())
    return summary


def lines(report: Visit) -> Any:
    return report.page.locator("#people-editor tbody tr")


def test_rename_split_merge_and_exclude_reach_the_summary_and_can_be_undone(
    report: Visit, results: Path, tmp_path: Path
) -> None:
    before = (results / "sample" / "summary.json").read_bytes()
    untouched = saved_text = (results / "people.csv").read_text()
    report.page.click("#people-editor summary")
    assert saved(report, tmp_path).read_text() == saved_text
    assert lines(report).count() == 2
    lines(report).nth(0).locator("input").first.fill('Jo "Ü" <b>, =1')
    lines(report).nth(0).locator("input").first.press("Enter")
    report.wait("video.readyState >= 2")
    report.page.evaluate("seek(1.5)")
    report.wait("!video.seeking && now > 1")
    moment = report.page.evaluate("Math.round(now * 1000) / 1000")  # that of the frame which the browser shows
    lines(report).nth(0).locator("button").click()
    assert lines(report).count() == 3
    lines(report).nth(2).locator("input[type=checkbox]").uncheck()
    lines(report).nth(1).locator("select").select_option("2")  # what follows the split is the other person's
    assert lines(report).count() == 2
    assert "Not saved" in report.page.inner_text("#people-note")
    ARTIFACTS.mkdir(exist_ok=True)
    report.page.screenshot(path=str(ARTIFACTS / "people.png"), full_page=True)
    file = saved(report, tmp_path)
    assert read_people(file.read_bytes()).problems == ()
    summary = merged(results, file)
    first, second = summary["people"]
    assert (first["name"], first["face_ids"], first["include"]) == ('Jo "Ü" <b>, =1', "0", True)
    assert moment <= first["last_seconds"] < moment + 0.3  # the last of four frames a second lasts so long
    assert parse_face_ids(second["face_ids"]) == ((0, moment), (1, 0.0))
    assert summary["num_people"] + summary["num_people_left_out"] == 2

    report.page.reload()
    assert report.errors == []
    assert "<b>, =1" in report.page.inner_text("#people")
    for row in ("0", "1"):
        assert report.page.locator("#people-editor tbody tr").nth(int(row)).count() == 1
    (tmp_path / "people.csv").write_text(untouched)
    merged(results, tmp_path / "people.csv")
    assert (results / "sample" / "summary.json").read_bytes() == before


def test_who_does_not_count_is_left_out_and_shown_as_such(report: Visit, results: Path, tmp_path: Path) -> None:
    untouched = (results / "people.csv").read_text()
    report.page.click("#people-editor summary")
    lines(report).nth(1).locator("input[type=checkbox]").uncheck()
    summary = merged(results, saved(report, tmp_path))
    assert (summary["num_people"], summary["num_people_left_out"]) == (1, 1)
    report.page.reload()
    assert report.page.locator("#people tr.left-out").count() == 1
    assert report.page.locator("#faces input").count() == 1
    assert report.page.locator(".portraits figure").count() == 2
    report.page.screenshot(path=str(ARTIFACTS / "people_left_out.png"), full_page=True)
    assert report.errors == []
    (tmp_path / "people.csv").write_text(untouched)
    merged(results, tmp_path / "people.csv")


def test_the_names_of_faces_that_overlap_do_not_cover_each_other(report: Visit) -> None:
    report.wait("video.readyState >= 2")
    report.page.evaluate("seek(1.5)")
    report.wait("!video.seeking && now > 1")
    drawn = report.page.evaluate("""() => {
        const drawn = [], pen = CanvasRenderingContext2D.prototype, fillRect = pen.fillRect;
        pen.fillRect = function (...rectangle) { drawn.push(rectangle); fillRect.apply(this, rectangle); };
        faces.first[frameAt(now) + 1]++;  // the next frame's face, at nearly the same place, is in this one, too
        drawFaces();
        pen.fillRect = fillRect;
        return drawn;
    }""")
    assert len(drawn) == 2
    (left, top, width, height), (other_left, other_top, _, _) = drawn
    assert abs(left - other_left) < width
    assert abs(top - other_top) >= height
