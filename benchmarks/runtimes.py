"""PyTorch and ONNX Runtime side by side: what is installed, the start, frames a second of ``process`` and of a stream.

    python benchmarks/runtimes.py [--frames 300] [--seconds 8]
    python benchmarks/runtimes.py --int8 CLIP [CLIP ...]

The second gives what 8 bits lose on the faces of these clips, calibrated on vidfer's sample.

Every figure is of a process of its own; those of ONNX Runtime have torch kept away. Processor time is given beside the
time on the clock, which other work on the machine lengthens. Sizes are those of the installed packages.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import av
import numpy as np

ROOT = Path(__file__).parents[1]
WARM_UP = 30  # frames
FPS = 30

STREAM = """
import json, sys, time
import numpy as np
from vidfer.pipeline.pipeline import Pipeline
frames, count, warm_up, fps = np.load(sys.argv[1], mmap_mode="r"), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
if "networks.runtime=onnx" not in sys.argv:
    import torch
    torch.set_num_threads(1)  # as vidfer live does on two cores
latencies = []
with Pipeline("live", device="cpu", settings=sys.argv[5:]).stream() as stream:
    for number in range(warm_up + count):
        if number == warm_up:
            began, used = time.perf_counter(), time.process_time()
        at = time.perf_counter()
        stream.push(np.ascontiguousarray(frames[number % len(frames)]), number / fps)
        latencies.append(time.perf_counter() - at)
elapsed, cpu = time.perf_counter() - began, time.process_time() - used
print(json.dumps([count / elapsed, *(1000 * np.percentile(latencies[warm_up:], [50, 95])), 1000 * cpu / count]))
"""
START = """
import sys
import numpy as np
from vidfer.pipeline.pipeline import Pipeline
with Pipeline("live", device="cpu", settings=sys.argv[2:]).stream() as stream:
    stream.push(np.load(sys.argv[1], mmap_mode="r")[0].copy(), 0.0)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300, help="of the stream")
    parser.add_argument("--seconds", type=int, default=8, help="of each video")
    parser.add_argument("--int8", nargs="+", default=[], metavar="CLIP")
    options = parser.parse_args()
    if options.int8:
        eight_bits([Path(clip) for clip in options.int8])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        networks = folder / "networks"
        subprocess.run([*VIDFER, "export", "onnx", "--out", str(networks), "--quiet"], check=True)
        from vidfer.video.sample_clip import write_sample

        sample = folder / "sample.mp4"
        write_sample(sample)
        pictures = folder / "pictures.npy"
        np.save(pictures, one_face(sample))
        videos = {f"{w}x{h}": video_of(sample, folder / f"{h}.mp4", w, h, options.seconds) for w, h in SIZES}
        runtimes = {
            "torch": ([], {}),
            "onnx": (
                ["networks.runtime=onnx", f"networks.folder={networks}"],
                {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests/fixtures/no_torch"), str(ROOT)])},
            ),
        }
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print("runtime | package MB | first answer s (CPU) | stream frames/s, p50, p95 ms, CPU ms/frame", end="")
        print("".join(f" | process {size}: frames/s (CPU ms/frame)" for size in videos))
        for runtime, (settings, env) in runtimes.items():
            package = {"torch": "torch", "onnx": "onnxruntime"}[runtime]
            _, start, start_cpu = timed([sys.executable, "-c", START, str(pictures), *settings], env)
            numbers = [str(options.frames), str(WARM_UP), str(FPS)]
            out, _, _ = timed([sys.executable, "-c", STREAM, str(pictures), *numbers, *settings], env)
            fps, p50, p95, cpu = json.loads(out)
            row = f"{runtime} | {installed_mb(package):.0f} | {start:.1f} ({start_cpu:.1f}) | "
            row += f"{fps:.0f}, {p50:.1f}, {p95:.1f}, {cpu:.1f}"
            for size, video in videos.items():
                given = [part for setting in settings for part in ("--set", setting)]
                command = [*VIDFER, "process", str(video), "--out", str(folder / f"{runtime}{size}"), *given]
                _, elapsed, used = timed([*command, "--quiet", "--export", "csv"], env)
                count = options.seconds * FPS
                row += f" | {count / elapsed:.0f} ({1000 * used / count:.1f})"
            print(row, flush=True)


def eight_bits(clips: list[Path]) -> None:
    """Print size, time and loss of each network that is quantised."""
    from vidfer.config import load_pipeline
    from vidfer.export.eight_bits import calibration_faces, loss
    from vidfer.pipeline.exported import ExportedNetwork

    faces = calibration_faces(load_pipeline(), clips)
    with tempfile.TemporaryDirectory() as folder:
        for name, more in (("exact", []), ("int8", ["--int8"])):
            command = [*VIDFER, "export", "onnx", "--out", str(Path(folder, name)), "--quiet", *more]
            subprocess.run(command, check=True)
        print("network | precision | faces | MB | CPU ms a face | loss")
        for name, seen in faces.items():
            files = [Path(folder, of, f"{name}.onnx") for of in ("exact", "int8")]
            exact, other = map(ExportedNetwork, files)
            sizes = " to ".join(f"{file.stat().st_size / 1e6:.1f}" for file in files)
            times = " to ".join(f"{call_ms(network, seen[:1]):.2f}" for network in (exact, other))
            print(
                f"{name} | {other.about['precision']} | {len(seen)} | {sizes} | {times} | {loss(exact, other, seen)[0]}"
            )


def call_ms(network: Callable[[np.ndarray], object], face: np.ndarray) -> float:
    """Return the least processor time of a call, over five rounds."""
    rounds = []
    for _ in range(6):
        used = time.process_time()
        for _ in range(20):
            network(face)
        rounds.append(1000 * (time.process_time() - used) / 20)
    return min(rounds[1:])


VIDFER = [sys.executable, "-m", "vidfer"]
SIZES = ((640, 480), (1280, 720))


def timed(command: list[str], env: dict[str, str]) -> tuple[str, float, float]:
    """Run a command; return what it prints, its time on the clock and its processor time with its children's, s."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, time.perf_counter() - began, used


def one_face(sample: Path) -> np.ndarray:
    """Return pictures 640x480 of one person (F, 480, 640, 3), forwards and backwards, so that they can be repeated."""
    with av.open(str(sample)) as video:
        shown = [frame.reformat(width=480, height=480, format="rgb24").to_ndarray() for frame in video.decode(video=0)]
    frames = np.pad(np.stack(shown[:50]), ((0, 0), (0, 0), (80, 80), (0, 0)))
    return np.concatenate([frames, frames[::-1]])


def video_of(sample: Path, path: Path, width: int, height: int, seconds: int) -> Path:
    """Write a video of that person at a size."""
    frames = one_face(sample)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * FPS):
            frame = av.VideoFrame.from_ndarray(frames[number % len(frames)], format="rgb24")
            container.mux(stream.encode(frame.reformat(width=width, height=height, format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def installed_mb(package: str) -> float:
    """Return the size of an installed package without those that it needs, MB."""
    files = metadata.files(package) or []
    return sum(os.path.getsize(path) for file in files if os.path.isfile(path := file.locate())) / 1e6


if __name__ == "__main__":
    main()
