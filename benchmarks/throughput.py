"""How fast the whole of `vidfer process` is, as ratios to decoding alone in the same run.

    python benchmarks/throughput.py [VIDEO ...] [--seconds N]

Without VIDEO two clips with one real face are made: 512x512 at 25 frames/s and 1280x720 at 30. Every frame is
processed with the embedded defaults; start-up (workers, imports, networks) is left out: the clock runs from the first
chunk of frames to the last. Then the same work on one thread, step by step, says what the time goes to.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_clips import write_clip

from vidfer.api import process
from vidfer.config import load_pipeline
from vidfer.engine.events import Event, FramesDone
from vidfer.pipeline.chunk import CHUNK_FRAMES, FrameChunk
from vidfer.pipeline.embeddings import EmbeddingsStage
from vidfer.pipeline.faces import FacesStage
from vidfer.video.prefetch import prefetch
from vidfer.video.probe import probe
from vidfer.video.reader import open_reader

TABLES_ONLY = "output.exports=['csv','parquet','segments','summary']"


def make_clip(path: Path, *, width: int, height: int, fps: int, seconds: float) -> Path:
    """Write a camera that circles over the portrait that scikit-image ships: one face of about half the height."""
    from skimage import data
    from skimage.transform import resize

    portrait = (resize(data.astronaut(), (height * 5 // 4, width * 5 // 4), anti_aliasing=True) * 255).astype(np.uint8)
    angles = np.arange(round(seconds * fps)) / fps
    x = np.round(width / 16 * (1 + np.cos(angles))).astype(int)
    y = np.round(height / 16 * (1 + np.sin(1.3 * angles))).astype(int)
    pictures = (portrait[top : top + height, left : left + width] for top, left in zip(y, x, strict=True))
    return write_clip(path, pictures, rate=fps, crf="23", preset="veryfast")


def decode_rate(path: Path) -> float:
    """Return frames/s of decoding alone, as the engine reads: in batches, a thread ahead."""
    video = probe(path)
    reader = open_reader(video)
    started = time.perf_counter()
    for batch in prefetch(reader.read(np.arange(video.num_frames), batch_size=CHUNK_FRAMES)):
        del batch
    return video.num_frames / (time.perf_counter() - started)


def process_rate(paths: list[Path], *, jobs: int) -> float:
    """Return frames/s of the whole command over the clips, from the first chunk to the last."""
    marks: list[tuple[float, int]] = []

    def note(event: Event) -> None:
        if isinstance(event, FramesDone):
            marks.append((time.perf_counter(), max(event.computed.values())))

    with tempfile.TemporaryDirectory() as out:
        report = process([str(p) for p in paths], out, settings=[f"run.jobs={jobs}", TABLES_ONLY], on_event=note)
    assert not report.failed, report.failed
    warm = jobs  # each worker's first chunk carries its start-up
    return sum(frames for _, frames in marks[warm:]) / (marks[-1][0] - marks[warm - 1][0])


def steps(path: Path, *, chunks: int) -> list[tuple[str, float]]:
    """Return the steps of the frame stages and their milliseconds per frame on one thread."""
    config = load_pipeline()
    faces, embeddings = FacesStage(config.faces, device="cpu"), EmbeddingsStage(config.backbone, device="cpu")
    spent: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - started

        return run

    batches = open_reader(probe(path)).read(np.arange(probe(path).num_frames), batch_size=CHUNK_FRAMES)
    frames = 0
    for number in range(chunks + 1):
        batch = timed("decode", next)(batches, None)
        if batch is None:
            break
        if number == 1:  # the first chunk loads the networks
            spent.clear()
            frames = 0
            detector, landmarker = faces._loaded()
            detector.detect = timed("detect", detector.detect)  # type: ignore[method-assign]
            landmarker.locate = timed("landmarks", landmarker.locate)  # type: ignore[method-assign]
        chunk = FrameChunk(batch, torch.device("cpu"))
        table = timed("faces stage", faces.process)(chunk)
        timed("embeddings stage", embeddings.process)(chunk, {"faces": table})
        frames += len(batch)
    rest = spent["faces stage"] - spent.get("detect", 0.0) - spent.get("landmarks", 0.0)
    spent["faces: align, pose, quality, cuts"] = rest
    del spent["faces stage"]
    return [(name, 1000 * seconds / frames) for name, seconds in spent.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=40.0, help="length of the clips that are made")
    parser.add_argument("--rounds", type=int, default=2, help="the best of these counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        videos = options.videos or [
            make_clip(Path(folder, "512x512.mp4"), width=512, height=512, fps=25, seconds=options.seconds),
            make_clip(Path(folder, "1280x720.mp4"), width=1280, height=720, fps=30, seconds=options.seconds),
        ]
        cores = len(os.sched_getaffinity(0))
        print(f"{cores} cores, torch {torch.__version__}\n")
        print(f"{'video':<16}{'what':<34}{'frames/s':>10}{'of decoding':>13}")
        for video in videos:
            copy = Path(folder, f"second {video.name}")
            copy.write_bytes(video.read_bytes() + b"\0")  # other content, so nothing is shared through the cache
            best: dict[str, float] = {}
            for _ in range(options.rounds):
                rates = {
                    "decoding alone": decode_rate(video),
                    f"process, 1 worker, {cores} threads": process_rate([video], jobs=1),
                    f"process, {cores} clips, --jobs {cores}": process_rate([video, copy][:cores], jobs=min(2, cores)),
                }
                best = {name: max(rate, best.get(name, 0.0)) for name, rate in rates.items()}
            for name, rate in best.items():
                print(f"{video.stem:<16}{name:<34}{rate:>10.0f}{rate / best['decoding alone']:>13.3f}")
            torch.set_num_threads(1)
            for name, milliseconds in steps(video, chunks=12):
                print(f"{video.stem:<16}{'  one thread: ' + name:<48}{milliseconds:>9.2f} ms per frame")


if __name__ == "__main__":
    main()
