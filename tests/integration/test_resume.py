"""A run that was killed goes on where it was, repeats nothing that was finished, and ends with the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures import forked
from fixtures.commands import (
    cache_digests,
    computed_frames,
    output_digests,
    read_events,
    start_vidfer,
)

SEGMENT_FRAMES = 16  # several checkpoints within the 8 s sample
SETTINGS = ["--fps", "10", "--set", f"run.segment_frames={SEGMENT_FRAMES}", "--no-plots"]
NUM_FRAMES = 80


@pytest.fixture(scope="module")
def videos(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    shutil.copy(sample_video, folder / "a.mp4")
    return folder


@pytest.fixture(scope="module")
def undisturbed(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    done = forked.vidfer("process", videos, "--out", out, "--events", out / "events.jsonl", *SETTINGS)
    assert done.returncode == 0, done.stderr
    (out / "events.jsonl").rename(out.parent / "undisturbed.jsonl")
    return out


def test_ten_kills_leave_the_same_bytes_and_repeat_nothing(undisturbed: Path, videos: Path, tmp_path: Path) -> None:
    out, events = tmp_path / "out", tmp_path / "events.jsonl"
    draw = random.Random(7)
    kills = finished_runs = 0
    while kills < 10:
        start = start_vidfer if kills % 2 else forked.start_vidfer
        process = start("process", videos, "--out", out, "--events", events, *SETTINGS)
        if kills % 2:  # at any moment, start-up and the writing of results among them
            wait_until(lambda run=process: run.poll() is not None, seconds=draw.uniform(0.1, 3.0))
        else:  # while frames are computed
            enough = len(read_events(events)) + draw.randrange(1, 9)
            wait_until(lambda run=process, n=enough: run.poll() is not None or len(read_events(events)) > n, seconds=60)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        else:  # it was faster than the executioner: check, and begin anew
            assert output_digests(out) == output_digests(undisturbed)
            shutil.rmtree(out)
            finished_runs += 1
    done = forked.vidfer("process", videos, "--out", out, "--events", events, *SETTINGS)
    assert done.returncode == 0, done.stderr
    assert output_digests(out) == output_digests(undisturbed)
    assert cache_digests(out) == cache_digests(undisturbed)
    # A kill costs at most the segment that was in work: what was published is never computed again.
    for stage in ("faces", "embeddings"):
        repeated = computed_frames(read_events(events), stage) - (finished_runs + 1) * NUM_FRAMES
        assert repeated <= kills * SEGMENT_FRAMES


def wait_until(happened: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_killing_only_the_parent_leaves_no_worker(videos: Path, tmp_path: Path) -> None:
    process = start_vidfer("process", videos, "--out", tmp_path / "out", *SETTINGS)
    deadline = time.monotonic() + 20
    workers: list[int] = []
    while not workers and time.monotonic() < deadline:
        workers = children_of(process.pid)
        time.sleep(0.05)
    assert workers
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(is_running(pid) for pid in workers)


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(child) for child in path.read_text().split()]
    except OSError:
        return []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_interrupted_run_says_so_and_goes_on(undisturbed: Path, videos: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    process = start_vidfer("process", videos, "--out", tmp_path / "out", "--events", events, *SETTINGS)
    wait_until(lambda: any(event["event"] == "ClipStarted" for event in read_events(events)), seconds=60)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert forked.vidfer("process", videos, "--out", tmp_path / "out", *SETTINGS).returncode == 0
    assert output_digests(tmp_path / "out") == output_digests(undisturbed)


@pytest.fixture
def results(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of finished results."""
    out = tmp_path / "results"
    shutil.copytree(undisturbed, out)
    return out


def rerun(videos: Path, out: Path, *arguments: str | Path) -> tuple[dict[str, str], list[dict[str, object]]]:
    """Run again and return each stage's status and all events."""
    events = out.parent / f"again-{random.randrange(10**9)}.jsonl"
    done = forked.vidfer("process", videos, "--out", out, "--events", events, *SETTINGS, *arguments)
    assert done.returncode == 0, done.stderr
    found = read_events(events)
    return {e["stage"]: e["status"] for e in found if e["event"] == "StageDone"}, found


def test_changing_the_temporal_model_opens_no_video(videos: Path, results: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "videos"
    shutil.copytree(videos, hidden)
    stages, events = rerun(hidden, results, "--set", "temporal.name=ema")
    assert (stages["faces"], stages["embeddings"], stages["tracks"]) == ("cached", "cached", "cached")
    assert stages["emotions"] == "computed"
    assert computed_frames(events, "faces") == 0
    assert not any(event["event"] == "FramesDone" for event in events)


def test_changing_the_backbone_detects_nothing(videos: Path, results: Path, tmp_path: Path) -> None:
    weights = tmp_path / "own.safetensors"
    own_backbone(weights)
    stages, events = rerun(videos, results, "--set", f"backbone.weights={weights}", "--set", "temporal.name=none")
    assert stages["faces"] == "cached"
    assert stages["embeddings"] == "computed"
    assert computed_frames(events, "faces") == 0
    assert computed_frames(events, "embeddings") == NUM_FRAMES


def own_backbone(path: Path) -> None:
    """Weights of the user's own: the embedded ones with another figure in the header, so another digest."""
    from vidfer.weights import load_tensors, locate, save_tensors

    tensors, metadata = load_tensors(locate("backbone", "compact")[0])
    save_tensors(path, tensors, {**metadata, "note": "fine-tuned by the user"})


def test_a_renamed_video_recomputes_nothing(videos: Path, results: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    shutil.copy(videos / "a.mp4", renamed / "another name.mp4")
    stages, events = rerun(renamed, results)
    assert {stages[name] for name in ("faces", "embeddings", "tracks", "emotions")} == {"cached"}
    assert not any(event["event"] == "FramesDone" for event in events)
    assert (results / "another name" / "timeline.csv").read_bytes() == (results / "a" / "timeline.csv").read_bytes()


def test_a_touched_video_recomputes_nothing(videos: Path, results: Path) -> None:
    os.utime(videos / "a.mp4")
    stages, events = rerun(videos, results)
    assert not any(event["event"] == "FramesDone" for event in events)
    assert "computed" not in {status for name, status in stages.items() if name != "outputs"}


@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign"])
def test_a_damaged_cache_file_is_set_aside_and_recomputed(
    videos: Path, results: Path, undisturbed: Path, damage: str
) -> None:
    (path,) = (results / ".vidfer" / "cache" / "embeddings").rglob("*.h5")
    good = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif damage == "flipped":
        path.write_bytes(good[:-100] + bytes([good[-100] ^ 1]) + good[-99:])
    else:
        (other,) = (results / ".vidfer" / "cache" / "tracks").rglob("*.h5")
        shutil.copy(other, path)
    (results / "a" / "timeline.csv").unlink()
    done = forked.vidfer("process", videos, "--out", results, *SETTINGS)
    assert done.returncode == 0
    assert "set aside" in done.stderr
    assert path.with_name(path.name + ".bad").is_file()
    assert path.read_bytes() == good
    assert output_digests(results) == output_digests(undisturbed)


def test_two_runs_on_one_folder_exclude_each_other(videos: Path, tmp_path: Path) -> None:
    first = forked.start_vidfer("process", videos, "--out", tmp_path / "out", *SETTINGS)
    deadline = time.monotonic() + 20
    while not children_of(first.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    second = forked.vidfer("process", videos, "--out", tmp_path / "out", *SETTINGS)
    assert second.returncode == 2
    assert str(first.pid) in second.stderr
    assert first.wait(timeout=120) == 0
