"""The page of ``vidfer live --websocket`` in a real browser: picture, boxes, a chart that moves, and the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidfer.labels import EMOTION_COLOURS, EMOTIONS
from vidfer.live.broadcast import Broadcast

CHROMIUM = Path("/usr/bin/chromium")
WAIT_SECONDS = 120.0
PICTURE = np.full((480, 640, 3), (40, 60, 90), np.uint8)
_COUNT = """([id, colour]) => {
  const canvas = document.getElementById(id), pen = canvas.getContext("2d");
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    count += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 40 && data[i + 3] > 200;
  return count;
}"""


def line_of(seconds: float, *, person: int = -1, **leading: str) -> str:
    """Return a frame's line; ``face0="happiness"`` is a face with what leads in it, all of them one person's."""
    faces = []
    for name, emotion in leading.items():
        number = int(name.removeprefix("face"))
        face = {"face_id": number, "person_id": person, "emotion": emotion}
        face |= {"x": 100 + 150 * number, "y": 80, "width": 120, "height": 140}
        faces.append(face | dict.fromkeys(EMOTIONS, 0.02) | {emotion: 0.86, "emotion_confidence": 0.86})
    return json.dumps({"frame": 1, "timestamp": seconds, "latency_ms": 12.0, "faces": faces})


def wait_until(done: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not done():  # the page forbids what playwright's own waiting does
        assert time.monotonic() - began < WAIT_SECONDS
        time.sleep(0.05)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("websockets", reason="websockets is not installed (pip install 'vidfer[live]')")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser: {CHROMIUM} is absent (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page()
    opened.set_default_timeout(1000 * WAIT_SECONDS)
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    assert problems == []
    opened.close()


def test_picture_box_and_chart_are_drawn_as_frames_come(page: Any) -> None:
    over, is_known = threading.Event(), threading.Event()
    broadcast = Broadcast(0)

    def send() -> None:
        number = 0
        while not over.wait(0.04):
            broadcast.send(line_of(number / 25, person=3 if is_known.is_set() else -1, face0="happiness"), PICTURE)
            number += 1

    sender = threading.Thread(target=send)
    sender.start()
    try:
        page.goto(broadcast.url)
        wait_until(lambda: "face 0: happiness, 12 ms" in page.text_content("#frame"))
        is_known.set()
        wait_until(lambda: "person 3: happiness, 12 ms" in page.text_content("#frame"))
        assert page.text_content("#who") == "Shown: person 3."
        assert page.locator("#people button").all_text_contents() == ["person 3"]
        colour = EMOTION_COLOURS["happiness"]
        assert page.evaluate(_COUNT, ["picture", "#283c5a"]) > 0.8 * 640 * 480
        assert page.evaluate(_COUNT, ["picture", colour]) > 500, "the box around the face"
        first = page.evaluate(_COUNT, ["chart", colour])
        wait_until(lambda: page.evaluate(_COUNT, ["chart", colour]) > first + 20)  # it has moved on
    finally:
        over.set()
        sender.join()
        broadcast.close()


def test_who_is_shown_follows_and_a_stream_that_stops_is_told_from_one_that_runs(page: Any) -> None:
    broadcast = Broadcast(0)

    def send(seconds: float, **leading: str) -> tuple[str, str]:
        """Let the page draw a frame; return who it says is shown, and the number beside happiness."""
        broadcast.send(line_of(seconds, **leading), PICTURE)
        wait_until(lambda: page.text_content("#frame").startswith(f"{seconds:.1f} s"))
        assert page.text_content("#said") in ("", "No new picture comes: below is the last one.")
        return shown()

    def shown() -> tuple[str, str]:
        pressed = page.locator("#people [aria-pressed=true]").all_text_contents()
        who = page.text_content("#who")
        assert pressed == ([] if who.startswith("Nobody") else [who.removeprefix("Shown: ").rstrip(".").split(",")[0]])
        return who, page.locator("#legend li", has_text="happiness").locator("b").text_content()

    try:
        page.goto(broadcast.url)
        assert send(0, face0="happiness") == ("Shown: face 0.", "86 %")
        assert send(1, face0="happiness", face1="anger") == ("Shown: face 0, there the longest.", "86 %")
        assert send(1.5, face1="anger") == ("Shown: face 0, there the longest.", "–")  # missed for a moment
        assert send(2.5, face1="anger") == ("Shown: face 1.", "2 %")  # somebody else is there
        send(3, face1="anger", face2="happiness")
        border = "name => getComputedStyle(view.people.querySelector(`[value='${name}']`)).borderStyle"
        assert [page.evaluate(border, name) for name in "012"] == ["dashed", "solid", "solid"]  # who has left
        page.get_by_role("button", name="face 2").press("Enter")
        assert shown() == ("Shown: face 2, as you pressed.", "86 %")
        assert send(3.2, face1="anger", face2="happiness") == ("Shown: face 2, as you pressed.", "86 %")
        assert send(4.5, face1="anger") == ("Shown: face 1.", "2 %")
        page.get_by_role("button", name="face 0").click()
        assert send(5, face1="anger") == ("Shown: face 0, who has left the picture.", "–")  # looked back at
        assert send(40, face1="anger") == ("Shown: face 1.", "2 %")  # the chart begins at 10 s
        assert page.locator("#people button").all_text_contents() == ["face 1"]
        assert send(75) == ("Nobody is in the picture.", "–")
        wait_until(lambda: page.text_content("#said").startswith("No new picture comes"))
        assert page.evaluate("getComputedStyle(view.picture).opacity") < "1"
        broadcast.close()
        wait_until(lambda: page.text_content("#said").startswith("The stream has ended."))
        broadcast = Broadcast(broadcast.port)  # and begins again, with a clock of its own
        assert send(0.2, face0="happiness") == ("Shown: face 0.", "86 %")
        assert page.evaluate("view.rows.length") == 1
    finally:
        broadcast.close()
