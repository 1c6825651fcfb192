"""Cache keys: a setting changes the keys of what depends on it, and of nothing else."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

import vidfer
from vidfer.config import load_pipeline
from vidfer.engine.plan import EDITS, KeyPlan, KeyPlans, probe_key, stage_keys
from vidfer.exporters import EXPORTERS
from vidfer.pipeline import STAGES
from vidfer.pipeline.provenance import package_version
from vidfer.store.cache_key import key_for
from vidfer.store.journal import ClipRecord

FINGERPRINT = "0" * 64
ALL = {"probe", "faces", "embeddings", "identity", "tracks", "people", "emotions", "numbers", "outputs"}


def changed_by(*settings: str, fingerprint: str = FINGERPRINT, reader: str = "decord", clip_id: str = "a") -> set[str]:
    before = stage_keys(FINGERPRINT, "decord", load_pipeline(), clip_id="a")
    after = stage_keys(fingerprint, reader, load_pipeline("default", settings), clip_id=clip_id)
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("video.fps=5", ALL - {"probe"}),
        ("video.rotation=90", ALL),
        ("faces.min_score=0.7", ALL),  # faces tell which way up a picture is
        ("backbone.name=vgg", {"embeddings", "emotions", "numbers", "outputs"}),
        ("tracks.min_iou=0.3", {"tracks", "people", "emotions", "numbers", "outputs"}),
        ("people.min_confidence=0.8", {"people", "emotions", "numbers", "outputs"}),
        ("people.keep_vectors=true", set()),
        ("emotions.prior=balanced", {"emotions", "numbers", "outputs"}),
        ("temporal.name=ema", {"emotions", "numbers", "outputs"}),
        ("timeline.min_duration_seconds=1", {"numbers", "outputs"}),
        ("people.which=main", {"numbers", "outputs"}),
        ("people.min_seconds=2", {"numbers", "outputs"}),
        ("output.exports=['csv']", {"outputs"}),
        ("run.jobs=7", set()),
        ("run.device=cpu", set()),
    ],
)
def test_a_setting_touches_what_depends_on_it(setting: str, expected: set[str]) -> None:
    assert changed_by(setting) == expected


def test_without_people_nothing_else_depends_on_their_stages() -> None:
    keys = stage_keys(FINGERPRINT, "decord", load_pipeline("default", ["people.link=false"]), clip_id="a")
    assert set(keys) == {*ALL, "edits"} - {"identity", "people"}
    tracks = next(stage for stage in STAGES if stage.name == "tracks")
    settings = load_pipeline().tracks.model_dump(mode="json")
    assert keys["tracks"] == key_for("tracks", version=tracks.version, config=settings, inputs=[keys["faces"]])


def test_content_and_reader_touch_everything_and_the_name_only_the_outputs() -> None:
    assert changed_by(fingerprint="1" * 64) == ALL
    assert changed_by(reader="pyav") == ALL - {"probe"}
    assert changed_by(clip_id="b") == {"outputs"}


def test_what_people_csv_says_touches_figures_and_files_alone() -> None:
    plain, edited = (stage_keys(FINGERPRINT, "pyav", load_pipeline(), clip_id="a", edits=of) for of in ("", "ab12"))
    assert {name for name in plain if plain[name] != edited[name]} == {"numbers", "outputs", "edits"}


@pytest.mark.parametrize("made_with", ["", "ab12"])
@pytest.mark.parametrize("now", ["", "ab12", "cd34"])
def test_a_clip_is_not_current_once_its_edits_have_changed(made_with: str, now: str) -> None:
    plans = KeyPlans(load_pipeline())
    plan = plans.of("pyav")
    keys = dict(plan.keys(FINGERPRINT, "a", made_with))
    record = ClipRecord(
        clip_id="a", path="a.mp4", fingerprint=FINGERPRINT, status="ok", reader="pyav", keys=keys,
        made_by=plan.made_by(made_with),
    )  # fmt: skip
    assert plans.keys_now(record) is record.keys
    assert plans.keys_now(record, now) == plan.keys(FINGERPRINT, "a", now)
    assert plans.keys_now(record, now)[EDITS] == now


def test_another_decoder_or_torch_computes_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_pipeline()
    usual = stage_keys(FINGERPRINT, "pyav", config, clip_id="a")
    for package in ("av", "torch"):
        package_version.cache_clear()
        monkeypatch.setattr(metadata, "version", lambda name, other=package: "99.1" if name == other else "1.0")
        other = stage_keys(FINGERPRINT, "pyav", config, clip_id="a")
        assert {name for name in ALL if usual[name] != other[name]} == ALL - {"probe"}
    package_version.cache_clear()


def test_where_own_weights_lie_does_not_matter_but_what_they_are(tmp_path: Path) -> None:
    for name, content in [("one", b"x"), ("two", b"x"), ("three", b"y")]:
        (tmp_path / name).write_bytes(content)
    keys = [
        stage_keys(
            FINGERPRINT, "decord", load_pipeline("default", [f"backbone.weights={tmp_path / name}"]), clip_id="a"
        )
        for name in ("one", "two", "three")
    ]
    assert keys[0]["embeddings"] == keys[1]["embeddings"] != keys[2]["embeddings"]


@pytest.mark.parametrize("clip_id", ["a", 'x/"q" \\ ü\n', "\udce9", "<clip's own>clip<clip's own>"])
def test_keys_filled_in_for_many_clips_are_those_of_each_alone(clip_id: str) -> None:
    config = load_pipeline("default", ["output.exports=['csv']"])
    plan = KeyPlan(config, "decord")
    plan.keys("1" * 64, "another")
    keys = plan.keys(FINGERPRINT, clip_id)
    tracks = next(stage for stage in STAGES if stage.name == "tracks")
    settings = config.tracks.model_dump(mode="json")
    inputs = [keys["faces"], keys["identity"]]
    assert keys["tracks"] == key_for("tracks", version=tracks.version, config=settings, inputs=inputs)
    outputs = {
        "timeline": config.timeline.model_dump(mode="json"),
        "people": config.people.who_counts(),
        "exports": [["csv", EXPORTERS.get("csv").version]],
        "chart": [config.output.chart, config.output.chart_size, config.output.thumbnails],
        "strict": config.video.strict,
        "clip_id": clip_id,
    }
    version = vidfer.__version__
    inputs = [keys["emotions"], keys["edits"]]
    assert keys["outputs"] == key_for("outputs", version=version, config=outputs, inputs=inputs)
    assert keys["probe"] == probe_key(FINGERPRINT, config)
