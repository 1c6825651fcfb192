"""Every network that is exported gives in ONNX Runtime what it gives in PyTorch, on real faces of any number."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.forked import vidfer
from fixtures.fuzz_trials import short_clip

from vidfer.backbones.load import load_backbone
from vidfer.config import load_pipeline
from vidfer.errors import ConfigError, DataError
from vidfer.export import eight_bits
from vidfer.export.eight_bits import loss, quantise
from vidfer.export.networks import exportable_networks
from vidfer.export.onnx import write_onnx
from vidfer.faces.align import box_transforms, warp_faces
from vidfer.faces.boxes import pairwise_iou
from vidfer.faces.detectors.embedded import build_embedded
from vidfer.faces.quality import QUALITY_SIZE, quality_features
from vidfer.labels import EMOTIONS
from vidfer.movements.eyes import eye_transforms
from vidfer.pipeline.emotions import track_rows, track_sequences
from vidfer.pipeline.exported import METADATA, ExportedNetwork
from vidfer.pipeline.pipeline import Pipeline
from vidfer.temporal import TEMPORAL_MODELS
from vidfer.temporal.grid import between_nodes, make_grid
from vidfer.temporal.networks.features import node_features
from vidfer.temporal.probabilities import softmax
from vidfer.video.probe import probe
from vidfer.video.pyav_reader import PyAVReader

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra vidfer[onnx] is not installed")
pytest.importorskip("onnx", reason="the extra vidfer[onnx] is not installed")

NETWORKS = {n.name: n for pipeline in ("default", "live") for n in exportable_networks(load_pipeline(pipeline))}


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    return {
        name: onnxruntime.InferenceSession(str(write_onnx(network, folder)), providers=["CPUExecutionProvider"])
        for name, network in NETWORKS.items()
    }


@pytest.fixture(scope="module")
def clip(sample_video):
    """Frames of the sample, ten a second, and what the pipeline makes of them."""
    video = probe(sample_video)
    rows = np.arange(0, video.num_frames, max(1, round(video.info.average_fps / 10)))
    (batch,) = PyAVReader(video).read(rows, batch_size=len(rows))
    config = load_pipeline("default", ["emotions.prior=natural"])  # as the network itself reads faces
    return batch, Pipeline(config, device="cpu").frames(batch.images, batch.pts_seconds).result


@pytest.fixture(scope="module")
def inputs(clip):
    """What each network reads, from the clip; those of one call in the order of its arguments."""
    batch, result = clip
    images, faces = torch.from_numpy(batch.images), result.faces
    frames = images[:, :256, :320].permute(0, 3, 1, 2).float().contiguous()
    margin = NETWORKS["landmarks"].about["margin"]
    size = NETWORKS["landmarks"].inputs["crops"].shape[-1]
    around = box_transforms(faces.xyxy, margin=margin)
    small = warp_faces(images, faces.frame_row, faces.transform, size=QUALITY_SIZE, gray=True)
    features = quality_features(
        size_px=(faces.xyxy[:, 2:] - faces.xyxy[:, :2]).max(1), pose=faces.pose, landmark_score=faces.landmark_score
    )
    movements = NETWORKS["movements"].module
    eyes = eye_transforms(np.asarray(faces.landmarks), faces.transform).reshape(-1, 2, 3)
    track = longest_track(clip)
    nodes = torch.from_numpy(node_features(track, make_grid(track.pts_seconds, track.quality)))[None]
    side = NETWORKS["expressions"].inputs["faces"].shape[-1]
    aligned = warp_faces(images, faces.frame_row, faces.transform, size=side, gray=True)
    return {
        "detector": (frames[::8],),
        "landmarks": (warp_faces(images, faces.frame_row, around, size=size, gray=True),),
        "quality": (small, torch.from_numpy(features)),
        "expressions": (aligned,),
        "identity": (warp_faces(images, faces.frame_row, faces.transform, size=NETWORKS["identity"].module.size),),
        "movements": (
            warp_faces(images, faces.frame_row, faces.transform, size=movements.face_size, gray=True),
            warp_faces(images, faces.frame_row.repeat(2), eyes, size=movements.eye_size, gray=True).unflatten(
                0, (-1, 2)
            ),
        ),
        "temporal": (nodes,),
        "temporal_step": (nodes, *list(NETWORKS["temporal_step"].inputs.values())[1:]),
    }


def run_onnx(session, tensors):
    names = [given.name for given in session.get_inputs()]
    return session.run(None, {name: np.asarray(t) for name, t in zip(names, tensors, strict=True)})


@pytest.mark.parametrize("name", NETWORKS)
def test_same_numbers_for_any_number_of_rows(sessions, inputs, name):
    for rows in (slice(0, 1), slice(None)):
        if name.startswith("temporal"):
            features, *state = inputs[name]
            tensors = features[:, rows], *state
        else:
            tensors = tuple(tensor[rows] for tensor in inputs[name])
        with torch.inference_mode():
            expected = NETWORKS[name].module(*tensors)
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = run_onnx(sessions[name], tensors)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == tuple(theirs.shape)
            scale = max(1.0, float(theirs.abs().max()))
            assert np.abs(ours - theirs.numpy()).max() < 1e-4 * scale


@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_says_what_it_is(sessions, name):
    about = json.loads(sessions[name].get_modelmeta().custom_metadata_map[METADATA])
    assert about["name"] == name
    assert about["sha256"]
    assert about["input"]
    if name in ("expressions", "temporal", "temporal_step"):
        assert tuple(about["labels"]) == EMOTIONS


def test_labels_and_probabilities_are_those_of_the_pipeline(sessions, inputs, clip):
    aligned = inputs["expressions"][0]
    ours = softmax(run_onnx(sessions["expressions"], (aligned,))[1])
    theirs = softmax(load_backbone("compact").packed().embed(aligned)[1])
    assert len(ours) > 60
    assert (ours.argmax(1) == theirs.argmax(1)).mean() >= 0.999
    assert np.abs(ours - theirs).max() < 0.01
    assert np.abs(ours - softmax(clip[1].embeddings.logits)).max() < 0.02, "the pipeline turns gray behind the warp"


def test_another_size_of_picture_has_the_same_faces(sessions, clip):
    images = clip[0].images[:1, :320, :320]  # its faces lie within
    score, boxes, _ = run_onnx(sessions["detector"], (images.transpose(0, 3, 1, 2).astype(np.float32),))
    found = build_embedded(long_side=320).detect(torch.from_numpy(images))
    assert len(found.score) == 1
    best = score[0].argmax()
    assert score[0, best] == pytest.approx(found.score[0], abs=0.01)
    assert pairwise_iou(boxes[0, best][None], found.xyxy)[0, 0] > 0.95, "suppression averages over the cells of a face"


def longest_track(clip):
    batch, result = clip
    rows = max(track_rows(result.tracks.track_id), key=len)
    table = Pipeline("default", device="cpu").frame_stages.process(batch, ("embeddings",))["embeddings"]
    (track,) = track_sequences([rows], result.frames, result.faces, table)
    return track


def test_a_whole_track_has_the_probabilities_of_the_offline_model(sessions, clip):
    track = longest_track(clip)
    (expected,) = TEMPORAL_MODELS.get("gru")().predict([track])
    grid = make_grid(track.pts_seconds, track.quality)
    found = softmax(grid.at_rows(run_onnx(sessions["temporal"], (node_features(track, grid)[None],))[0][0]))
    assert len(found) > 20
    assert np.abs(found - expected).max() < 1e-4


def test_step_by_step_over_a_track(sessions, clip):
    track = longest_track(clip)
    model = TEMPORAL_MODELS.get("gru")(causal=True)
    (expected,) = model.predict([track])

    grid = make_grid(track.pts_seconds, track.quality, causal=True)
    session = sessions["temporal_step"]
    state = [tensor.numpy() for tensor in list(NETWORKS["temporal_step"].inputs.values())[1:]]
    nodes = []
    for features in node_features(track, grid):
        log_p, *state = run_onnx(session, (features[None, None], *state))
        nodes.append(log_p[0, 0])
    found = softmax(between_nodes(np.array(nodes), grid._read))
    assert len(found) > 20
    assert np.abs(found - expected).max() < 0.01
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.999


def test_mirror_is_an_option():
    plain, mirrored = (
        next(n for n in exportable_networks(load_pipeline("live"), mirror=mirror) if n.name == "expressions")
        for mirror in (False, True)
    )
    faces = torch.rand(3, *plain.inputs["faces"].shape[1:], generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        mean = (plain.module(faces)[1] + plain.module(faces.flip(3))[1]) / 2
        assert torch.allclose(mirrored.module(faces)[1], mean, atol=1e-5)
    assert (plain.about["mirror"], mirrored.about["mirror"]) == (False, True)


def test_what_has_no_step_is_refused():
    with pytest.raises(ConfigError, match="tcn"):
        exportable_networks(load_pipeline("default", ["temporal.name=tcn"]))
    with pytest.raises(ConfigError, match="sfd"):
        exportable_networks(load_pipeline("live", ["faces.detector=sfd"]))


def test_the_command_writes_all_networks(tmp_path):
    done = vidfer("export", "onnx", "--out", tmp_path / "networks")
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in (tmp_path / "networks").iterdir()} == set(NETWORKS)


@pytest.mark.skipif(
    "vnni" not in (Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else "vnni"),
    reason="without VNNI sums of 8-bit products saturate, so the export keeps float32",
)
@pytest.mark.parametrize("name", ["landmarks", "expressions", "identity"])
def test_in_8_bits_little_is_lost(name, sessions, inputs, tmp_path):
    path = write_onnx(NETWORKS[name], tmp_path)
    exact_bytes = path.stat().st_size
    (faces,) = (tensor.numpy() for tensor in inputs[name])
    about = quantise(path, faces)
    assert about["precision"] == "int8", about["int8"]
    assert path.stat().st_size < exact_bytes / 2
    network = ExportedNetwork(path, NETWORKS[name].about["component"])
    assert network.about == about
    lost, fits = loss(ExportedNetwork(sessions[name]._model_path), network, faces)
    assert fits, lost
    assert next(iter(lost.values())) not in (0.0, 1.0) or name == "expressions", "it is not the same file"


def test_what_loses_too_much_in_8_bits_stays_and_says_so(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(eight_bits, "MOST_POINTS", 0.0)
    path = write_onnx(NETWORKS["landmarks"], tmp_path)
    exact_bytes = path.stat().st_size
    about = quantise(path, inputs["landmarks"][0].numpy())
    assert about["precision"] == "float32"
    assert about["int8"]["points_p95"] > 0
    assert abs(path.stat().st_size - exact_bytes) < 1000
    assert ExportedNetwork(path).about == about


def test_too_few_faces_to_calibrate_on_are_named(sample_video, tmp_path):
    clip = short_clip(sample_video, tmp_path / "few.mp4", num_frames=5)
    with pytest.raises(DataError, match="--calibrate: expected 20 faces or more, found 5"):
        eight_bits.calibration_faces(load_pipeline(), [clip])


def test_the_command_in_8_bits_says_what_became_of_each_network(sample_video, tmp_path):
    clip = short_clip(sample_video, tmp_path / "clip.mp4", num_frames=24, side=256)
    done = vidfer("export", "onnx", "--int8", "--calibrate", clip, "--out", tmp_path / "networks")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(NETWORKS)
    assert [line for line in lines if "calibrated_on" in line] == [
        line for line in lines if line.partition(".onnx")[0].endswith(("landmarks", "expressions", "identity"))
    ]
