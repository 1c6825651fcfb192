"""The page of ``vidfer serve`` in a real browser: from a token to a dropped video, its progress, results and end."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.commands import TIMEOUT_SECONDS
from fixtures.fuzz_trials import short_clip
from fixtures.service import serving

# The page looks at the jobs at once, as when one comes back to it.
_LOOK = "() => document.dispatchEvent(new Event('visibilitychange'))"
CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "a-token-that-is-long-enough"
_DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)), transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  const how = { dataTransfer: transfer, bubbles: true, cancelable: true };
  for (const kind of ["dragover", "drop"]) document.getElementById("drop").dispatchEvent(new DragEvent(kind, how));
}"""


def wait_until(done: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not done():  # the page forbids what playwright's own waiting does
        assert time.monotonic() - began < TIMEOUT_SECONDS
        time.sleep(0.05)


def expected(problem: str) -> bool:
    """Tell what Chromium says of a wrong token, and of a service that is gone for a while."""
    return "401" in problem or "ERR_CONNECTION_REFUSED" in problem


def test_a_dropped_video_shows_its_progress_and_results(sample_video: Path, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser: {CHROMIUM} is absent (apt-get install chromium)")
    clip = short_clip(sample_video, tmp_path / "a.mp4")
    settings = ("--set", "video.fps=5", "--token-file", tmp_path / "token")
    (tmp_path / "token").write_text(TOKEN)
    with serving(tmp_path / "out", *settings) as service, playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(1000 * TIMEOUT_SECONDS)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda said: problems.append(said.text) if said.type == "error" and not expected(said.text) else None,
        )
        page.goto(f"http://127.0.0.1:{service.port}/")
        page.fill("#token", "wrong")
        page.click("#login button")
        wait_until(lambda: page.input_value("#token") == "" and page.is_visible("#login"))
        assert page.text_content("#said") == "This is not the service's token."
        assert page.is_visible("#said")
        page.fill("#token", TOKEN)
        page.click("#login button")
        wait_until(lambda: page.is_visible("#drop"))
        page.evaluate(_DROP, ["<b>Anna</b> & I.mp4", base64.b64encode(clip.read_bytes()).decode()])
        row = page.locator("#jobs li").first
        wait_until(lambda: row.locator(".state").text_content() == "done")
        assert row.locator(".name").text_content() == "<b>Anna</b> & I.mp4"
        assert [link.text_content() for link in row.locator("a").all()] == [
            *("report", "segments.csv", "summary.json", "timeline.csv"),
        ]
        wait_until(lambda: page.evaluate("document.querySelector('.chart').naturalWidth") > 300)
        with page.expect_popup() as opened:
            row.locator("a").first.click()
        report = opened.value
        report.on("pageerror", lambda error: problems.append(str(error)))
        wait_until(lambda: report.evaluate("document.querySelectorAll('#chart .js-line').length") > 0)
        report.close()
        page.set_input_files(
            "#file", files=[{"name": "no video.mp4", "mimeType": "video/mp4", "buffer": b"nothing" * 99}]
        )
        wait_until(lambda: "failed: not a video" in (page.locator("#jobs li").first.text_content() or ""))
        page.reload()  # the cookie is known, and so are the jobs
        wait_until(lambda: page.locator("#jobs li").count() == 2)
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        service.process.terminate()
        service.process.wait(TIMEOUT_SECONDS)
        page.evaluate(_LOOK)
        wait_until(lambda: page.text_content("#said").startswith("The service does not answer."))
        page.set_input_files("#file", files=[{"name": "b.mp4", "mimeType": "video/mp4", "buffer": clip.read_bytes()}])
        wait_until(lambda: "not taken: the connection" in (page.locator("#jobs li").first.text_content() or ""))
        page.locator("#jobs li .delete").first.click()
        assert page.locator("#jobs li").count() == 2
        with serving(tmp_path / "out", *settings, port=service.port) as again:
            wait_until(lambda: page.text_content("#said") == "")
            assert page.locator("#jobs li").count() == 2
            again.headers["authorization"] = f"Bearer {TOKEN}"
            assert again.ask("DELETE", f"/jobs/{again.ask('GET', '/jobs').json[0]['id']}").status == 204
            page.evaluate(_LOOK)  # it was deleted from elsewhere
            wait_until(lambda: page.locator("#jobs li").count() == 1)
            page.locator("#jobs li .delete").focus()
            page.keyboard.press("Enter")
            wait_until(lambda: page.locator("#jobs li").count() == 0)
            assert not list((tmp_path / "out").glob("*/job.json"))
        assert problems == []
        browser.close()
