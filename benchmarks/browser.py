"""The page of ``vidfer export web``: pictures a second from a camera of 640x480, by threads, in float32 and in 8 bits.

    python benchmarks/browser.py --runtime onnxruntime-web-1.30.0.tgz [--frames 120] [--compare CLIP ...]

With ``--compare`` instead: how far its numbers are from Python's on the same pixels, over the first pictures of clips.

A file plays the camera, 30 pictures a second, so more are not seen. Chromium, without a window; threads need the two
headers that this script's server sends.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import av
import numpy as np
from live import FPS, HEIGHT, WIDTH, four_faces, one_face
from PIL import Image
from playwright import sync_api

from vidfer.labels import EMOTIONS
from vidfer.pipeline.pipeline import Pipeline
from vidfer.video.sample_clip import write_sample

WARM_UP = 20  # pictures
_COUNT = """() => {
  window.cost = [];
  document.addEventListener("vidfer:frame", ({ detail: { faces, milliseconds } }) =>
    cost.push([performance.now() / 1000, milliseconds, faces.length]));
}"""

_KEEP = """(count) => {
  window.kept = [];
  document.addEventListener("vidfer:frame", ({ detail: { seconds, faces, picture } }) => {
    kept.push({ seconds, faces, picture: picture.toDataURL("image/png").split(",")[1] });
    if (kept.length === count) document.getElementById("stop").click();
  });
}"""


class Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", required=True, help="as for vidfer export web")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--compare", nargs="+", default=[], metavar="CLIP")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.compare:
            export(folder / "page", options.runtime)
            for clip in options.compare:
                compare(folder / "page", clip, options.frames)
            return
        write_sample(folder / "sample.mp4")
        for file, images in (("1", one_face(folder / "sample.mp4")), ("4", four_faces(folder / "sample.mp4"))):
            write_camera(folder / f"{file}.y4m", images)
        print(f"{WIDTH}x{HEIGHT}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print("networks | folder MB | faces | threads | pictures/s | ms a picture: least, p50, p95")
        for precision, more in (("float32", []), ("8 bits", ["--int8"])):
            out = folder / precision
            export(out, options.runtime, *more)
            size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e6
            for faces in (1, 4):
                for threads in (1, 2):
                    measured = measure(out, folder / f"{faces}.y4m", faces, threads, options.frames)
                    print(f"{precision} | {size:.0f} | {faces} | {threads} | {measured}", flush=True)


def write_camera(path: Path, images: list[np.ndarray]) -> None:
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            file.write(b"FRAME\n" + frame.reformat(format="yuv420p").to_ndarray().tobytes())


def export(folder: Path, runtime: str, *more: str) -> None:
    command = ["export", "web", "--quiet", "--out", folder, "--runtime", runtime, *more]
    subprocess.run([sys.executable, "-m", "vidfer.cli", *command], check=True)


@contextmanager
def opened(folder: Path, threads: int, camera: Path | None = None) -> Iterator[Any]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
    ]
    arguments += [f"--use-file-for-fake-video-capture={camera}"] if camera else []
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        page = browser.new_context(permissions=["camera"]).new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/?threads={threads}")
        while page.text_content("#said") != "Ready.":
            time.sleep(0.1)
        yield page
        browser.close()
    server.shutdown()


def measure(folder: Path, camera: Path, faces: int, threads: int, count: int) -> str:
    with opened(folder, threads, camera) as page:
        page.evaluate(_COUNT)
        page.click("#camera")
        while page.evaluate("cost.length") < count + WARM_UP:
            time.sleep(0.5)
        seconds, cost, found = np.array(page.evaluate("cost"))[WARM_UP:].T
    assert np.median(found) == faces, f"expected {faces} faces in most pictures, got {found}"
    least, middle, late = cost.min(), *np.percentile(cost, (50, 95))
    rate = (len(seconds) - 1) / (seconds[-1] - seconds[0])
    return f"{rate:.1f} | {least:.0f}, {middle:.0f}, {late:.0f}"


def compare(folder: Path, clip: str, count: int) -> None:
    with opened(folder, 1) as page:
        page.evaluate(_KEEP, count)
        page.set_input_files("#file", clip)
        while page.text_content("#said").startswith(("Ready", "Looking")):
            time.sleep(0.1)
        kept = page.evaluate("kept")
    for runtime, settings in (
        ("ONNX Runtime", ["networks.runtime=onnx", f"networks.folder={folder / 'networks'}"]),
        ("PyTorch", []),
    ):
        faces = labels = others = 0
        most = aside = 0.0
        with Pipeline("live", settings=settings).stream() as stream:
            for one in kept:
                picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(one["picture"]))).convert("RGB"))
                expected = sorted(stream.push(picture, one["seconds"]), key=lambda face: face.face_id)
                others += [face["faceId"] for face in one["faces"]] != [face.face_id for face in expected]
                for ours, theirs in zip(one["faces"], expected, strict=False):
                    apart = np.array(ours["probabilities"]) - [theirs.probabilities[name] for name in EMOTIONS]
                    most = max(most, float(np.abs(apart).max()))
                    aside = max(aside, float(np.abs(np.array(ours["box"]) - theirs.xyxy).max()))
                    labels += EMOTIONS[int(np.argmax(ours["probabilities"]))] != theirs.emotion
                    faces += 1
        print(
            f"{Path(clip).name}, {runtime}: {faces} faces in {len(kept)} pictures, {others} with others; "
            f"{labels} other labels; probabilities within {most:.6f}, boxes within {aside:.3f} px",
            flush=True,
        )


if __name__ == "__main__":
    main()
