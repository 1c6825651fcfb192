"""What `vidfer process` costs as clips get longer and more: time, memory, disk, start-up, each beside its aim.

    python benchmarks/cost.py [--only length|hour|rows|jobs|start ...] [--minutes 1 10 60] [--rounds N] [--size PX]

One face, embedded defaults, every frame, everything written. `length`: clips of up to ten minutes, one worker of as
many threads as there are cores; time per frame runs from the 20th chunk of frames to the last (start-up is in `start`),
memory is the worker's peak. `hour`: the same of the shortest and the longest clip, which is the minute's packets again
and again, with the shortest run before and after it. `rows`: memory of what follows the last frame, by the rows of one
minute repeated in the cache. `jobs`: two clips in two workers against the same two in one worker with one thread. A
busy machine disturbs times: then believe the processor time, and measure again on an idle one.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from unittest import mock

import av
import numpy as np
from throughput import make_clip

from vidfer.api import load_timeline, process
from vidfer.engine import runner
from vidfer.engine.events import ClipDone, Event, FramesDone, StageDone
from vidfer.engine.runner import RunOptions
from vidfer.executors import Resources, plan_resources
from vidfer.store.cache import StageCache
from vidfer.store.layout import cache_folder

WARM_CHUNKS = 20
FPS = 25
CACHED_CLIPS = 100
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Watch:
    """What the events of a run tell, and what the system tells about its workers at each of them."""

    marks: list[tuple[float, float, int]] = field(default_factory=list)  # wall, processor seconds, frames
    peak_bytes: dict[int, int] = field(default_factory=dict)  # by worker
    end: float = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, FramesDone):
            workers = children()
            spent = sum(map(processor_seconds, workers))
            self.marks.append((time.perf_counter(), spent, max(event.computed.values())))
        if isinstance(event, FramesDone | StageDone):  # the last stage is "outputs": everything is written
            self.peak_bytes |= {pid: peak_memory(pid) for pid in children()}
        if isinstance(event, ClipDone):
            self.end = time.perf_counter()

    @property
    def frames(self) -> int:
        return sum(frames for *_, frames in self.marks)

    def per_frame(self, first: int = WARM_CHUNKS, last: int = -1) -> tuple[float, float]:
        """Return wall and processor seconds per frame from one chunk to another."""
        last = len(self.marks) + last if last < 0 else last
        frames = sum(frames for *_, frames in self.marks[first + 1 : last + 1])
        (wall, spent, _), (end_wall, end_spent, _) = self.marks[first], self.marks[last]
        return (end_wall - wall) / frames, (end_spent - spent) / frames


def children() -> list[int]:
    """Return the processes that this one has started."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def repeated(source: Path, target: Path, times: int) -> Path:
    """Write a clip that shows ``source`` again and again, without encoding it again."""
    with av.open(str(target), "w") as output:
        stream, start = None, 0
        for _ in range(times):
            with av.open(str(source)) as container:
                video = container.streams.video[0]
                stream = stream or output.add_stream_from_template(video)
                end = 0
                for packet in container.demux(video):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + start, packet.dts + start
                    end = max(end, packet.pts + packet.duration)
                    packet.stream = stream
                    output.mux(packet)
                start = end
    return target


def watched(paths: list[Path], out: Path, *, jobs: int, threads: int = 0) -> Watch:
    """Process clips with so many workers, of so many threads each (0: as the engine chooses)."""
    watch = Watch()

    def plan(*arguments: int, **options: int) -> Resources:
        planned = plan_resources(*arguments, **options)
        return dataclasses.replace(planned, threads_per_worker=threads) if threads else planned

    with mock.patch.object(runner, "plan_resources", plan):
        report = process([str(path) for path in paths], out, settings=[f"run.jobs={jobs}"], on_event=watch)
    assert not report.failed, report.failed
    return watch


def row(what: str, value: str, aim: str = "") -> None:
    print(f"{what:<72}{value:>16}   {aim}", flush=True)


def measure_length(folder: Path, *, runs: list[int], size: int) -> None:
    """Time per frame, memory and disk by the clip's length: the median of the runs of each length in minutes."""
    minute = make_clip(folder / "1.mp4", width=size, height=size, fps=FPS, seconds=60)
    wall: dict[int, list[float]] = {}
    work: dict[int, list[float]] = {}
    memory: dict[int, list[float]] = {}
    for length in runs:
        video = folder / f"{length}.mp4"
        if not video.exists():
            repeated(minute, video, length)
        with tempfile.TemporaryDirectory(dir=folder) as out:
            began = time.perf_counter()
            watch = watched([video], Path(out), jobs=1)
            assert watch.frames == 60 * FPS * length
            if length not in wall:
                tell_of_run(f"{length} min, {size}x{size}", watch, Path(out, video.stem), began)
        for values, value in zip(
            (wall, work, memory), (*watch.per_frame(), max(watch.peak_bytes.values())), strict=True
        ):
            values.setdefault(length, []).append(value)
    for length in wall:
        row(f"{length} min: time per frame", f"{1000 * median(wall[length]):.3f} ms")
        row(f"{length} min: processor time per frame", f"{1000 * median(work[length]):.3f} ms")
        row(f"{length} min: worker's peak memory", f"{median(memory[length]) / 1e6:.0f} MB", "<= 1,500 MB")
    base, *others = wall
    for length in others:
        name = f"{length} min / {base} min"
        row(f"{name}: time per frame", f"{median(wall[length]) / median(wall[base]):.3f}", "<= 1.05")
        row(f"{name}: processor time per frame", f"{median(work[length]) / median(work[base]):.3f}", "<= 1.05")
        more = median(memory[length]) - median(memory[base])
        row(f"{length} min - {base} min: memory", f"{more / 1e6:.0f} MB", "<= 50 MB")


def tell_of_run(name: str, watch: Watch, results: Path, began: float) -> None:
    """Print what is to be seen within one run."""
    chunks = min(60 * FPS // 16, len(watch.marks) // 2)
    early, late = watch.per_frame(WARM_CHUNKS, chunks), watch.per_frame(len(watch.marks) - chunks)
    row(f"{name}: last minute's time per frame / the first's", f"{late[0] / early[0]:.3f}")
    row(f"{name}: ... processor time", f"{late[1] / early[1]:.3f}")
    row(f"{name}: after the last frame", f"{watch.end - watch.marks[-1][0]:.1f} s")
    row(f"{name}: everything", f"{time.perf_counter() - began:.1f} s")
    cached = sum(path.stat().st_size for path in cache_folder(results.parent).rglob("*.h5"))
    faces = int(load_timeline(results)["success"].sum())
    row(f"{name}: cache per face", f"{cached / max(1, faces):.0f} B", "<= 2,048 B")


def measure_rows(folder: Path, *, minutes: list[int], size: int) -> None:
    """Memory of what follows the last frame (tracks, emotions, everything written) by the clip's length."""
    video = make_clip(folder / "rows.mp4", width=size, height=size, fps=FPS, seconds=60)
    once = folder / "rows once"
    watched([video], once, jobs=1)
    memory: dict[int, int] = {}
    for length in minutes:
        out = folder / f"rows {length}"
        shutil.copytree(once, out)
        repeat_rows(out, length)
        watch = Watch()
        options = RunOptions(force="tracks")
        report = process([str(video)], out, settings=["run.jobs=1"], options=options, on_event=watch)
        assert not report.failed, report.failed
        memory[length] = max(watch.peak_bytes.values())
        row(f"{length} min: peak memory after the last frame", f"{memory[length] / 1e6:.0f} MB")
    for length in minutes[1:]:
        more = (memory[length] - memory[minutes[0]]) / 1e6
        row(f"{length} min - {minutes[0]} min: memory after the last frame", f"{more:.0f} MB", "<= 50 MB")


def repeat_rows(out: Path, times: int) -> None:
    """Have the cached tables of a one-minute clip say that it was shown so many times."""
    cache = StageCache(cache_folder(out))
    for stage in ("faces", "embeddings"):
        (key,) = cache.keys(stage)
        table = cache.load(stage, key)
        assert table is not None
        arrays = {name: np.concatenate([column] * times) for name, column in table.arrays.items()}
        if stage == "faces":
            arrays["frame_index"] = np.arange(len(arrays["frame_index"]))
            minute = np.repeat(np.arange(times), len(table.arrays["pts_seconds"]))
            arrays["pts_seconds"] = arrays["pts_seconds"] + 60.0 * minute
        cache.store(stage, key, arrays, table.attributes)


def measure_jobs(folder: Path, *, rounds: int, size: int) -> None:
    """Two workers against one with one thread, over the same two clips."""
    first = make_clip(folder / "a.mp4", width=size, height=size, fps=FPS, seconds=40)
    second = folder / "b.mp4"
    second.write_bytes(first.read_bytes() + b"\0")  # other content, so nothing is shared through the cache
    ways: dict[str, Callable[[Path], Watch]] = {
        "one worker, one thread": lambda out: watched([first, second], out, jobs=1, threads=1),
        "one worker, one core": lambda out: on_one_core([first, second], out),
        "--jobs 2": lambda out: watched([first, second], out, jobs=2, threads=1),
    }
    rates: dict[str, float] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(dir=folder) as out:
                rates[name] = max(1 / way(Path(out)).per_frame()[0], rates.get(name, 0.0))
    for name, rate in rates.items():
        row(f"two clips, {size}x{size}: {name}", f"{rate:.0f} frames/s")
    for name in list(rates)[:2]:
        row(f"two clips: --jobs 2 / {name}", f"{rates['--jobs 2'] / rates[name]:.2f}", ">= 1.5")


def on_one_core(paths: list[Path], out: Path) -> Watch:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        return watched(paths, out, jobs=1)
    finally:
        os.sched_setaffinity(0, cores)


def measure_start(folder: Path, *, rounds: int) -> None:
    """--help, the first frame of a fresh run, and a run in which everything is cached."""
    row("vidfer --help", f"{best(rounds, lambda: run_vidfer('--help')):.2f} s", "< 0.2 s")
    video = make_clip(folder / "first.mp4", width=512, height=512, fps=FPS, seconds=4)
    fresh = [first_frames_after(video, folder / f"fresh {turn}") for turn in range(rounds)]
    row("first frames (a chunk of 16) of a fresh run, 512x512", f"{min(fresh):.2f} s", "< 4 s")
    clips = folder / "clips"
    clips.mkdir()
    data = make_clip(folder / "short.mp4", width=64, height=64, fps=FPS, seconds=0.2).read_bytes()
    for number in range(CACHED_CLIPS):
        Path(clips, f"{number}.mp4").write_bytes(data + bytes(number))
    run_vidfer("process", clips, "--out", folder / "out", "--quiet")
    seconds = best(rounds, lambda: run_vidfer("process", clips, "--out", folder / "out", "--quiet"))
    row(f"a run over {CACHED_CLIPS} finished clips, as a process", f"{seconds:.2f} s", "< 1 s")
    code = "import sys; from vidfer.cli import main; main(sys.argv[1:]); print(*{'torch', 'av'} & set(sys.modules))"
    arguments = [sys.executable, "-c", code, "process", str(clips), "--out", str(folder / "out"), "--quiet"]
    imported = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip()
    row("... of torch and av it imports", imported or "nothing", "nothing")


def best(rounds: int, work: Callable[[], object]) -> float:
    times = []
    for _ in range(rounds + 1):  # the first one warms the disk's cache
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def run_vidfer(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "vidfer.cli", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def first_frames_after(video: Path, out: Path) -> float:
    """Return seconds from starting the command to the first frames that it says are done."""
    events = out.with_suffix(".jsonl")
    began = time.perf_counter()
    arguments = ["process", str(video), "--out", str(out), "--quiet", "--events", str(events)]
    running = subprocess.Popen([sys.executable, "-m", "vidfer.cli", *arguments])
    while not events.exists() or b"FramesDone" not in events.read_bytes():
        assert running.poll() in (None, 0)
        time.sleep(0.005)
    seconds = time.perf_counter() - began
    assert running.wait() == 0
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("length", "hour", "rows", "jobs", "start")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10, 60], help="lengths of the clips, ascending")
    parser.add_argument(
        "--rounds", type=int, default=2, help="runs of each; of minutes the median counts, else the best"
    )
    parser.add_argument("--size", type=int, default=320, help="width and height of the clips, px")
    options = parser.parse_args()
    busy = os.getloadavg()[0]
    print(f"{len(os.sched_getaffinity(0))} cores, load {busy:.1f} when this began, NumPy {np.__version__}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "length" in options.only:
            minutes = [length for length in options.minutes if length <= 10]
            measure_length(folder, runs=minutes * options.rounds, size=options.size)
        if "hour" in options.only:
            short, long = [options.minutes[0]] * options.rounds, [options.minutes[-1]]
            measure_length(folder, runs=short + long + short, size=options.size)
        if "rows" in options.only:
            measure_rows(folder, minutes=options.minutes, size=options.size)
        if "jobs" in options.only:
            measure_jobs(folder, rounds=options.rounds, size=options.size)
        if "start" in options.only:
            measure_start(folder, rounds=options.rounds)


if __name__ == "__main__":
    main()
