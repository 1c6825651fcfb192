"""How many requests ``vidfer serve`` answers, and how long they take: a real process on loopback, plain clients.

    python benchmarks/serve.py [--clients 50] [--seconds 5] [--jobs 20]

Prints a table: requests a second, median and 95th percentile of the time to an answer, per kind of request. Clients
keep no connection. Rate and queue are set so that nothing is refused.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from vidfer.video.sample_clip import write_sample

MAX_CLIENTS, MAX_SECONDS, MAX_JOBS = 400, 60.0, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each kind of request")
    parser.add_argument("--jobs", type=int, default=20)
    options = parser.parse_args()
    clients, seconds = min(options.clients, MAX_CLIENTS), min(options.seconds, MAX_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "sample.mp4"
        write_sample(video)
        process = _serve(Path(folder) / "jobs")
        try:
            port = _port_of(process)
            picture = _picture(video)
            jobs = _Jobs(port, video.read_bytes(), min(options.jobs, MAX_JOBS))
            jobs.send()
            print(f"{clients} clients, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
            print(f"{'':28}{'a second':>10}{'p50, ms':>10}{'p95, ms':>10}{'refused':>10}")
            _row(port, "GET /health", ("GET", "/health", None), clients, seconds)
            _row(port, "GET /jobs/{id}", ("GET", f"/jobs/{jobs.ids[0]}", None), clients, seconds)
            jobs.wait()
            _row(port, "GET .../timeline.csv", ("GET", f"/jobs/{jobs.ids[0]}/timeline.csv", None), clients, seconds)
            _ask(port, "POST", "/picture", picture)  # networks are loaded with the first
            _row(port, "POST /picture, one client", ("POST", "/picture", picture), 1, seconds)
            _row(port, f"POST /picture, {clients} clients", ("POST", "/picture", picture), clients, seconds)
            print(f"{len(jobs.ids)} videos of 8 s: {jobs.seconds / len(jobs.ids):.1f} s each, one at a time")
        finally:
            process.terminate()
            process.wait()


class _Jobs:
    def __init__(self, port: int, video: bytes, count: int) -> None:
        self._port, self._video, self._count = port, video, count
        self.ids: list[str] = []
        self.seconds = 0.0

    def send(self) -> None:
        self._began = time.perf_counter()
        for _ in range(self._count):
            status, body = _ask(self._port, "POST", "/jobs", self._video)
            assert status == 202, body
            self.ids.append(json.loads(body)["id"])

    def wait(self) -> None:
        for job_id in self.ids:
            last = _ask(self._port, "GET", f"/jobs/{job_id}/events", None)[1].decode().strip().rpartition("data: ")[2]
            assert json.loads(last)["state"] == "done", last
        self.seconds = time.perf_counter() - self._began


def _serve(out: Path) -> subprocess.Popen[str]:
    settings = ("--set", "serve.requests_per_second=1e6", "--set", "serve.max_queue=1000")
    command = [sys.executable, "-m", "vidfer.cli", "serve", "--out", str(out), "--port", "0", *settings]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def _port_of(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    for line in process.stderr:
        if "page and service at" in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would hold the server up
            return int(line.strip().strip("/").rpartition(":")[2])
    raise SystemExit("the service did not start")


def _picture(video: Path) -> bytes:
    import av

    with av.open(str(video)) as opened:
        frame = next(opened.decode(video=0)).to_ndarray(format="rgb24")
    data = io.BytesIO()
    Image.fromarray(frame).save(data, "JPEG")
    return data.getvalue()


def _ask(port: int, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=600)) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def _row(port: int, name: str, request: tuple[str, str, bytes | None], clients: int, seconds: float) -> None:
    times: list[float] = []
    refused = [0]
    began = time.perf_counter()

    def client() -> None:
        while time.perf_counter() - began < seconds:
            asked = time.perf_counter()
            status, body = _ask(port, *request)
            if status == 503:
                refused[0] += 1
                continue
            assert status == 200, body
            times.append(time.perf_counter() - asked)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    p50, p95 = 1000 * np.percentile(times, [50, 95])
    print(f"{name:28}{len(times) / took:10.0f}{p50:10.0f}{p95:10.0f}{refused[0]:10}", flush=True)


if __name__ == "__main__":
    main()
