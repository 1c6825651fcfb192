"""Live: time per frame at 640x480 with one and four faces, start to the first answer, growth; beside MediaPipe.

    python benchmarks/live.py [--frames 600] [--long 0] [--mediapipe face_landmarker.task --mediapipe-python PYTHON]

Faces are those of vidfer's own sample, moving. Every row of the table is a process of its own that sees the same frames
in one run of this script; processor time is given beside the time on the clock, which other work on the machine
lengthens. MediaPipe's FaceLandmarker (478 points, 52 blendshapes, no expression) may need another environment than
vidfer: give the Python of one (python -m venv DIR && DIR/bin/pip install mediapipe).
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
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import torch

from vidfer.backbones.load import load_backbone
from vidfer.config import load_pipeline
from vidfer.export.networks import exportable_networks
from vidfer.faces.detectors import DETECTORS
from vidfer.faces.landmarks import LANDMARKERS
from vidfer.pipeline.pipeline import Pipeline
from vidfer.video.sample_clip import write_sample

WIDTH, HEIGHT, FPS = 640, 480, 30
WARM_UP = 30  # frames

# Of a process: what looks (torch, onnx, mediapipe), the frames, how many, and what that needs. Prints a row's numbers.
MEASURE = """
import json, sys, time
import numpy as np
kind, path, expected, count, warm_up, fps, *more = sys.argv[1:]
frames, expected, count, warm_up, fps = np.load(path), *map(int, (expected, count, warm_up, fps))
if kind == "mediapipe":
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision
    landmarker = vision.FaceLandmarker.create_from_options(vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=more[0]), running_mode=vision.RunningMode.VIDEO,
        num_faces=expected, output_face_blendshapes=True))
    def look(image, seconds):
        picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=image)
        return len(landmarker.detect_for_video(picture, round(1000 * seconds)).face_landmarks)
else:
    from vidfer.pipeline.pipeline import Pipeline
    if kind == "torch":
        import torch
        torch.set_num_threads(int(more.pop(0)))
    stream = Pipeline("live", device="cpu", settings=more).stream()
    def look(image, seconds):
        return len(stream.push(image, seconds))
latencies, seen = [], []
for number in range(warm_up + count):
    if number == warm_up:
        began, used = time.perf_counter(), time.process_time()
    at = time.perf_counter()
    seen.append(look(frames[number % len(frames)], number / fps))
    latencies.append(time.perf_counter() - at)
elapsed, cpu = time.perf_counter() - began, time.process_time() - used
if np.median(seen[warm_up:]) != expected:
    sys.exit(f"expected {expected} faces, saw {np.median(seen)}")
p50, p95 = 1000 * np.percentile(latencies[warm_up:], [50, 95])
print(json.dumps([count / elapsed, p50, p95, 1000 * cpu / count]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument(
        "--long", type=int, default=0, metavar="N", help="also push N frames and report memory and time"
    )
    parser.add_argument("--mediapipe", default="", metavar="FILE", help="face_landmarker.task")
    parser.add_argument("--mediapipe-python", default=sys.executable, metavar="PYTHON", help="that has MediaPipe")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample = folder / "sample.mp4"
        write_sample(sample)
        vidfer = [sys.executable, "-m", "vidfer"]
        subprocess.run([*vidfer, "export", "onnx", "--pipeline", "live", "--out", folder / "n", "--quiet"], check=True)
        onnx = ["networks.runtime=onnx", f"networks.folder={folder / 'n'}"]
        scenes = {1: one_face(sample), 4: four_faces(sample)}
        for count, frames in scenes.items():
            np.save(folder / f"{count}.npy", np.stack(frames))
        print(f"{WIDTH}x{HEIGHT}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        for runtime, settings in (("PyTorch", []), ("ONNX Runtime", onnx)):
            print(f"start to first answer, {runtime}: {first_answer_seconds(sample, settings):.2f} s", flush=True)
        print("variant | faces | frames/s | latency p50 ms | p95 ms | processor ms/frame")
        rows = [
            ("PyTorch, 1 thread", sys.executable, ["torch", "1"]),
            ("PyTorch, 2 threads", sys.executable, ["torch", "2"]),
            ("ONNX Runtime", sys.executable, ["onnx", *onnx]),
            ("ONNX Runtime, people linked", sys.executable, ["onnx", *onnx, "people.link=true"]),
        ]
        if options.mediapipe:
            model = str(Path(options.mediapipe).absolute())
            rows.append(("MediaPipe FaceLandmarker", options.mediapipe_python, ["mediapipe", model]))
        for count in scenes:
            for variant, python, (kind, *more) in rows:
                numbers = [str(folder / f"{count}.npy"), *map(str, (count, options.frames, WARM_UP, FPS)), *more]
                print(f"{variant} | {count} | {row_of(python, kind, numbers)}", flush=True)
        networks()
        if options.long:
            torch.set_num_threads(1)
            growth(scenes[1], options.long)


def row_of(python: str, kind: str, arguments: list[str]) -> str:
    """Return what a process measures, or why it cannot."""
    done = subprocess.run([python, "-c", MEASURE, kind, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it failed"])[-1]
    return " | ".join(f"{value:.1f}" for value in json.loads(done.stdout.splitlines()[-1]))


def one_face(sample: Path) -> list[np.ndarray]:
    """Return frames of one person, forwards and backwards, so that they can be repeated."""
    with av.open(str(sample)) as video:
        shown = [frame.reformat(width=480, height=480, format="rgb24").to_ndarray() for frame in video.decode(video=0)]
    frames = [np.pad(image, ((0, 0), (80, 80), (0, 0))) for image in shown[:50]]
    return [*frames, *frames[::-1]]


def four_faces(sample: Path) -> list[np.ndarray]:
    return [np.tile(image[::2, ::2], (2, 2, 1)) for image in one_face(sample)]


def first_answer_seconds(sample: Path, settings: Sequence[str]) -> float:
    """Return the time from starting the command to its first line with a face."""
    began = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "vidfer",
        "live",
        str(sample),
        *(part for one in settings for part in ("--set", one)),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        while not json.loads(process.stdout.readline())["faces"]:
            pass
        elapsed = time.perf_counter() - began
        process.kill()
    return elapsed


def networks() -> None:
    """Print what one call of each network costs for one face, in PyTorch as vidfer runs it and in ONNX Runtime."""
    try:
        import onnxruntime

        from vidfer.export.onnx import write_onnx
    except ImportError as error:
        print(f"no ONNX Runtime: {error}")
        return
    torch.set_num_threads(1)
    one = onnxruntime.SessionOptions()
    one.intra_op_num_threads = 1
    print("network | MB | PyTorch ms | ONNX Runtime ms (one face, one thread, processor time, least of 5 x 20 calls)")
    image = torch.zeros(1, 240, 320, 3, dtype=torch.uint8)
    box, row = np.array([[80, 40, 200, 180]], np.float32), np.zeros(1, np.int64)
    detector, landmarker = DETECTORS.get("embedded")(), LANDMARKERS.get("embedded")()
    backbone = load_backbone("compact").packed()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for network in exportable_networks(load_pipeline("live")):
            path = write_onnx(network, Path(folder))
            session = onnxruntime.InferenceSession(str(path), one, providers=["CPUExecutionProvider"])
            given = {name: tensor.numpy() for name, tensor in network.inputs.items()}
            in_torch = {
                "detector": lambda: detector.detect(image),
                "landmarks": lambda: landmarker.locate(image, row, box),
                "expressions": lambda: backbone.embed(
                    torch.zeros(1, 1, backbone.input_spec.size, backbone.input_spec.size)
                ),
            }.get(network.name, lambda network=network: network.module(*network.inputs.values()))
            in_onnx = call_ms(lambda session=session, given=given: session.run(None, given))
            print(
                f"{network.name} | {path.stat().st_size / 1e6:.1f} | {call_ms(in_torch):.2f} | {in_onnx:.2f}",
                flush=True,
            )


def call_ms(work: Callable[[], object]) -> float:
    """Return the least processor time of a call, over five rounds."""
    rounds = []
    for _ in range(6):
        used = time.process_time()
        for _ in range(20):
            work()
        rounds.append(1000 * (time.process_time() - used) / 20)
    return min(rounds[1:])


def growth(frames: list[np.ndarray], count: int) -> None:
    """Push many frames, and print memory and processor time for each tenth of them.

    Every ten seconds the person goes for a second and a half, and comes back as somebody new.
    """
    print("frames | people so far | resident MB | processor ms/frame")
    nobody, people = np.full_like(frames[0], 90), set[int]()
    memory, cost = [], []
    with Pipeline("live", device="cpu").stream() as stream:
        for tenth in range(10):
            used = time.process_time()
            for number in range(tenth * (count // 10), (tenth + 1) * (count // 10)):
                image = nobody if number % (10 * FPS) < 1.5 * FPS else frames[number % len(frames)]
                people |= {face.face_id for face in stream.push(image, number / FPS)}
            cost.append(1000 * (time.process_time() - used) / (count // 10))
            memory.append(resident_mb())
            print(f"{(tenth + 1) * (count // 10)} | {len(people)} | {memory[-1]:.0f} | {cost[-1]:.1f}", flush=True)
    slower = np.median(cost[5:]) / np.median(cost[:5]) - 1
    print(f"from the second tenth to the last: {memory[-1] - memory[1]:+.1f} MB; second half {slower:+.1%} a frame")


def resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
