"""Make the documents' pictures: python docs/make_pictures.py

Writes beside this file sample_timeline.png and sample_report.png, from the sample video (NASA photographs, public
domain; the second needs playwright and Debian's chromium), and study_*.png, from made-up numbers.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from vidfer import process, study
from vidfer.video.sample_clip import write_sample

DOCS = Path(__file__).resolve().parent
CHROMIUM = Path("/usr/bin/chromium")


def main() -> None:
    """Process the sample and keep its chart and a picture of its report."""
    with tempfile.TemporaryDirectory() as folder:
        video, results = Path(folder) / "videos" / "sample.mp4", Path(folder) / "results"
        write_sample(video)
        process(video, results)
        shutil.copyfile(results / "sample" / "timeline.png", DOCS / "sample_timeline.png")
        photograph(results / "sample" / "report.html", DOCS / "sample_report.png")


def draw_study() -> None:
    """Run a study over made-up results of twelve people and keep two of its pictures."""
    sys.path.insert(0, str(DOCS.parent / "tests"))
    from fixtures.study_results import paired_results, write_study

    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        paired_results(results, participants=12)
        analysis = {"design": "paired", "emotions": ["happiness", "neutral"]}
        pictures = {"widths_mm": [180], "formats": ["png"]}
        study.run(results, write_study(Path(folder), {"analysis": analysis, "pictures": pictures}))
        made = results / "study" / "pictures"
        shutil.copyfile(made / "estimates_mean_probability_180mm.png", DOCS / "study_estimates.png")
        shutil.copyfile(made / "courses_180mm.png", DOCS / "study_courses.png")


def photograph(page_file: Path, picture: Path) -> None:
    """Open a report in the browser, a second into the video, and keep its upper part as a picture."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 640})
        page.goto(page_file.as_uri())
        page.wait_for_function("video.readyState >= 2 && chart.querySelectorAll('.js-line').length > 0")
        page.evaluate("seek(1)")
        page.wait_for_function("!video.seeking")
        page.wait_for_timeout(500)
        page.screenshot(path=str(picture))
        browser.close()


if __name__ == "__main__":
    draw_study()
    main()
