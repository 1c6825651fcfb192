"""Networks run by ONNX Runtime: the same timelines, and no torch anywhere."""

import io
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import av
import numpy as np
import pytest
from fixtures import forked
from fixtures.commands import TIMEOUT_SECONDS, vidfer
from fixtures.fuzz_trials import short_clip
from fixtures.service import serving

from vidfer import load_timeline
from vidfer.config import load_pipeline
from vidfer.engine.plan import stage_keys
from vidfer.errors import ConfigError, WeightsError
from vidfer.labels import EMOTIONS
from vidfer.pipeline.exported import shared_with
from vidfer.pipeline.pipeline import Pipeline
from vidfer.video.probe import probe
from vidfer.video.pyav_reader import PyAVReader

pytest.importorskip("onnxruntime", reason="the extra vidfer[onnx] is not installed")
pytest.importorskip("onnx", reason="the extra vidfer[onnx] is not installed")

ROOT = Path(__file__).parents[2]
NO_TORCH = {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests/fixtures/no_torch"), str(ROOT)])}
EVERYTHING = (
    "--export",
    "csv",
    "--set",
    "movements.enabled=true",
    "--set",
    "emotions.prior=balanced",
    "--set",
    "emotions.baseline=clip",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "networks"
    done = forked.vidfer("export", "onnx", "--out", out, "--quiet")
    assert done.returncode == 0, done.stderr
    return out


def settings(folder):
    return [f"networks.folder={folder}", "networks.runtime=onnx"]


def arguments(folder):
    return [part for setting in settings(folder) for part in ("--set", setting)]


def test_torch_is_kept_away():
    code = "import vidfer.pipeline.pipeline\ntry:\n    import torch\nexcept ImportError:\n    print('away')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **NO_TORCH}
    )
    assert done.stdout.strip() == "away", done.stderr


@pytest.fixture(scope="module")
def both(sample_video, folder, tmp_path_factory):
    """The results of the sample with torch and without, all stages on."""
    outs = tmp_path_factory.mktemp("torch"), tmp_path_factory.mktemp("onnx")
    command = ("process", sample_video, "--fps", "5", *EVERYTHING, "--out")
    with_torch = forked.vidfer(*command, outs[0])
    without = vidfer(*command, outs[1], *arguments(folder), env=NO_TORCH)
    for done in (with_torch, without):
        assert done.returncode == 0, done.stderr
    return outs


def test_process_without_torch_has_the_same_timeline(both):
    theirs, ours = (load_timeline(out / "sample") for out in both)
    assert list(ours.columns) == list(theirs.columns)
    assert ours.face_id.tolist() == theirs.face_id.tolist()
    names = list(EMOTIONS)
    # Each network is within 0.01 (contract suite); here a box a little aside goes through all that follow.
    apart = np.abs(ours[names].to_numpy() - theirs[names].to_numpy())
    assert np.nanmean(apart) < 0.002
    assert np.nanmax(apart) < 0.03
    two_largest = np.sort(theirs[names].to_numpy(), 1)[:, -2:]
    near_tie = two_largest[:, 1] - two_largest[:, 0] < 0.02  # where courses cross: a frame early or late either way
    assert near_tie.mean() < 0.1
    assert (ours.emotion.fillna("") == theirs.emotion.fillna(""))[~near_tie].all()
    for column, most in {"x": 1, "width": 1, "quality": 0.02, "smile_left": 0.03, "gaze_yaw": 1, "yaw": 1}.items():
        assert np.nanmax(np.abs(ours[column] - theirs[column])) < most, column


def test_a_second_run_finds_everything_cached_and_says_what_ran(both, sample_video, folder):
    run = json.loads((both[1] / "run.json").read_text())
    assert "torch" not in run["packages"]
    assert run["packages"]["onnxruntime"]
    done = vidfer(
        "process", sample_video, "--out", both[1], "--fps", "5", *EVERYTHING, *arguments(folder), env=NO_TORCH
    )
    assert done.returncode == 0, done.stderr
    assert "cached" in done.stdout + done.stderr


def test_live_without_torch_prints_faces(sample_video, folder, tmp_path):
    clip = short_clip(sample_video, tmp_path / "short.mp4", num_frames=30)
    done = vidfer("live", clip, *arguments(folder), "--set", "people.link=true", env=NO_TORCH)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(len(line["faces"]) for line in lines) > 20
    assert lines[-1]["faces"][0]["person_id"] == 0


def test_serve_without_torch_answers(sample_video, folder, tmp_path):
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    with av.open(str(sample_video)) as video:
        pictures = [frame.to_image() for _, frame in zip(range(5), video.decode(video=0), strict=False)]
    sent = []
    for picture in pictures:
        data = io.BytesIO()
        picture.save(data, "PNG")
        sent.append(data.getvalue())
    quick = ("--set", "video.fps=2", "--set", "output.exports=['csv', 'summary']")
    with serving(tmp_path / "jobs", *quick, *arguments(folder), env=NO_TORCH) as service:
        assert len(service.ask("POST", "/picture", sent[0]).json["faces"]) == 1
        with client.connect(f"ws://127.0.0.1:{service.port}/stream", open_timeout=TIMEOUT_SECONDS) as stream:
            for number, data in enumerate(sent):
                stream.send(json.dumps({"seconds": number / 25}))
                stream.send(data)
            answers = [json.loads(stream.recv(timeout=TIMEOUT_SECONDS)) for _ in sent]
        assert [len(answer["faces"]) for answer in answers] == [0, 0, 1, 1, 1]
        assert service.end_of(service.send(sample_video))["state"] == "done"
    refused = vidfer("serve", "--out", tmp_path / "other", "--set", "networks.runtime=onnx", "--port", "0")
    assert (refused.returncode, "needs networks.folder" in refused.stderr) == (2, True)


def test_a_stream_is_the_offline_causal_model(sample_video, folder):
    video = probe(sample_video)
    batches = list(PyAVReader(video).read(np.arange(0, 96, 3), batch_size=16))
    pipeline = Pipeline("live", settings=settings(folder))
    with pipeline.stream() as stream:
        frames = [
            stream.process(image, seconds)
            for batch in batches
            for image, seconds in zip(batch.images, batch.pts_seconds, strict=True)
        ]
    tables = {name: type(frames[0].tables[name]).stack([f.tables[name] for f in frames]) for name in frames[0].tables}
    everybody = pipeline.stage("tracks").process(tables)  # also the first faces of each track
    whole = pipeline.stage("emotions").process({**tables, "tracks": everybody}).probabilities
    counted = tables["tracks"].track_id >= 0
    assert counted.sum() > 20
    assert np.abs(tables["emotions"].probabilities[counted] - whole[counted]).max() < 1e-3


def test_faces_that_are_shared_between_threads_give_the_same_answers(sample_video, folder):
    video = probe(sample_video)
    batches = PyAVReader(video).read(np.arange(0, 12), batch_size=12)
    frames = [np.concatenate([image[::2, ::2]] * 3, 1) for batch in batches for image in batch.images]
    pipeline = Pipeline("live", settings=settings(folder))
    answers = []
    for share in (shared_with, lambda _: nullcontext()):
        with pytest.MonkeyPatch.context() as patch, pipeline.stream() as stream:
            patch.setattr("vidfer.pipeline.stream.shared_with", share)
            answers.append([stream.push(image, number / 25) for number, image in enumerate(frames)])
    assert [len(faces) for faces in answers[0]] == [0, 0, *[3] * 10]
    for ours, theirs in zip(*answers, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a.probabilities == pytest.approx(b.probabilities, abs=1e-5)
            assert a.xyxy == pytest.approx(b.xyxy, abs=1e-3)


def test_pictures_without_a_face_give_empty_tables(folder):
    pipeline = Pipeline("default", settings=[*settings(folder), "movements.enabled=true"])
    clip = pipeline.frames(np.full((4, 96, 128, 3), 90, np.uint8), fps=10)
    assert [len(faces) for faces in clip] == [0, 0, 0, 0]
    assert [len(stage.empty().arrays()) > 0 for stage in pipeline.frame_stages.stages.values()] == [True] * 4


def test_the_runtime_is_in_the_cache_keys(folder, tmp_path):
    config = load_pipeline("default")
    other = load_pipeline("default", settings(folder))
    torch, onnx = (stage_keys("content", "pyav", c, clip_id="a") for c in (config, other))
    assert not [name for name in torch if name != "edits" and torch[name] == onnx[name]]
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    moved = stage_keys("content", "pyav", load_pipeline("default", settings(copy)), clip_id="a")
    assert moved == onnx, "the folder's name is no setting that counts, its content is"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["networks.runtime=onnx"], "networks.folder"),
        (["networks.runtime=onnx", "networks.folder=f", "faces.detector=sfd"], "faces.detector"),
        (["networks.runtime=onnx", "networks.folder=f", "run.device=cuda"], "CPU"),
        (["networks.runtime=onnx", "networks.folder=f", "backbone.weights=my.safetensors"], "backbone.weights"),
        (["networks.runtime=onnx", "networks.folder=f", "temporal.name=tcn"], "tcn"),
        (["backbone.weights=networks/expressions.onnx"], "networks.folder"),
    ],
)
def test_wrong_settings_are_named(wrong, message):
    with pytest.raises(ConfigError, match=message) as told:
        Pipeline("default", settings=wrong)
    assert len(str(told.value)) < 160, "one clear line"


def test_what_is_missing_or_another_network_is_named(folder, tmp_path):
    with pytest.raises(WeightsError, match=r"detector\.onnx"):
        Pipeline("default", settings=settings(tmp_path))
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "landmarks.onnx").write_bytes((folder / "detector.onnx").read_bytes())
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(WeightsError, match="expected the landmarks embedded, got the detector"):
        Pipeline("default", settings=settings(tmp_path)).image(image)
    (tmp_path / "landmarks.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="expected a file of 'vidfer export onnx'"):
        Pipeline("default", settings=settings(tmp_path)).image(image)
    with pytest.raises(ConfigError, match="detector"):
        Pipeline("default", settings=settings(folder), detector=object())
