"""The page of ``vidfer export web``: pictures a second from a camera of 640x480, by threads, in float32 and in 8 bits.

    python benchmarks/browser.py --runtime onnxruntime-web-1.30.0.tgz [--frames 120]

A file plays the camera, 30 pictures a second, so more are not seen. Chromium, without a window; threads need the two
headers that this script's server sends.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import numpy as np
from live import FPS, HEIGHT, WIDTH, four_faces, one_face
from playwright import sync_api

from vidfer.video.sample_clip import write_sample

WARM_UP = 20  # pictures
_COUNT = """() => {
  window.cost = [];
  document.addEventListener("vidfer:frame", ({ detail: { faces, milliseconds } }) =>
    cost.push([performance.now() / 1000, milliseconds, faces.length]));
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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder / "sample.mp4")
        for file, images in (("1", one_face(folder / "sample.mp4")), ("4", four_faces(folder / "sample.mp4"))):
            write_camera(folder / f"{file}.y4m", images)
        print(f"{WIDTH}x{HEIGHT}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print("networks | folder MB | faces | threads | pictures/s | ms a picture: least, p50, p95")
        for precision, more in (("float32", []), ("8 bits", ["--int8"])):
            out = folder / precision
            command = ["export", "web", "--quiet", "--out", out, "--runtime", options.runtime, *more]
            subprocess.run([sys.executable, "-m", "vidfer.cli", *command], check=True)
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


def measure(folder: Path, camera: Path, faces: int, threads: int, count: int) -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
    ]
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*arguments, f"--use-file-for-fake-video-capture={camera}"]
        )
        page = browser.new_context(permissions=["camera"]).new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/?threads={threads}")
        while page.text_content("#said") != "Ready.":
            time.sleep(0.1)
        page.evaluate(_COUNT)
        page.click("#camera")
        while page.evaluate("cost.length") < count + WARM_UP:
            time.sleep(0.5)
        seconds, cost, found = np.array(page.evaluate("cost"))[WARM_UP:].T
        browser.close()
    server.shutdown()
    assert np.median(found) == faces, f"expected {faces} faces in most pictures, got {found}"
    least, middle, late = cost.min(), *np.percentile(cost, (50, 95))
    rate = (len(seconds) - 1) / (seconds[-1] - seconds[0])
    return f"{rate:.1f} | {least:.0f}, {middle:.0f}, {late:.0f}"


if __name__ == "__main__":
    main()
