"""Labels that somebody gives in report.html come back as a manifest; links lead to moments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.clip_results import make_clip

from vidfer.learning.datasets.manifest import read_manifest
from vidfer.report.html import render_report

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser: {CHROMIUM} is absent (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, tmp_path: Path, sample_video: Path) -> Iterator[Any]:
    clip = make_clip(clip_id="=a, b", seconds=7, path=str(sample_video))
    path = tmp_path / "report.html"
    path.write_bytes(render_report(clip, video_href=sample_video.as_uri()))
    opened = browser.new_page(viewport={"width": 1300, "height": 900})
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(f"{path.as_uri()}#t=1.500")
    yield opened
    assert not errors
    opened.close()


def test_a_link_leads_to_its_moment(page: Any) -> None:
    for _ in range(4):  # whether the page's script or the video comes first is by chance
        # A frame may be shown before the jump is made.
        page.wait_for_function("video.readyState >= 2 && !video.seeking")
        assert page.is_hidden("#no-video")
        page.wait_for_function("Math.abs(now - 1.5) < 0.05")
        assert page.evaluate("now") == pytest.approx(1.5, abs=0.05)
        page.reload()


def test_labels_are_marked_by_keys_undone_saved_and_read_back(page: Any, tmp_path: Path, sample_video: Path) -> None:
    page.locator("#label-section summary").click()
    page.fill("#label-annotator", "Zoë, 2nd")
    page.fill("#label-intensity", "3.5")
    page.locator("h1").click()

    def stretch(start: float, end: float) -> None:
        for seconds in (start, end):
            page.evaluate(f"seek({seconds})")
            page.wait_for_timeout(300)
            page.keyboard.press("m")

    page.keyboard.press(".")  # happiness
    stretch(1.0, 2.5)
    stretch(3.0, 4.0)
    page.keyboard.press("u")
    for _ in range(2):
        page.keyboard.press(",")  # past neutral to the last: wrong
    stretch(5.0, 4.5)  # backwards
    with page.expect_download() as download:
        page.keyboard.press("s")
    saved = tmp_path / "labels.csv"
    download.value.save_as(saved)
    every = read_manifest(saved, keep_wrong=True)
    assert every.label == ("happiness", "wrong")
    assert every.start_seconds.tolist() == pytest.approx([1.0, 4.5], abs=0.05)
    assert every.end_seconds.tolist() == pytest.approx([2.5, 5.0], abs=0.05)
    told = read_manifest(saved)  # what vidfer evaluate --manifest reads
    assert told.label == ("happiness",)
    assert told.path == (sample_video,)
    assert told.further["annotator"] == ("Zoë, 2nd",)
    assert told.further["intensity"] == ("3.5",)
    assert told.clip_id[0].startswith("=a, b")
