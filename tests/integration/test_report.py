"""`vidfer report`: files written again from the cache, with the video out of reach."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fixtures.commands import cache_digests, output_digests, read_csv
from fixtures.forked import vidfer

NAME = 'it\'s "x" <script>alert(1)</script> ü'


@pytest.fixture(scope="module")
def finished(sample_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one readable video with an awkward name and one that is none; then the videos are gone."""
    base = tmp_path_factory.mktemp("moved")
    (base / "videos").mkdir()
    shutil.copy(sample_video, base / "videos" / f"{NAME.replace('/', '_')}.mp4")
    (base / "videos" / "empty.mp4").write_bytes(b"")
    settings = ("--fps", "2", "--set", "temporal.name=ema")  # what is computed does not matter here
    done = vidfer("process", base / "videos", "--out", base / "out", *settings)
    assert done.returncode == 1, done.stderr
    shutil.rmtree(base / "videos")
    return base / "out"


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy beside the original: pages name the video relative to where they lie."""
    return Path(shutil.copytree(finished, finished.parent / tmp_path.name))


def test_what_was_deleted_comes_back_with_the_same_bytes_though_the_video_has_gone(results: Path) -> None:
    before, cached = output_digests(results), cache_digests(results)
    for name in before:
        (results / name).unlink()
    done = vidfer("report", results)
    assert done.returncode == 0, done.stderr
    assert "the video has moved" in done.stdout
    after = output_digests(results)
    assert {name: after[name] for name in before} == before
    assert cache_digests(results) == cached


def test_another_format_is_added_and_the_others_stay(results: Path) -> None:
    before = output_digests(results)
    folder = next(path.parent for path in results.rglob("timeline.csv"))
    done = vidfer("report", results, "--export", "openface, vtt")
    assert done.returncode == 0, done.stderr
    after = output_digests(results)
    assert {name: digest for name, digest in after.items() if name in before} == before
    assert (folder / "openface.csv").is_file()
    assert (folder / "emotions.vtt").read_text().startswith("WEBVTT")


def test_failed_clips_keep_their_place_on_the_start_page(results: Path) -> None:
    (results / "failures.csv").unlink()
    assert vidfer("report", results, "--quiet").returncode == 0
    assert [row["clip"] for row in read_csv(results / "failures.csv")] == ["empty"]
    assert "<script>alert(1)" not in (results / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--export", "openfase"], "did you mean 'openface'"), (["--clip", "emty*"], "unknown clip 'emty*'")],
)
def test_a_name_that_does_not_exist_is_one_line(results: Path, arguments: list[str], says: str) -> None:
    done = vidfer("report", results, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_overlay_without_its_video_is_said_and_leaves_nothing(results: Path) -> None:
    before = output_digests(results)
    done = vidfer("report", results, "--export", "overlay", "--blur-faces")
    assert done.returncode == 1
    assert "the file does not exist" in done.stderr
    assert output_digests(results).keys() == before.keys()


def test_blurring_without_a_video_to_blur_is_one_line(results: Path) -> None:
    done = vidfer("report", results, "--blur-faces")
    assert done.returncode == 2
    assert "--export overlay" in done.stderr


def test_a_folder_without_results_is_one_line(tmp_path: Path) -> None:
    done = vidfer("report", tmp_path)
    assert done.returncode == 2
    assert "no results of vidfer here" in done.stderr


def test_settings_of_an_older_version_are_one_line(results: Path) -> None:
    path = results / ".vidfer" / "pipeline.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "colours": {"sky": "blue"}}))
    done = vidfer("report", results)
    assert done.returncode == 2
    assert "run vidfer process again" in done.stderr
    assert "Traceback" not in done.stderr


def test_clips_of_other_settings_than_the_last_runs_are_named(results: Path) -> None:
    path = results / ".vidfer" / "pipeline.json"
    settings = json.loads(path.read_text())
    settings["video"]["fps"] = 3.0
    path.write_text(json.dumps(settings))
    before = output_digests(results)
    done = vidfer("report", results)
    assert done.returncode == 1
    assert "other settings" in done.stderr
    assert output_digests(results).keys() == before.keys()


def test_a_table_missing_from_the_cache_is_said(results: Path) -> None:
    shutil.rmtree(results / ".vidfer" / "cache" / "embeddings")
    done = vidfer("report", results)
    assert done.returncode == 1
    assert "embeddings" in done.stderr
    assert "Traceback" not in done.stderr
