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
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
from live import FPS, MEASURE, WARM_UP, call_ms, one_face
from made_clips import write_clip
from PIL import Image

ROOT = Path(__file__).parents[1]
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
        np.save(pictures, np.stack(one_face(sample)))
        videos = {f"{w}x{h}": video_of(sample, folder / f"{h}.mp4", w, h, options.seconds) for w, h in SIZES}
        runtimes = {
            "torch": ([], ["1"], {}),  # one thread, as vidfer live takes on two cores
            "onnx": (
                ["networks.runtime=onnx", f"networks.folder={networks}"],
                [],
                {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests/fixtures/no_torch"), str(ROOT)])},
            ),
        }
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print("runtime | package MB | first answer s (CPU) | stream frames/s, p50, p95 ms, CPU ms/frame", end="")
        print("".join(f" | process {size}: frames/s (CPU ms/frame)" for size in videos))
        for runtime, (settings, threads, env) in runtimes.items():
            package = {"torch": "torch", "onnx": "onnxruntime"}[runtime]
            _, start, start_cpu = timed([sys.executable, "-c", START, str(pictures), *settings], env)
            stream = [runtime, str(pictures), *map(str, (1, options.frames, WARM_UP, FPS)), *threads, *settings]
            out, _, _ = timed([sys.executable, "-c", MEASURE, *stream], env)
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
            times = " to ".join(f"{call_ms(partial(network, seen[:1])):.2f}" for network in (exact, other))
            print(
                f"{name} | {other.about['precision']} | {len(seen)} | {sizes} | {times} | {loss(exact, other, seen)[0]}"
            )


VIDFER = [sys.executable, "-m", "vidfer"]
SIZES = ((640, 480), (1280, 720))


def timed(command: list[str], env: dict[str, str]) -> tuple[str, float, float]:
    """Run a command; return what it prints, its time on the clock and its processor time with its children's, s."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, time.perf_counter() - began, used


def video_of(sample: Path, path: Path, width: int, height: int, seconds: int) -> Path:
    """Write a video of that person at a size."""
    frames = [np.asarray(Image.fromarray(frame).resize((width, height))) for frame in one_face(sample)]
    return write_clip(path, (frames[number % len(frames)] for number in range(seconds * FPS)), rate=FPS)


def installed_mb(package: str) -> float:
    """Return the size of an installed package without those that it needs, MB."""
    files = metadata.files(package) or []
    return sum(os.path.getsize(path) for file in files if os.path.isfile(path := file.locate())) / 1e6


if __name__ == "__main__":
    main()
