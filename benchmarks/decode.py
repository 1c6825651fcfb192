"""How fast frames are read: both decoders raw, and through vidfer's readers, which add upright RGB batches and times.

    python benchmarks/decode.py [VIDEO] [--rounds N]

Without VIDEO a 10 s, 1280x720 h264 clip is made. Prints the best of N rounds: frames per second and processor time per
frame, which a busy machine disturbs less, and its ratio to the decoder's own. The probe decodes nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from made_clips import write_clip

from vidfer.video.prefetch import prefetch
from vidfer.video.probe import VideoProbe, probe
from vidfer.video.reader import decord_objection, open_reader


def make_video(path: Path, *, seconds: int = 10, width: int = 1280, height: int = 720) -> Path:
    """Write moving noise-textured shapes, so that the encoder has something to do."""
    texture = np.random.default_rng(0).integers(0, 255, (height // 4, width // 4, 3), dtype=np.uint8)
    texture = np.kron(texture, np.ones((4, 4, 1), dtype=np.uint8))
    pictures = (np.roll(texture, (2 * i, 3 * i), axis=(0, 1)) for i in range(seconds * 30))
    return write_clip(path, pictures, rate=30, crf="23", preset="veryfast")


def raw_pyav(path: Path) -> int:
    """Decode and convert every frame with PyAV alone."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return sum(1 for frame in container.decode(stream) if frame.to_ndarray(format="rgb24") is not None)


def raw_decord(path: Path) -> int:
    """Decode every frame with decord alone, in order."""
    import decord

    reader = decord.VideoReader(str(path), num_threads=2)
    return sum(1 for _ in range(len(reader)) if reader.next().asnumpy() is not None)


def through_reader(probed: VideoProbe, decoder: str, *, ahead: bool = False) -> int:
    """Read every frame in batches of 16."""
    batches = open_reader(probed, decoder=decoder).read(np.arange(probed.num_frames), batch_size=16)  # type: ignore[arg-type]
    return sum(len(batch) for batch in (prefetch(batches) if ahead else batches))


def demux_only(path: Path) -> int:
    """Probe."""
    return probe(path).num_frames


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.video or make_video(Path(folder) / "made.mp4")
        probed = probe(path)
        ways: dict[str, tuple[str, Callable[[], int]]] = {
            "pyav, raw": ("pyav, raw", lambda: raw_pyav(path)),
            "pyav, vidfer's reader": ("pyav, raw", lambda: through_reader(probed, "pyav")),
            "pyav, vidfer's reader, prefetched": ("pyav, raw", lambda: through_reader(probed, "pyav", ahead=True)),
            "probe": ("pyav, raw", lambda: demux_only(path)),
        }
        if importlib.util.find_spec("decord") is not None and decord_objection(probed) is None:
            ways |= {
                "decord, raw": ("decord, raw", lambda: raw_decord(path)),
                "decord, vidfer's reader": ("decord, raw", lambda: through_reader(probed, "decord")),
                "decord, vidfer's reader, prefetched": (
                    "decord, raw",
                    lambda: through_reader(probed, "decord", ahead=True),
                ),
            }
        best = dict.fromkeys(ways, 0.0)
        work = dict.fromkeys(ways, float("inf"))
        for _ in range(arguments.rounds):
            for name, (_, way) in ways.items():
                start, start_work = time.perf_counter(), time.process_time()
                frames = way()
                best[name] = max(best[name], frames / (time.perf_counter() - start))
                work[name] = min(work[name], (time.process_time() - start_work) / frames * 1000)
        info = probed.info
        print(f"{path.name}: {info.codec} {info.width}x{info.height}, {info.num_frames} frames")
        print(f"{'way':40s} {'frames/s':>10s} {'CPU ms/frame':>13s} {'of raw':>8s}")
        for name, (reference, _) in ways.items():
            print(f"{name:40s} {best[name]:10.0f} {work[name]:13.2f} {work[name] / work[reference]:8.2f}")


if __name__ == "__main__":
    main()
