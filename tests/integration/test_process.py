"""The main job on real video: what it writes, and that it is right."""

from __future__ import annotations

import json
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
from fixtures import forked
from fixtures.commands import read_csv, vidfer
from fixtures.timeline_rows import assert_rows_match_frames, frame_times, on_screen_at_ticks

from vidfer.labels import EMOTIONS

COLUMNS = [
    "frame",
    "timestamp",
    "face_id",
    "success",
    "confidence",
    "x",
    "y",
    "width",
    "height",
    "pitch",
    "yaw",
    "roll",
    "quality",
    "emotion",
    "emotion_confidence",
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "person_id",
]
LONGEST = ("d14", "d6")  # as many frames as all the others together: ten a second of these
CLIP_FILES = {"timeline.csv", "timeline.parquet", "segments.csv", "summary.json", "timeline.png", "report.html"}


@pytest.fixture(scope="module")
def sample_results(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    done = vidfer("process", sample_video, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "sample" in done.stdout
    assert str(out) in done.stdout
    return out


def real_clips(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.mp4")) if path.stem not in LONGEST]


@pytest.fixture(scope="module")
def clip_results(clips_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clips")
    done = forked.vidfer("process", *real_clips(clips_folder), "--out", out, timeout=600)
    assert done.returncode == 0, done.stderr
    return out


def test_results_are_those_of_the_contract(sample_results: Path) -> None:
    assert {"summary.csv", "failures.csv", "run.json", "index.html", "sample"} <= {
        path.name for path in sample_results.iterdir()
    }
    assert {path.name for path in (sample_results / "sample").iterdir()} == CLIP_FILES
    rows = read_csv(sample_results / "sample" / "timeline.csv")
    assert list(rows[0]) == COLUMNS
    assert read_csv(sample_results / "failures.csv") == []
    summary = read_csv(sample_results / "summary.csv")
    assert [row["clip"] for row in summary] == ["sample"]


def test_every_frame_of_the_sample_has_a_row(sample_results: Path, sample_video: Path) -> None:
    assert_rows_match_frames(read_csv(sample_results / "sample" / "timeline.csv"), frame_times(sample_video))


def test_rows_hold_probabilities_or_nothing(sample_results: Path) -> None:
    for row in read_csv(sample_results / "sample" / "timeline.csv"):
        if row["success"] == "1":
            assert sum(float(row[name]) for name in EMOTIONS) == pytest.approx(1, abs=1e-3)
            assert row["emotion"] == max(EMOTIONS, key=lambda name: float(row[name]))
            assert 0 <= float(row["quality"]) <= 1
        else:
            assert row["face_id"] == "-1"
            assert not any(row[name] for name in ("x", "emotion", *EMOTIONS))


def test_the_sample_shows_two_people_a_gap_and_several_expressions(sample_results: Path) -> None:
    rows = read_csv(sample_results / "sample" / "timeline.csv")
    seen = [[row for row in group if row["success"] == "1"] for group in by_frame(rows).values()]
    hopper, rocket, collins = seen[:140], seen[140:165], seen[165:]
    assert {row["face_id"] for (row,) in hopper} == {"0"}
    assert not any(rocket)
    assert {row["face_id"] for (row,) in collins} == {"1"}
    episodes = read_csv(sample_results / "sample" / "segments.csv")
    assert len({row["emotion"] for row in episodes if row["face_id"] == "0"}) >= 3
    assert {row["emotion"] for row in episodes if row["face_id"] == "1"} == {"happiness"}, "she smiles broadly"


def by_frame(rows: list[dict[str, str]]) -> dict[int, list[dict[str, str]]]:
    return {index: list(group) for index, group in groupby(rows, key=lambda row: int(row["frame"]))}


def test_segments_follow_each_other_within_the_clip(sample_results: Path) -> None:
    segments = read_csv(sample_results / "sample" / "segments.csv")
    assert segments
    for _, group in groupby(segments, key=lambda row: row["face_id"]):
        spans = [(float(row["start_seconds"]), float(row["end_seconds"])) for row in group]
        assert all(start < end for start, end in spans)
        assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(spans))


def test_a_second_run_does_nothing_in_no_time(sample_results: Path, sample_video: Path) -> None:
    script = (
        "import sys, time; from vidfer.cli import main; code = main(sys.argv[1:]);"
        "print('SECONDS', time.process_time()); print('TORCH', 'torch' in sys.modules); sys.exit(code)"
    )
    import subprocess
    import sys

    best = 99.0
    for _ in range(3):  # processor time, the least of three: the machine may be busy with something else
        done = subprocess.run(
            [sys.executable, "-c", script, "process", str(sample_video), "--out", str(sample_results)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "TORCH False" in done.stdout
        assert "nothing left to do" in done.stderr
        best = min(best, float(done.stdout.split("SECONDS ")[1].split()[0]))
    assert best < 1.0


def test_status_tells_what_is_cached(sample_results: Path) -> None:
    done = vidfer("status", sample_results, "--json")
    assert done.returncode == 0, done.stderr
    (clip,) = json.loads(done.stdout)
    assert clip["clip"] == "sample"
    assert {clip[name] for name in ("faces", "embeddings", "identity", "tracks", "people", "emotions", "outputs")} == {
        "cached"
    }


def test_sampling_by_time(sample_video: Path, tmp_path: Path) -> None:
    done = forked.vidfer("process", sample_video, "--out", tmp_path, "--fps", "5", "--no-plots", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    times = sorted({float(row["timestamp"]) for row in read_csv(tmp_path / "sample" / "timeline.csv")})
    assert times == pytest.approx([k / 5 for k in range(len(times))], abs=1e-3)
    assert len(times) == 40
    assert not (tmp_path / "sample" / "timeline.png").exists()


def test_help_is_immediate_and_imports_no_torch() -> None:
    import subprocess
    import sys

    script = (
        "import sys, time, contextlib, io; from vidfer.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main(['process', '--help'])\n"
        "print(time.process_time(), sorted({'torch', 'numpy', 'h5py'} & set(sys.modules)))"
    )
    results = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True) for _ in range(3)]
    assert all(result.stdout.rstrip().endswith("[]") for result in results)
    assert min(float(result.stdout.split()[0]) for result in results) < 0.2


def test_every_real_clip_has_a_right_timeline(clip_results: Path, clips_folder: Path) -> None:
    for video in real_clips(clips_folder):
        folder = clip_results / video.stem
        assert {path.name for path in folder.iterdir()} == CLIP_FILES
        assert_rows_match_frames(read_csv(folder / "timeline.csv"), frame_times(video))


def test_real_clips_show_one_person_almost_all_the_time(clip_results: Path, clips_folder: Path, tmp_path: Path) -> None:
    longest = [clips_folder / f"{name}.mp4" for name in LONGEST]
    sampled = ("--fps", "10", "--no-plots")
    done = forked.vidfer("process", clips_folder / "talking", *longest, "--out", tmp_path, *sampled, timeout=600)
    assert done.returncode == 0, done.stderr
    for video in longest:
        times = frame_times(video)
        frames = on_screen_at_ticks(times, fps=10)
        rows = read_csv(tmp_path / video.stem / "timeline.csv")
        assert_rows_match_frames(rows, [times[frame] for frame in frames], frames=frames)
    rows = [row for folder in (clip_results, tmp_path) for row in read_csv(folder / "summary.csv")]
    assert len(rows) > 20
    for row in rows:
        with_face = int(row["frames_with_face"]) / int(row["sampled_frames"])
        assert with_face > 0.97, row["clip"]
        assert int(row["num_faces"]) == 1, row["clip"]


@pytest.mark.parametrize(("clip", "emotion"), [("s29", "happiness"), ("s32", "happiness"), ("s18", "neutral")])
def test_steady_expressions_are_recognised(clip_results: Path, clip: str, emotion: str) -> None:
    rows = [row for row in read_csv(clip_results / clip / "timeline.csv") if row["success"] == "1"]
    assert sum(row["emotion"] == emotion for row in rows) >= 0.95 * len(rows)


def test_talk_with_raised_brows_is_no_surprise(clip_results: Path) -> None:
    """A child talks: every frame alone looks surprised, and so does the third that looks most neutral."""
    rows = [row for row in read_csv(clip_results / "d11" / "timeline.csv") if row["success"] == "1"]
    assert sum(row["emotion"] == "surprise" for row in rows) <= 0.4 * len(rows)
    spoken = [one for one in read_csv(clip_results / "d11" / "segments.csv") if one["emotion"] != "neutral"]
    seconds = sum(float(one["end_seconds"]) - float(one["start_seconds"]) for one in spoken)
    assert seconds <= 0.4 * float(rows[-1]["timestamp"])


def test_nothing_lasts_longer_than_its_clip(clips_folder: Path, tmp_path: Path) -> None:
    """Of one frame a second the last stands for what is left of 3.12 s."""
    done = forked.vidfer("process", clips_folder / "d0.mp4", "--out", tmp_path, "--fps", "1", "--no-plots")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "d0" / "summary.json").read_text())
    assert summary["duration_seconds"] == pytest.approx(3.12)
    (face,) = summary["faces"]
    assert (face["last_seconds"], face["seconds_on_screen"]) == pytest.approx((3.12, 3.12))
    assert float(read_csv(tmp_path / "d0" / "segments.csv")[-1]["end_seconds"]) == pytest.approx(3.12)


def test_the_summary_says_whose_own_neutral_was_taken_off(
    clip_results: Path, clips_folder: Path, tmp_path: Path
) -> None:
    said = {name: json.loads((clip_results / name / "summary.json").read_text()) for name in ("d11", "s29")}
    assert said["d11"]["own_neutral_of"] == [0]
    assert said["s29"]["own_neutral_of"] == []  # a smile throughout
    stretch = ("--set", "emotions.baseline=[100, 200]", "--set", "video.fps=2", "--no-plots")
    done = forked.vidfer("process", clips_folder / "d11.mp4", "--out", tmp_path, *stretch)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "d11" / "summary.json").read_text())
    assert summary["own_neutral_of"] == []
    assert summary["warnings"] == ["nobody is seen often enough from 100 to 200 s: emotions.baseline changed nothing"]


def test_a_smile_comes_and_goes(clip_results: Path) -> None:
    rows: dict[int, Any] = {int(row["frame"]): row for row in read_csv(clip_results / "d0" / "timeline.csv")}
    first = min(rows)
    middle = [rows[first + i]["emotion"] for i in range(26, 60)]
    start = [rows[first + i]["emotion"] for i in range(11)]
    assert middle.count("happiness") == len(middle)
    assert start.count("neutral") >= 10
