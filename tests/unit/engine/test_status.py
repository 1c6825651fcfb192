"""What is cached, stale or missing, of a few clips and of many."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import vidfer.engine.status
from vidfer.config import PipelineConfig, load_pipeline
from vidfer.engine.plan import OUTPUTS, KeyPlan
from vidfer.engine.status import read_status
from vidfer.store.cache import StageCache
from vidfer.store.journal import ClipRecord, Journal
from vidfer.store.layout import cache_folder, journal_file, settings_file

STAGES = ("faces", "embeddings", "tracks", "people", "emotions")  # what identity finds is not kept


def finished_clip(out: Path, name: str, config: PipelineConfig, *, told: bool) -> ClipRecord:
    """Write all that a finished clip leaves, as far as status looks at it."""
    video = out.parent / f"{name}.mp4"
    video.write_bytes(b"a video")
    plan = KeyPlan(config, "pyav")
    keys = dict(plan.keys(name * 64, name))
    for stage in STAGES:
        StageCache(cache_folder(out)).store(stage, keys[stage], {})
    (out / name).mkdir()
    (out / name / "timeline.csv").write_text("frame")
    stamp = (out / name / "timeline.csv").stat()
    return ClipRecord(
        clip_id=name,
        path=str(video),
        fingerprint=name * 64,
        status="ok",
        reader="pyav",
        keys=keys,
        video=(len(b"a video"), 0, 0),
        made_by=plan.digest if told else "",
        files={"timeline.csv": (stamp.st_size, stamp.st_mtime_ns)},
    )


@pytest.fixture(params=["its settings are told", "they are not"])
def results(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    out, config = tmp_path / "out", load_pipeline()
    with Journal(journal_file(out)) as journal:
        for name in "ab":
            journal.add(finished_clip(out, name, config, told=request.param != "they are not"))
    settings_file(out).write_text(json.dumps(config.model_dump(mode="json")))
    return out


@pytest.fixture(params=["few clips", "many clips"])
def number(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "many clips":
        monkeypatch.setattr(vidfer.engine.status, "MANY_CLIPS", 1)


@pytest.mark.usefixtures("number")
def test_what_is_there_is_cached(results: Path) -> None:
    assert [set(clip.stages.values()) for clip in read_status(results)] == [{"cached"}, {"cached"}]


@pytest.mark.usefixtures("number")
def test_other_settings_make_their_stages_stale(results: Path) -> None:
    config = load_pipeline("default", ["temporal.name=ema"])
    settings_file(results).write_text(json.dumps(config.model_dump(mode="json")))
    for clip in read_status(results):
        assert {clip.stages[name] for name in STAGES[:3]} == {"cached"}
        assert {clip.stages[name] for name in ("emotions", OUTPUTS)} == {"stale"}


@pytest.mark.usefixtures("number")
def test_a_key_of_other_settings_is_not_taken_for_current(results: Path) -> None:
    with Journal(journal_file(results)) as journal:
        record = journal.records["a"]
        journal.add(replace(record, keys={**record.keys, OUTPUTS: "0" * 64}, made_by=""))  # as `vidfer report` does
    assert read_status(results)[0].stages[OUTPUTS] == "stale"


@pytest.mark.usefixtures("number")
def test_a_failed_clip_says_why(results: Path) -> None:
    failure = {"stage": "decode", "message": "no frames: record it again"}
    with Journal(journal_file(results)) as journal:
        journal.add(ClipRecord(clip_id="a", path="a.mp4", fingerprint="", status="failed", failure=failure))
    failed, other = read_status(results)
    assert (failed.clip_id, failed.stages["faces"], failed.note) == ("a", "failed", failure["message"])
    assert set(other.stages.values()) == {"cached"}


def test_files_of_many_clips_are_looked_at_on_demand(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (results / "a" / "timeline.csv").unlink()
    (table,) = StageCache(cache_folder(results)).keys("tracks") - {
        read.keys["tracks"] for read in [Journal(journal_file(results)).records["b"]]
    }
    StageCache(cache_folder(results)).path("tracks", table).unlink()
    monkeypatch.setattr(vidfer.engine.status, "MANY_CLIPS", 1)
    (first, second), (looked, _) = read_status(results), read_status(results, check=True)
    assert set(first.stages.values()) == {"cached"}
    assert (looked.stages["tracks"], looked.stages[OUTPUTS]) == ("missing", "missing")
    assert set(second.stages.values()) == {"cached"}


def test_a_video_of_another_size_makes_everything_stale(results: Path) -> None:
    (results.parent / "a.mp4").write_bytes(b"another video")
    changed, other = read_status(results)
    assert set(changed.stages.values()) == {"stale"}
    assert changed.note == "the video has changed"
    assert set(other.stages.values()) == {"cached"}
