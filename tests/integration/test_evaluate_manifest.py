"""``vidfer evaluate --manifest``: labelled pictures and videos, by the real command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from fixtures.forked import vidfer
from PIL import Image

COLUMNS = ("clip_id", "path", "subject_id", "split", "label", "start_seconds", "end_seconds")


def write_csv(path: Path, *rows: tuple[object, ...]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The portrait of four people, who look alike: each at two sizes and brightnesses."""
    from skimage import data

    folder = tmp_path_factory.mktemp("pictures")
    for i in range(8):
        side = (160, 240)[i % 2]
        image = Image.fromarray(data.astronaut()[:300, 80:380]).resize((side, side), Image.Resampling.BILINEAR)
        Image.fromarray((np.asarray(image) * (0.7 + 0.04 * i)).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def test_pictures_are_measured_by_folds_of_subjects(pictures: Path, tmp_path: Path) -> None:
    labels = ["happiness"] * 7 + ["sadness"]
    rows = [(f"p{i}", f"{i}.png", f"person {i // 2}", "test", labels[i], "", "") for i in range(8)]
    rows[1] = ("p1", "1.png", "person 0", "test", "neutral", "", "")
    manifest = write_csv(pictures / "faces.csv", *rows)
    done = vidfer("evaluate", "--manifest", manifest, "--out", tmp_path / "out", "--folds", "2")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert figures["figures"]["network"]["classification"]["samples"] == 8
    assert figures["figures"]["network"]["classification"]["classes"]["happiness"]["recall"] == 1.0
    folds = figures["folds"]["as_trained"]["folds"]
    assert sorted(name for fold in folds for name in fold["subjects"]) == [f"person {i}" for i in range(4)]
    assert figures["folds"].keys() == {"as_trained", "refitted"}
    assert "2 folds by subject, refitted: accuracy" in done.stdout
    for name in ("network/confusion.png", "network/reliability.png", "folds_refitted/confusion.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.width > 300


def test_groups_are_compared(pictures: Path, tmp_path: Path) -> None:
    manifest = pictures / "groups.csv"
    rows = [f"p{i},{i}.png,person {i},test,{'happiness' if i < 6 else 'anger'},{'ab'[i % 2]}" for i in range(8)]
    manifest.write_text("\n".join(["clip_id,path,subject_id,split,label,site", *rows]) + "\n")
    refused = vidfer("evaluate", "--manifest", manifest, "--out", tmp_path / "out", "--by", "camera")
    assert refused.returncode == 2
    assert "the manifest has no such column; its further columns: site" in refused.stderr
    done = vidfer("evaluate", "--manifest", manifest, "--out", tmp_path / "out", "--by", "site")
    assert done.returncode == 0, done.stderr
    assert "site a: 4 rows of 4 people (few: the intervals are too narrow), 0 without a face" in done.stdout
    groups = json.loads((tmp_path / "out" / "metrics.json").read_text())["groups"]
    assert [(one["group"], one["rows"], one["accuracy"]["value"]) for one in groups] == [
        ({"site": "a"}, 4, 0.75),
        ({"site": "b"}, 4, 0.75),
    ]
    with (tmp_path / "out" / "groups.csv").open(newline="") as file:
        assert [row["site"] for row in csv.DictReader(file)] == ["a", "b"]
    with Image.open(tmp_path / "out" / "groups.png") as picture:
        assert picture.width > 300


def test_videos_go_through_the_cache(sample_video: Path, pictures: Path, tmp_path: Path) -> None:
    manifest = write_csv(
        tmp_path / "clips.csv",
        ("smile", sample_video, "hopper", "test", "happiness", 0.45, 1.45),
        ("rocket", sample_video, "collins", "test", "fear", 5.8, 6.4),
        ("still", pictures / "3.png", "someone", "test", "happiness", "", ""),
        ("other", pictures / "4.png", "another", "train", "fear", "", ""),
        ("last", pictures / "5.png", "a fourth", "train", "fear", "", ""),
    )
    command = ("evaluate", "--manifest", manifest, "--out", tmp_path / "out", "--set", "video.fps=10")
    done = vidfer(*command)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert figures["rows"] == 3  # of the split test
    assert figures["without_face"] == ["rocket"]
    assert figures["found_and_right"] == pytest.approx(2 / 3)
    assert figures["figures"]["network_frames"]["classification"]["samples"] == 10  # 1 s at 10 a second
    assert figures["figures"]["timeline"]["classification"]["accuracy"] == 1.0
    again = vidfer(*command)
    assert "1 of 1 clips: nothing left to do" in again.stderr
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == figures
    folds = vidfer(*command, "--folds", "2")  # of all rows, whose networks' vectors are read
    assert folds.returncode == 0, folds.stderr
    assert "2 folds by subject, refitted: accuracy" in folds.stdout


def test_single_frames_of_videos_are_read_with_the_prior_once(clips_folder: Path, tmp_path: Path) -> None:
    """Without a sequence model and a baseline the timeline is what single frames say."""
    clip = clips_folder / "d0.mp4"
    rows = [("a", clip, "x", "test", "happiness", 0.7, 2.0), ("b", clip, "x", "test", "neutral", 0, 0.5)]
    manifest = write_csv(tmp_path / "clips.csv", *rows)
    settings = ("temporal.name=none", "emotions.prior=balanced", "emotions.baseline=none", "video.fps=10")
    command = ["evaluate", "--manifest", manifest, "--out", tmp_path / "out"]
    command += [value for one in settings for value in ("--set", one)]
    done = vidfer(*command)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())["figures"]
    assert figures["network_frames"]["classification"] == figures["timeline_frames"]["classification"]
    assert figures["network"]["calibration"]["ece"] == pytest.approx(
        figures["timeline"]["calibration"]["ece"], abs=1e-3
    )
    again = vidfer(*command, "--set", "emotions.baseline=clip", "--baseline")
    assert again.returncode == 0, again.stderr
    with_baseline = json.loads((tmp_path / "out" / "metrics.json").read_text())["figures"]
    assert with_baseline["network_frames"] == figures["network_frames"]  # it is the timeline's
    assert with_baseline["timeline"] != figures["timeline"]
    assert "no network_baseline_unlabelled: nobody has five rows" in again.stdout
    write_csv(manifest, *rows, ("c", clip, "x", "test", "neutral", 100, 101))
    outside = vidfer(*command)
    assert outside.returncode == 2
    assert "row 3 (c): expected a stretch with a frame of d0.mp4, whose last is at 3." in outside.stderr


def test_what_an_evaluation_before_left_is_removed(pictures: Path, tmp_path: Path) -> None:
    labels = ["happiness", "happiness", "neutral", "neutral"] * 2
    rows = [(f"p{i}", f"{i}.png", f"person {i // 4}", "test", labels[i], "", "") for i in range(8)]
    manifest, out = write_csv(pictures / "twice.csv", *rows), tmp_path / "out"
    (out / "network_baseline").mkdir(parents=True)
    (out / "network_baseline" / "mine.txt").write_text("notes")
    done = vidfer("evaluate", "--manifest", manifest, "--out", out, "--folds", "2", "--match-shares", "--baseline")
    assert done.returncode == 0, done.stderr
    assert {"network_baseline", "network_matched", "folds_refitted"} < {path.name for path in out.iterdir()}
    assert vidfer("evaluate", "--manifest", manifest, "--out", out).returncode == 0
    assert {path.name for path in out.iterdir()} == {"metrics.json", "predictions.csv", "network", "network_baseline"}
    assert [path.name for path in (out / "network_baseline").iterdir()] == ["mine.txt"]


def test_a_baseline_needs_to_know_who_is_seen(pictures: Path, tmp_path: Path) -> None:
    manifest = write_csv(pictures / "strangers.csv", ("a", "0.png", "", "test", "neutral", "", ""))
    done = vidfer("evaluate", "--manifest", manifest, "--out", tmp_path / "out", "--baseline")
    assert done.returncode == 2
    assert "--baseline needs to know who is seen" in done.stderr
    alone = write_csv(pictures / "alone.csv", ("a", "0.png", "x", "test", "happiness", "", ""))
    done = vidfer("evaluate", "--manifest", alone, "--out", tmp_path / "out", "--baseline")
    assert done.returncode == 0, done.stderr  # what can be told is told
    assert "test, no network_baseline: nobody has rows labelled neutral" in done.stdout


def test_another_video_than_the_manifest_says_is_refused(sample_video: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "clips.csv"
    manifest.write_text(f"clip_id,path,sha256,split,label\na,{sample_video},{'0' * 64},test,happiness\n")
    done = vidfer("evaluate", "--manifest", manifest, "--out", tmp_path / "out", "--set", "video.fps=2")
    assert done.returncode == 2
    assert "expected the video with sha256 000000000000" in done.stderr


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a", "missing.png", "x", "test", "fear"), "row 1 (line 2): "),
        (("a", "broken.png", "x", "test", "fear"), "row 1 (a): "),
        (("a", "broken.mp4", "x", "test", "fear"), "row 1: "),
        (("a", "0.png", "x", "train", "fear"), "no row of the split test, only train"),
    ],
)
def test_a_bad_row_is_named(pictures: Path, tmp_path: Path, row: tuple[str, ...], message: str) -> None:
    (pictures / "broken.png").write_bytes(b"no picture")
    (pictures / "broken.mp4").write_bytes(b"no video")
    manifest = write_csv(pictures / "bad.csv", (*row, "", ""))
    done = vidfer("evaluate", "--manifest", manifest, "--out", tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_out_that_is_a_file_is_named(pictures: Path, tmp_path: Path) -> None:
    manifest = write_csv(pictures / "one.csv", ("a", "0.png", "x", "test", "happiness", "", ""))
    (tmp_path / "out").write_text("a file")
    done = vidfer("evaluate", "--manifest", manifest, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "out: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_folds_need_people(pictures: Path, tmp_path: Path) -> None:
    manifest = write_csv(pictures / "nobody.csv", ("a", "0.png", "", "test", "fear", "", ""))
    done = vidfer("evaluate", "--manifest", manifest, "--out", tmp_path, "--folds", "2")
    assert done.returncode == 2
    assert "1 rows have no subject_id" in done.stderr
