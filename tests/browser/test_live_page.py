"""The page of ``vidfer live --websocket`` in a real browser: picture, boxes, a chart that moves, and the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vidfer.labels import EMOTION_COLOURS, EMOTIONS
from vidfer.live.broadcast import Broadcast

CHROMIUM = Path("/usr/bin/chromium")
WAIT_SECONDS = 120.0
_COUNT = """([id, colour]) => {
  const canvas = document.getElementById(id), pen = canvas.getContext("2d");
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    count += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 40 && data[i + 3] > 200;
  return count;
}"""


def line_of(number: int, person: int) -> str:
    face = {"face_id": 0, "person_id": person, "emotion": "happiness", "x": 100, "y": 80, "width": 120, "height": 140}
    values = dict.fromkeys(EMOTIONS, 0.02) | {"happiness": 0.86, "emotion_confidence": 0.86}
    frame = {"frame": number, "timestamp": number / 25, "latency_ms": 12.0, "faces": [face | values]}
    return json.dumps(frame)


def wait_until(done: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not done():  # the page forbids what playwright's own waiting does
        assert time.monotonic() - began < WAIT_SECONDS
        time.sleep(0.05)


def test_picture_box_and_chart_are_drawn_as_frames_come() -> None:
    pytest.importorskip("websockets", reason="websockets is not installed (pip install 'vidfer[live]')")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser: {CHROMIUM} is absent (apt-get install chromium)")
    over, is_known = threading.Event(), threading.Event()
    broadcast = Broadcast(0)

    def send() -> None:
        number = 0
        while not over.wait(0.04):
            broadcast.send(
                line_of(number, 3 if is_known.is_set() else -1), np.full((480, 640, 3), (40, 60, 90), np.uint8)
            )
            number += 1

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with playwright.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page()
            page.set_default_timeout(120_000)
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(broadcast.url)
            wait_until(lambda: "face 0: happiness, 12 ms" in page.text_content("#said"))
            is_known.set()
            wait_until(lambda: "person 3: happiness, 12 ms" in page.text_content("#said"))
            colour = EMOTION_COLOURS["happiness"]
            assert page.evaluate(_COUNT, ["picture", "#283c5a"]) > 0.8 * 640 * 480
            assert page.evaluate(_COUNT, ["picture", colour]) > 500, "the box around the face"
            first = page.evaluate(_COUNT, ["chart", colour])
            wait_until(lambda: page.evaluate(_COUNT, ["chart", colour]) > first + 20)  # it has moved on
            over.set()
            sender.join()
            broadcast.close()
            wait_until(lambda: page.text_content("#said") == "The stream has ended.")
            assert problems == []
            browser.close()
    finally:
        over.set()
        sender.join()
        broadcast.close()
