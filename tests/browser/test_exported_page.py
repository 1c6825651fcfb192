"""The folder of ``vidfer export web`` in a real browser: a file as camera, a dropped video, and Python's numbers."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import av
import numpy as np
import pytest
from fixtures.commands import TIMEOUT_SECONDS, read_csv, vidfer
from PIL import Image

from vidfer.errors import ConfigError
from vidfer.exporters.table import COLUMNS
from vidfer.labels import EMOTIONS
from vidfer.pipeline.pipeline import Pipeline

pytest.importorskip("onnxruntime", reason="the extra vidfer[onnx] is not installed")
pytest.importorskip("onnx", reason="the extra vidfer[onnx] is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = Path("/usr/bin/chromium")
CAMERA_FRAMES = 20
# Keeps what the page saw and said, and whose numbers stand beside the chart.
_LISTEN = """() => {
  window.kept = [];
  document.addEventListener("vidfer:frame", ({ detail: { seconds, faces, picture } }) => kept.push({
    seconds, faces, picture: picture.toDataURL("image/png").split(",")[1],
    shown: [...document.querySelectorAll("#people [aria-pressed=true]")].map((button) => Number(button.value)),
    numbers: [...document.querySelectorAll("#legend b")].map((number) => number.textContent),
  }));
}"""
# A camera that stops giving pictures, and one that is unplugged.
_KEEP_CAMERA = """() => {
  const devices = navigator.mediaDevices, get = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (wanted) => (window.camera = await get(wanted));
}"""
_STALL = "() => { HTMLVideoElement.prototype.requestVideoFrameCallback = () => 0; }"
_UNPLUG = "() => camera.getTracks().forEach((track) => track.dispatchEvent(new Event('ended')))"
_DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)), transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  const how = { dataTransfer: transfer, bubbles: true, cancelable: true };
  for (const kind of ["dragover", "drop"]) document.getElementById("stage").dispatchEvent(new DragEvent(kind, how));
}"""
# Whether anything can be sent: to the page's own folder, and elsewhere.
_SEND = """async ([own, elsewhere]) => {
  const socket = new WebSocket(elsewhere.replace("http", "ws"));
  const tried = [
    fetch(own), fetch(own, { method: "POST", body: "a face" }), fetch(elsewhere, { method: "POST", mode: "no-cors" }),
    new Promise((open, error) => Object.assign(socket, { onopen: open, onerror: error })),
  ];
  return Promise.all(tried.map((one) => one.then(() => "sent", () => "refused")));
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes."""
    from vidfer.export.browser import _packed

    if not CHROMIUM.is_file():
        pytest.skip(f"no browser: {CHROMIUM} is absent (apt-get install chromium)")
    try:
        package = _packed(tmp_path_factory.mktemp("npm"))
    except ConfigError as error:
        pytest.skip(f"onnxruntime-web cannot be had here: {error}")
    out = tmp_path_factory.mktemp("exported") / "page"
    done = vidfer("export", "web", "--out", out, "--runtime", package)
    assert done.returncode == 0, done.stderr
    return out


@dataclass
class Served:
    """A folder on a port of this machine, and what was asked of it."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def served(folder: Path, *, isolated: bool = False) -> Iterator[Served]:
    """Serve a folder as any plain server does; ``isolated`` adds the headers that threads need."""
    found = Served("")

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            if isolated:
                self.send_header("Cross-Origin-Opener-Policy", "same-origin")
                self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            super().end_headers()

        def log_request(self, *_: object) -> None:
            found.asked.append(self.requestline)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def opened(url: str, camera: Path | None = None, *, query: str = "") -> Iterator[tuple[Any, list[str], list[str]]]:
    """Open the page; give it, what went wrong in it, and where the browser asked for anything."""
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
    ]
    arguments += [f"--use-file-for-fake-video-capture={camera}"] if camera else []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        context = browser.new_context(permissions=["camera"], accept_downloads=True)
        problems: list[str] = []
        asked: list[str] = []
        context.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
        page = context.new_page()
        page.set_default_timeout(1000 * TIMEOUT_SECONDS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(url + query)
        wait_until(lambda: said(page) == "Ready.", page)
        page.evaluate(_LISTEN)
        yield page, problems, asked
        browser.close()


def said(page: Any) -> str:
    return str(page.text_content("#said"))


def wait_until(done: Callable[[], bool], page: Any) -> None:
    began = time.monotonic()
    while not done():  # the page forbids what playwright's own waiting does
        assert not said(page).startswith("This"), said(page)
        assert time.monotonic() - began < TIMEOUT_SECONDS, said(page)
        time.sleep(0.05)


def two_faces(sample: Path) -> list[np.ndarray]:
    """Return pictures (270, 480, 3) uint8 of two people side by side, half a second apart."""
    with av.open(str(sample)) as container:
        images = [frame.to_ndarray(format="rgb24")[45:315, 60:300] for frame in container.decode(video=0)]
    return [np.concatenate([images[i], images[(i + 12) % 75][:, ::-1]], 1) for i in range(75)]


def write_camera(path: Path, images: list[np.ndarray]) -> Path:
    """Write pictures in the format that Chromium takes for a camera's, 25 a second."""
    with path.open("wb") as file:
        height, width = images[0].shape[:2]
        file.write(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n".encode())
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            file.write(b"FRAME\n")
            for plane in frame.planes:
                rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)  # type: ignore[call-overload]
                file.write(rows[:, : plane.width].tobytes())
    return path


def check_against_python(kept: list[dict[str, Any]], folder: Path) -> int:
    """Compare what the page said of each picture with a stream over the same pixels; return how many faces that was."""
    settings = ["networks.runtime=onnx", f"networks.folder={folder / 'networks'}"]
    count, most = 0, 0.0
    with Pipeline("live", settings=settings).stream() as stream:
        for one in kept:
            picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(one["picture"]))).convert("RGB"))
            expected = sorted(stream.push(picture, one["seconds"]), key=lambda face: face.face_id)
            assert [face["faceId"] for face in one["faces"]] == [face.face_id for face in expected]
            for ours, theirs in zip(one["faces"], expected, strict=True):
                expected_of = np.array([theirs.probabilities[name] for name in EMOTIONS])
                most = max(most, np.abs(np.array(ours["probabilities"]) - expected_of).max())
                assert np.abs(np.array(ours["box"]) - theirs.xyxy).max() < 0.5
                assert np.abs(np.array(ours["pose"]) - theirs.pose).max() < 0.5
                assert ours["quality"] == pytest.approx(theirs.quality, abs=0.01)
                assert ours["confidence"] == pytest.approx(theirs.confidence, abs=0.01)
                count += 1
    assert most < 0.02
    return count


def check_who_is_shown(kept: list[dict[str, Any]]) -> list[int]:
    """Check whose numbers stood beside each picture; return who was shown, in turn."""
    seen, turn = {}, []
    for one in kept:
        there = {face["faceId"]: face["probabilities"] for face in one["faces"]}
        seen |= dict.fromkeys(there, one["seconds"])
        if not seen:
            assert one["shown"] == []
            continue
        (shown,) = one["shown"]
        missed = one["seconds"] - seen[shown]
        assert missed < 1 or not there, "somebody else is there, and is not shown"
        # Halves are rounded up in JavaScript, and to even here.
        numbers = [f"{int(100 * value + 0.5)} %" for value in there[shown]] if shown in there else ["–"] * len(EMOTIONS)
        assert one["numbers"] == numbers
        turn += [shown] if turn[-1:] != [shown] else []
    return turn


def test_a_camera_gives_the_probabilities_of_python(folder: Path, sample_video: Path, tmp_path: Path) -> None:
    camera = write_camera(tmp_path / "camera.y4m", two_faces(sample_video))
    with served(folder) as server, opened(server.url, camera) as (page, problems, asked):
        assert "Article 50(3)" in page.inner_text("#notice")
        assert "Article 5(1)(f)" in page.inner_text("#notice")
        before = len(server.asked)
        page.focus("#camera")
        page.keyboard.press("Enter")
        wait_until(lambda: page.evaluate("kept.length") >= CAMERA_FRAMES, page)
        page.keyboard.press("Enter")  # the keyboard is where it can stop again
        wait_until(lambda: said(page) == "Stopped.", page)
        assert page.evaluate("document.activeElement.id") == "camera"
        kept = page.evaluate("kept")
        assert check_against_python(kept, folder) > CAMERA_FRAMES
        assert check_who_is_shown(kept) == [0]
        assert {face["faceId"] for one in kept for face in one["faces"]} == {0, 1}
        assert [button.text_content() for button in page.locator("#people button").all()] == ["face 0", "face 1"]
        with page.expect_download() as download:
            page.click("#save")
        check_table(Path(download.value.path()), kept)
        page.evaluate(_KEEP_CAMERA)
        page.click("#camera")
        wait_until(lambda: said(page) == "Looking at the camera.", page)
        page.evaluate(_STALL)
        wait_until(lambda: said(page) == "The camera gives no pictures.", page)
        page.evaluate(_UNPLUG)
        wait_until(lambda: said(page) == "The camera was taken away.", page)
        assert page.is_enabled("#camera")
        assert len(server.asked) == before, "nothing is asked of the server once the networks are there"
        assert not [one for one in asked if not one.startswith((f"GET {server.url}", "GET blob:", "GET data:"))]
        assert problems == []


def check_table(path: Path, kept: list[dict[str, Any]]) -> None:
    rows = read_csv(path)
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == sum(max(1, len(one["faces"])) for one in kept)
    assert sorted({int(row["frame"]) for row in rows}) == list(range(1, len(kept) + 1))
    faces = [face for one in kept for face in one["faces"]]
    seen = [row for row in rows if row["success"] == "1"]
    assert {(row["face_id"], row["emotion"]) for row in rows if row["success"] == "0"} <= {("-1", "")}
    for row, face in zip(seen, faces, strict=True):
        assert [float(row[name]) for name in EMOTIONS] == pytest.approx(face["probabilities"], abs=1e-5)
        assert row["emotion"] == EMOTIONS[int(np.argmax(face["probabilities"]))]
        assert float(row["width"]) == pytest.approx(face["box"][2] - face["box"][0], abs=0.01)


def test_nothing_can_be_sent_by_the_page_or_its_worker(folder: Path) -> None:
    with served(folder) as server, served(folder) as elsewhere, opened(server.url) as (page, _, _):
        asked = list(server.asked)
        assert {one.split()[0] for one in asked} == {"GET"}
        targets = [f"{server.url}page.css", elsewhere.url]
        (worker,) = page.workers
        for place in (page, worker):
            assert place.evaluate(_SEND, targets) == ["refused"] * 4
        assert server.asked == asked
        assert elsewhere.asked == []


def test_a_dropped_video_is_looked_at_in_steps_of_a_tenth_of_a_second(
    folder: Path, sample_video: Path, tmp_path: Path
) -> None:
    images, nobody = two_faces(sample_video), np.full((270, 480, 3), 90, np.uint8)
    for image in images[25:]:  # who was there first goes
        image[:, :240] = 90
    images += [nobody] * 25
    with av.open(str(tmp_path / "two.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = images[0].shape[:2]
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode(None))

    def drop(page: Any, name: str, data: bytes, until: str) -> None:
        page.evaluate(_DROP, [name, base64.b64encode(data).decode()])
        began = time.monotonic()
        while not said(page).startswith(until):
            assert time.monotonic() - began < TIMEOUT_SECONDS, said(page)
            time.sleep(0.05)

    with served(folder, isolated=True) as server, opened(server.url, query="?threads=2") as (page, problems, _):
        assert page.evaluate("document.body.dataset.threads") == "2"
        drop(page, "none.mp4", b"nothing" * 99, "This did not work: this browser cannot read none.mp4.")
        drop(page, "two.mp4", (tmp_path / "two.mp4").read_bytes(), "two.mp4: all 4.0 s were looked at.")
        kept = page.evaluate("kept")
        assert [one["seconds"] for one in kept] == pytest.approx(np.arange(40) / 10)
        assert check_against_python(kept, folder) > 30
        turn = check_who_is_shown(kept)
        assert len(turn) > 1
        assert turn == sorted(turn)
        assert [len(one["faces"]) for one in kept[-9:]] == [0] * 9
        with page.expect_download() as download:
            page.click("#save")
        assert download.value.suggested_filename == "two-timeline.csv"
        check_table(Path(download.value.path()), kept)
        assert problems == []
