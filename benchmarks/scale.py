"""What many videos cost: overhead per video, throughput by workers, and a hundred thousand videos with a stub stage.

    python benchmarks/scale.py overhead [--videos 400]
    python benchmarks/scale.py throughput [--clips 8]
    python benchmarks/scale.py simulate [--engine ray] [--videos 12500 25000 50000 100000]

The simulation is the real run from finding the videos to index.html, with the real executor and its workers; only what
is done for one clip is replaced by `stub_clip`, which leaves as many files as a clip does, and a summary as long.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FOLDERS = 100
REAL_SECONDS = 6.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["overhead", "throughput", "simulate", "drive"])
    parser.add_argument("--engine", default="local", choices=["local", "ray"])
    parser.add_argument("--videos", type=int, nargs="+", default=[])
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--paths", type=Path, nargs=2, help="of drive: videos and results")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    if options.what == "overhead":
        overhead((options.videos or [400])[0])
    elif options.what == "throughput":
        throughput(options.clips)
    elif options.what == "drive":
        drive(*options.paths, options.engine)
    else:
        simulate(options.videos or [12_500, 25_000, 50_000, 100_000], options.engine)


# --- overhead per video -------------------------------------------------------------------------------------------


def overhead(num_videos: int) -> None:
    """Print what one video costs beyond its work: tasks that do nothing but tell of 20 steps, one and two at a time."""
    import scale

    from vidfer.executors import EXECUTORS, Resources

    print("| executor | workers | ms per video |\n|---|---|---|")
    for name in ("local", "ray"):
        executor = EXECUTORS.get(name)()
        for workers in (1, 2):
            costs = []
            for count in (2 * workers, num_videos, num_videos):  # the first starts workers
                began = time.perf_counter()
                settings: dict[str, Any] = {"resources": Resources(jobs=workers), "timeout": 60.0, "retries": 0}
                outcomes = list(executor.run(scale.stub_events, range(count), on_event=_forget, **settings))
                costs.append((time.perf_counter() - began) / count)
                assert all(outcome.status == "ok" for outcome in outcomes)
            print(f"| {name} | {workers} | {1000 * min(costs[1:]):.2f} |", flush=True)
        executor.close()


def stub_events(number: int) -> int:
    """Do nothing, in twenty announced steps: as many events as a clip of 20 s gives."""
    from vidfer.engine.events import FramesDone
    from vidfer.executors.worker import emit

    for step in range(20):
        emit(FramesDone(clip_id=str(number), done=step, total=20, computed={"faces": 1, "embeddings": 1}))
    return number


def _forget(item: Any, event: Any) -> None:
    """Listen to events, as a progress bar does."""


# --- throughput ---------------------------------------------------------------------------------------------------


def throughput(num_clips: int) -> None:
    """Print frames per second over copies of the sample, by engine and workers, each bound to as many cores as workers.

    Apart from the whole command, what it does once it works is told: from the clip with which every worker has done
    one, to the last.
    """
    from vidfer.video.sample_clip import write_sample

    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder) / "videos"
        videos.mkdir()
        write_sample(videos / "0.mp4")
        for number in range(1, num_clips):  # other content, so that each is computed
            shutil.copy(videos / "0.mp4", videos / f"{number}.mp4")
            with (videos / f"{number}.mp4").open("ab") as file:
                file.write(b"\0\0\0\x0cfree" + number.to_bytes(4, "big"))
        print("| engine | workers | seconds in all | frames/s, start-up included | frames/s at work | of one local |")
        print("|" + "---|" * 6)
        first = 0.0
        for engine in ("local", "ray"):
            for workers in (1, 2):
                out = Path(folder) / f"{engine}{workers}"
                seconds, done = _timed_run(videos, out, engine, workers)
                clips = json.loads((out / "run.json").read_text())["clips"].values()
                frames = sum(clip["computed_frames"] for clip in clips)
                steady = frames * (num_clips - workers) / num_clips / (done[-1] - done[workers - 1])
                first = first or steady
                row = f"{seconds:.1f} | {frames / seconds:.0f} | {steady:.0f} | {steady / first:.2f}"
                print(f"| {engine} | {workers} | {row} |", flush=True)


def _timed_run(videos: Path, out: Path, engine: str, workers: int) -> tuple[float, list[float]]:
    """Return how many seconds the command took, and after how many each clip was done."""
    events = out.with_suffix(".jsonl")
    command = [sys.executable, "-m", "vidfer.cli", "process", videos, "--out", out, "--engine", engine]
    options = ["--quiet", "--jobs", workers, "--events", events]
    cores = sorted(os.sched_getaffinity(0))[:workers]
    began, done = time.perf_counter(), list[float]()
    with subprocess.Popen(
        [str(part) for part in command + options], preexec_fn=lambda: os.sched_setaffinity(0, cores)
    ) as run:
        has_ended = False
        while not has_ended:
            has_ended = run.poll() is not None
            found = events.read_text().count('"ClipDone"') if events.exists() else 0
            done += [time.perf_counter() - began] * (found - len(done))
            time.sleep(0.02)
    assert run.returncode == 0
    return time.perf_counter() - began, done


# --- a hundred thousand videos ------------------------------------------------------------------------------------


def simulate(sizes: list[int], engine: str) -> None:
    """Print what the driver and `vidfer status` cost, by number of videos."""
    heads = "videos|s in all|ms per video|driver at its peak, MB|nothing left to do, s|status, s (processor)|index, MB"
    print("| " + heads.replace("|", " | ") + " |\n|" + "---|" * 7)
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("SCALE_FOLDER")) as folder:
            videos, out = Path(folder) / "videos", Path(folder) / "out"
            make_videos(videos, size)
            first = _drive(videos, out, engine)
            again = _drive(videos, out, engine)
            began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            listing = subprocess.run(
                [sys.executable, "-m", "vidfer.cli", "status", str(out)], capture_output=True, text=True, check=True
            ).stdout
            seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
            processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            assert "stale" not in listing
            assert "missing" not in listing
            peak = max(first["peak_mb"], again["peak_mb"])
            row = [f"{size:,}", f"{first['seconds']:.0f}", f"{1000 * first['seconds'] / size:.2f}", f"{peak:.0f}"]
            row += [f"{again['seconds']:.1f}", f"{seconds:.1f} ({processor:.1f})"]
            row += [f"{(out / 'index.html').stat().st_size / 1e6:.0f}"]
            print("| " + " | ".join(row) + " |", flush=True)


def make_videos(folder: Path, size: int) -> None:
    """Make files that are called like videos, in a hundred folders."""
    for number in range(FOLDERS):
        (folder / f"subject {number:03d}").mkdir(parents=True)
    for number in range(size):
        (folder / f"subject {number % FOLDERS:03d}" / f"clip {number:06d}.mp4").write_bytes(b"%d" % number)


def _drive(videos: Path, out: Path, engine: str) -> dict[str, float]:
    command = [sys.executable, __file__, "drive", "--engine", engine, "--paths", str(videos), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def drive(videos: Path, out: Path, engine: str) -> None:
    """Be the driver of one run, with a stub for what is done for one clip; print seconds and peak memory."""
    import scale

    import vidfer.engine.nodes
    import vidfer.engine.runner
    from vidfer.config import load_pipeline
    from vidfer.engine.runner import RunOptions, run
    from vidfer.video.find import find_videos

    vidfer.engine.runner.process_clip = vidfer.engine.nodes.process_clip = scale.stub_clip  # type: ignore[assignment]
    if engine == "ray":
        vidfer.engine.runner.OnNode = scale.stub_on_node  # type: ignore[assignment, misc]
    began = time.perf_counter()
    run(find_videos([videos]), out, load_pipeline(), options=RunOptions(executor=engine))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": time.perf_counter() - began, "peak_mb": peak}))


def stub_on_node(requirements: Any) -> Any:
    """Stand for `OnNode`, which would replace the stub by the real thing on its node."""
    return stub_clip


def stub_clip(job: Any) -> Any:
    """Leave what a clip of six seconds leaves: tables in the cache, files for people, events, a summary."""
    from vidfer.engine.events import ClipStarted, FramesDone
    from vidfer.engine.plan import NUMBERS, OUTPUTS, stage_keys
    from vidfer.executors.worker import emit
    from vidfer.store.journal import ClipRecord
    from vidfer.store.layout import cache_folder

    emit(ClipStarted(clip_id=job.clip_id))
    emit(FramesDone(clip_id=job.clip_id, done=150, total=150, computed={"faces": 150, "embeddings": 150}))
    status = os.stat(job.path)
    sha256 = hashlib.sha256(os.fsencode(job.path)).hexdigest()
    keys = stage_keys(sha256, "decord", job.config, clip_id=job.clip_id)
    for stage, key in keys.items():
        if stage not in (NUMBERS, OUTPUTS):
            folder = cache_folder(job.out) / stage / key[:2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{key}.h5").write_bytes(b"x" * 100)
    folder = job.out / job.clip_id
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in ("timeline.csv", "timeline.parquet", "segments.csv", "summary.json", "timeline.png", "report.html"):
        (folder / name).write_bytes(b"y" * 100)
        stamp = os.stat(folder / name)
        files[name] = (stamp.st_size, stamp.st_mtime_ns)
    return ClipRecord(
        clip_id=job.clip_id,
        path=str(job.path),
        fingerprint=sha256,
        status="ok",
        video=(status.st_size, status.st_mtime_ns, status.st_ctime_ns),
        reader="decord",
        keys=dict(keys),
        files=files,
        summary=stub_summary(job.clip_id, sha256),
        computed_frames=150,
        seconds=REAL_SECONDS,
    )


def stub_summary(clip_id: str, fingerprint: str) -> dict[str, Any]:
    """Return a summary with all that a real one of one face has, course included."""
    from vidfer.labels import EMOTIONS

    draw = random.Random(fingerprint)
    emotions = {
        name: {
            "share_of_time": round(draw.random() / 8, 6),
            "mean_probability": round(draw.random() / 8, 6),
            "episodes": 1,
        }
        for name in EMOTIONS
    }
    numbers = {"dominant_emotion": "happiness", "mean_quality": round(draw.random(), 6), "emotions": emotions}
    face = {"face_id": 0, "first_seconds": 0.0, "last_seconds": 6.0, "seconds_on_screen": 6.0, "frames": 150}
    peaks = {name: {"seconds": round(6 * draw.random(), 6), "probability": 0.9, "face_id": 0} for name in EMOTIONS[:3]}
    means = {name: [round(draw.random(), 3) for _ in range(60)] for name in EMOTIONS}
    return {
        **{"clip": clip_id, "video": f"{clip_id.rpartition('/')[2]}.mp4", "fingerprint": fingerprint},
        **{"width": 1280, "height": 720, "codec": "h264", "rotation_degrees": 0, "average_fps": 25.0},
        **{"duration_seconds": 6.0, "sampled_frames": 150, "frames_with_face": 148, "num_faces": 1, "num_episodes": 3},
        **numbers,
        "peaks": peaks,
        "faces": [{**face, **numbers}],
        "truncated": False,
        "warnings": [],
        "decode": {"reader": "decord", "expected_frames": 150, "decoded_frames": 150, "bad_packets": 0},
        "course": {"end_seconds": 6.0, "means": means},
    }


if __name__ == "__main__":
    main()
