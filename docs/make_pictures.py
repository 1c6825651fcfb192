"""Make the README's pictures from the sample video (NASA photographs, public domain): python docs/make_pictures.py

Writes sample_timeline.png and sample_report.png beside this file; the second needs playwright and Debian's chromium.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from vidfer import process
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
    main()
