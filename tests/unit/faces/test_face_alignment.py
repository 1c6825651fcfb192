"""Detectors and landmarks of face-alignment: right faces with real weights, right structure with random ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from skimage import data

from vidfer.config import load_pipeline
from vidfer.errors import WeightsError
from vidfer.faces.align import MIRRORED_LANDMARKS
from vidfer.faces.boxes import pairwise_iou
from vidfer.faces.detectors import DETECTORS
from vidfer.faces.detectors.face_alignment_scrfd import ScrfdDetector, decode
from vidfer.faces.detectors.face_alignment_sfd import SfdDetector
from vidfer.faces.landmarks import LANDMARKERS
from vidfer.faces.landmarks.face_alignment_2dfan4 import Fan4Landmarker, crop_transforms, peaks
from vidfer.faces.landmarks.face_alignment_3dfan4 import Fan4DepthLandmarker, spots

SHARED = Path(__file__).resolve().parents[3].parent / "shared"
PORTRAIT_BOX = np.array([[178.0, 65.0, 269.0, 176.0]], np.float32)  # the face of skimage's astronaut
NAMES = ("sfd", "blazeface", "retinaface", "scrfd", "yunet")


@pytest.fixture
def shared_weights(monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = SHARED / "weights"
    if not folder.is_dir():
        pytest.skip("third-party weights (../shared/weights) are not on this machine")
    pytest.importorskip("cv2", reason="opencv-python (or its libGL) is not here")
    monkeypatch.setenv("VIDFER_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def portrait() -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(data.astronaut()))[None]  # (1, 512, 512, 3)


class TinyFan(torch.nn.Module):
    """Maps crops to heatmaps as 2DFAN-4 does, in a thousandth of the time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 68, 9, padding=4)

    def forward(self, crops: torch.Tensor) -> list[torch.Tensor]:
        assert crops.shape[1:] == (3, 256, 256)
        return [self.layer(torch.nn.functional.avg_pool2d(crops, 4)).sigmoid()]


def clip_frames(name: str, count: int) -> torch.Tensor:
    path = SHARED / "clips" / f"{name}.mp4"
    if not path.is_file():
        pytest.skip("development clips (../shared/clips) are not on this machine")
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f, _ in zip(container.decode(video=0), range(count), strict=False)]
    return torch.from_numpy(np.stack(frames))


def test_all_are_known_by_name_without_importing_them():
    assert set(NAMES) <= set(DETECTORS.names())
    assert {"2dfan4", "3dfan4"} <= set(LANDMARKERS.names())
    code = (
        "import sys; from vidfer.faces.detectors import DETECTORS; from vidfer.faces.landmarks import LANDMARKERS; "
        "DETECTORS.names(); LANDMARKERS.names(); "
        "sys.exit(any(m in sys.modules for m in ('cv2', 'face_alignment', 'onnxruntime', 'torchvision')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_accurate_pipeline_names_components_that_exist():
    faces = load_pipeline("accurate").faces
    assert faces.detector == "sfd"
    assert faces.landmarks == "2dfan4"
    assert faces.detect_every == 1
    DETECTORS.get(faces.detector)
    LANDMARKERS.get(faces.landmarks)


@pytest.mark.parametrize("name", ["yunet", "retinaface", "blazeface"])
def test_real_weights_find_the_portrait_in_whatever_company(shared_weights, portrait, name):
    detector = DETECTORS.get(name)(device="cpu", min_score=0.5, long_side=512, weights="")
    empty = torch.from_numpy(np.ascontiguousarray(data.rocket()[:, :512].repeat(2, 0)[:512]))[None]
    found = detector.detect(torch.cat([empty, portrait, empty, portrait]))
    assert found.image_row.tolist() == [1, 3]
    assert pairwise_iou(found.xyxy, PORTRAIT_BOX).min() > 0.5
    alone = detector.detect(portrait)
    np.testing.assert_allclose(found.xyxy[:1], alone.xyxy, atol=0.1)
    right_eye, left_eye, nose = alone.points5[0, :3]
    assert right_eye[0] < nose[0] < left_eye[0]
    assert nose[1] > max(right_eye[1], left_eye[1])
    np.testing.assert_allclose(right_eye, [203, 109], atol=8)
    if name != "blazeface":
        right_mouth, left_mouth = alone.points5[0, 3:]
        assert right_mouth[0] < left_mouth[0]
        assert right_mouth[1] > nose[1]


@pytest.mark.parametrize("name", ["retinaface", "blazeface"])
def test_real_clips_give_the_same_faces_as_opencv_finds(shared_weights, name):
    frames = clip_frames("d0", 3)
    reference = DETECTORS.get("yunet")(device="cpu", min_score=0.6, long_side=512, weights="").detect(frames)
    found = DETECTORS.get(name)(device="cpu", min_score=0.5, long_side=512, weights="").detect(frames)
    assert found.image_row.tolist() == reference.image_row.tolist() == [0, 1, 2]
    overlap = pairwise_iou(reference.xyxy, found.xyxy).diagonal()
    assert overlap.min() > (0.85 if name == "retinaface" else 0.6)  # BlazeFace leaves the forehead out
    np.testing.assert_allclose(found.points5[:, :3], reference.points5[:, :3], atol=12)  # of a face 220 px wide


@pytest.mark.parametrize("name", ["yunet", "retinaface", "blazeface"])
@pytest.mark.parametrize("shape", [(0, 64, 64), (1, 1, 1), (2, 37, 91), (1, 91, 300)])
def test_odd_and_empty_frames_give_no_faces(shared_weights, name, shape):
    detector = DETECTORS.get(name)(device="cpu", min_score=0.5, long_side=128, weights="")
    found = detector.detect(torch.full((*shape, 3), 90, dtype=torch.uint8))
    assert len(found) == 0
    assert found.points5.shape == (0, 5, 2)


def test_faces_are_found_in_pixels_of_the_frame_when_it_is_shrunk(shared_weights, portrait):
    large = DETECTORS.get("retinaface")(device="cpu", min_score=0.5, long_side=512, weights="").detect(portrait)
    small = DETECTORS.get("retinaface")(device="cpu", min_score=0.5, long_side=256, weights="").detect(portrait)
    assert pairwise_iou(large.xyxy, small.xyxy).min() > 0.8


def test_sfd_finds_what_face_alignments_own_code_finds():
    net = pytest.importorskip("face_alignment.detection.sfd.net_s3fd", reason="face-alignment is not usable here")
    from face_alignment.detection.sfd.detect import batch_detect

    torch.manual_seed(1)
    network = net.s3fd().eval()
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8))
    theirs = np.asarray(batch_detect(network, images.permute(0, 3, 1, 2), "cpu"))  # (2, N, 5) with score > 0.05
    scores = np.unique(theirs[..., 4])
    scores = scores[int(0.85 * len(scores)) : int(0.95 * len(scores))]
    widest = int(np.diff(scores).argmax())  # no score lies so near the limit that rounding decides
    least = float(scores[widest : widest + 2].mean())
    detector = SfdDetector(network, min_score=least, long_side=96)
    ours = detector.find(images.permute(0, 3, 1, 2).float())
    for image in range(2):
        expected = np.unique(theirs[image][theirs[image][:, 4] >= least], axis=0)  # theirs come once per image
        found = np.column_stack([ours.values[:, :4], ours.score])[ours.image_row == image]
        assert len(expected) == len(found) > 10
        np.testing.assert_allclose(
            found[found[:, 0].argsort()], expected[expected[:, 0].argsort()], rtol=1e-3, atol=1e-3
        )
    whole = detector.detect(images)
    apart = [detector.detect(images[i : i + 1]) for i in range(2)]
    np.testing.assert_allclose(whole.xyxy, np.concatenate([a.xyxy for a in apart]), atol=1e-3)
    assert np.isnan(whole.points5).all()


def test_sfd_is_built_from_a_checkpoint_file(tmp_path):
    net = pytest.importorskip("face_alignment.detection.sfd.net_s3fd", reason="face-alignment is not usable here")
    path = tmp_path / "own.pth"
    torch.save(net.s3fd().state_dict(), path)
    detector = DETECTORS.get("sfd")(device="cpu", min_score=0.99, long_side=64, weights=str(path))
    assert len(detector.detect(torch.zeros((1, 64, 64, 3), dtype=torch.uint8))) == 0


def test_2dfan4_is_built_from_a_checkpoint_file(portrait, tmp_path):
    fan = pytest.importorskip("face_alignment.models.fan", reason="face-alignment (or OpenCV) is not usable here")
    path = tmp_path / "own.pth.tar"
    torch.save(fan.FAN(4).state_dict(), path)
    network = LANDMARKERS.get("2dfan4")(device="cpu", weights=str(path), flip=False)
    landmarks, score = network.locate(portrait, np.zeros(1, np.int64), PORTRAIT_BOX)
    assert landmarks.shape == (1, 68, 2)
    assert landmarks.dtype == score.dtype == np.float32
    assert 0 <= score[0] <= 1
    inverse = np.array([223.5, 107.2]) - 202 * 200 / 195 / 2, np.array([223.5, 107.2]) + 202 * 200 / 195 / 2
    assert (landmarks[0] >= inverse[0]).all()  # within the crop, about 2.05 times the box
    assert (landmarks[0] <= inverse[1]).all()


def test_2dfan4_looks_both_ways_so_mirrored_pictures_give_mirrored_points(portrait):
    """So it is with any weights."""
    network = Fan4Landmarker(TinyFan())
    landmarks, score = network.locate(portrait, np.zeros(1, np.int64), PORTRAIT_BOX)
    mirrored_box = np.array([512, 0, 512, 0]) + PORTRAIT_BOX[:, [2, 1, 0, 3]] * [-1, 1, -1, 1]
    mirrored, mirrored_score = network.locate(portrait.flip(2), np.zeros(1, np.int64), mirrored_box)
    back = mirrored[:, MIRRORED_LANDMARKS] * [-1, 1] + [512, 0]
    assert np.median(np.abs(back - landmarks)) < 0.1
    np.testing.assert_allclose(mirrored_score, score, atol=1e-3)


def test_2dfan4_takes_faces_in_batches_and_leaves_out_boxes_that_are_not_finite(portrait):
    boxes = np.concatenate([PORTRAIT_BOX, np.full((1, 4), np.nan), PORTRAIT_BOX + 20]).astype(np.float32)
    rows = np.zeros(3, np.int64)
    landmarks, scores = Fan4Landmarker(TinyFan(), max_batch_size=8).locate(portrait, rows, boxes)
    one_by_one, _ = Fan4Landmarker(TinyFan(), max_batch_size=1).locate(portrait, rows, boxes)
    assert np.isnan(landmarks[1]).all()
    assert scores[1] == 0
    assert np.isfinite(landmarks[[0, 2]]).all()
    assert np.median(np.abs(landmarks - one_by_one)[[0, 2]]) < 0.1
    none, no_scores = Fan4Landmarker(TinyFan()).locate(portrait, rows[:0], boxes[:0])
    assert none.shape == (0, 68, 2)
    assert no_scores.shape == (0,)
    gray, _ = Fan4Landmarker(TinyFan()).locate(portrait[..., :1], rows, boxes)
    assert np.isfinite(gray[[0, 2]]).all()


class Columns(torch.nn.Module):
    """Calls the column in which a point's spot is brightest its depth."""

    def forward(self, crops_and_spots: torch.Tensor) -> torch.Tensor:
        assert crops_and_spots.shape[1:] == (3 + 68, 256, 256)
        return crops_and_spots[:, 3:].amax(2).argmax(2).float()


def test_depth_comes_in_pixels_of_the_picture(portrait):
    landmarker = Fan4DepthLandmarker(TinyFan(), depth_network=Columns(), max_batch_size=2)
    boxes = np.concatenate([PORTRAIT_BOX, np.full((1, 4), np.nan), PORTRAIT_BOX + 20, PORTRAIT_BOX]).astype(np.float32)
    points, scores = landmarker.locate_3d(portrait, np.zeros(4, np.int64), boxes)
    flat, flat_scores = landmarker.locate(portrait, np.zeros(4, np.int64), boxes)
    assert points.shape == (4, 68, 3)
    np.testing.assert_array_equal(points[..., :2], flat)
    np.testing.assert_array_equal(scores, flat_scores)
    assert np.isnan(points[1]).all()
    side = 202 * 200 / 195  # px of the crop
    left = (boxes[[0, 2, 3], 0] + boxes[[0, 2, 3], 2]) / 2 - side / 2
    column = (points[[0, 2, 3], :, 0] - left[:, None]) * 256 / side
    within = (column > 2) & (column < 250)
    expected = (np.floor(column) - 1) * side / 256
    np.testing.assert_allclose(points[[0, 2, 3], :, 2][within], expected[within], atol=1.01 * side / 256)


def test_spots_are_face_alignments():
    package = pytest.importorskip("face_alignment.utils", reason="face-alignment is not usable here")
    points = torch.from_numpy(np.random.default_rng(0).uniform(8, 246, (1, 68, 2)).astype(np.float32))
    points[0, 5] = 0  # not found
    expected = np.zeros((68, 256, 256), np.float32)
    for j in range(68):
        if j != 5:
            package.draw_gaussian(expected[j], points[0, j], 2)
    np.testing.assert_allclose(spots(points)[0], expected, atol=1e-5)


def test_3dfan4_is_built_from_checkpoint_files(portrait, tmp_path):
    models = pytest.importorskip("face_alignment.models", reason="face-alignment (or OpenCV) is not usable here")
    files = []
    for name, make in (("fan", lambda: models.FAN(4)), ("depth", models.ResNetDepth)):
        with torch.device("meta"):
            like = make().state_dict()
        state = {key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in like.items()}
        files.append(tmp_path / f"{name}.pth.tar")
        if name == "depth":  # as published: of several processors, with the training's state around it
            state["fc.bias"] = torch.arange(68.0)
            state = {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}}
        torch.save(state, files[-1])
    make = LANDMARKERS.get("3dfan4")
    landmarker = make(device="cpu", weights=str(files[0]), depth_weights=str(files[1]), flip=False)
    points, _ = landmarker.locate_3d(portrait, np.zeros(1, np.int64), PORTRAIT_BOX)
    np.testing.assert_allclose(points[0, :, 2], np.arange(68) * (202 * 200 / 195) / 256, rtol=1e-5)
    wrong = make(device="cpu", weights=str(files[0]), depth_weights=str(files[0]), flip=False)
    with pytest.raises(WeightsError, match="expected weights of ResNetDepth, got another network's"):
        wrong.locate_3d(portrait, np.zeros(1, np.int64), PORTRAIT_BOX)


def test_peaks_and_crops_are_face_alignments():
    package = pytest.importorskip("face_alignment.utils", reason="face-alignment is not usable here")
    heatmaps = np.random.default_rng(0).random((2, 68, 64, 64)).astype(np.float32)
    highest = heatmaps.reshape(2, 68, -1).argmax(2)
    expected = package._get_preds_fromhm.py_func(heatmaps, highest.copy())[0]  # py_func: numba takes long to compile it
    points, found_heights = peaks(torch.from_numpy(heatmaps))
    np.testing.assert_allclose(points.numpy() * 64, expected, atol=1e-4)
    np.testing.assert_allclose(found_heights.numpy(), heatmaps.max((2, 3)))
    # Where a crop's corners lie: face-alignment's transform, without its rounding to whole pixels.
    width, height = 90.0, 110.0
    box = np.array([[100.0, 50.0, 100 + width, 50 + height]])
    centre = np.array([145.0, 105.0 - 0.12 * height])
    scale = (width + height) / package.REFERENCE_SCALE
    corner = package.transform([0, 0], centre, scale, 256.0, invert=True).numpy()
    matrix = crop_transforms(box)[0]
    np.testing.assert_allclose(-matrix[:, 2] / matrix[0, 0], corner, atol=1)


@pytest.mark.parametrize("name", [*NAMES, "2dfan4", "3dfan4"])
def test_missing_weights_say_what_to_fetch_and_where_to_put_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDFER_WEIGHTS", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    registry = LANDMARKERS if name.endswith("fan4") else DETECTORS
    with pytest.raises(WeightsError, match=r"fetch it from https://.* and put it into .*mine"):
        registry.get(name)(device="cpu", weights="")


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(WeightsError, match="another network's"):
        DETECTORS.get("retinaface")(device="cpu", weights=str(path))
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match=r"other\.pth: expected a PyTorch file"):
        DETECTORS.get("retinaface")(device="cpu", weights=str(path))


class _Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_checkpoint_that_carries_code_is_refused_and_not_run(tmp_path):
    target = tmp_path / "ran"
    path = tmp_path / "evil.pth"
    torch.save({"weight": _Bomb(str(target))}, path)
    with pytest.raises(WeightsError, match="expected a PyTorch file of plain tensors"):
        DETECTORS.get("retinaface")(device="cpu", weights=str(path))
    assert not target.exists()


@pytest.mark.parametrize(
    ("kind", "name", "block", "expected"),
    [
        ("detector", "sfd", "sys.modules['cv2'] = None", "the detector 'sfd' needs the package opencv-python"),
        ("detector", "blazeface", "sys.modules['face_alignment'] = None", "face-alignment, which cannot be imported"),
        ("detector", "yunet", "sys.meta_path.insert(0, NoGl())", "apt install libgl1"),
        ("detector", "scrfd", "sys.modules['onnxruntime'] = None", "needs the package onnxruntime"),
    ],
)
def test_a_missing_package_is_named_with_its_remedy(kind, name, block, expected, tmp_path):
    own = tmp_path / "own"
    own.write_bytes(b"")
    code = f"""
import sys
class NoGl:
    def find_spec(self, module, path, target=None):
        if module == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
{block}
from vidfer.errors import MissingDependency
from vidfer.faces.detectors import DETECTORS
from vidfer.faces.landmarks import LANDMARKERS
try:
    {{"detector": DETECTORS, "landmarks": LANDMARKERS}}[{kind!r}].get({name!r})(device="cpu", weights={str(own)!r})
except MissingDependency as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert expected in result.stdout, result.stderr
    assert "pip install" in result.stdout
    assert ("pip install 'vidfer[face-alignment]'" in result.stdout) == (name != "scrfd")


def test_scrfd_decodes_as_face_alignment_does():
    post = pytest.importorskip("face_alignment.detection.scrfd.postprocess", reason="face-alignment is not usable here")
    generator = np.random.default_rng(0)
    cells = [2 * (640 // stride) ** 2 for stride in (8, 16, 32)]
    scores = [generator.random((n, 1), dtype=np.float32) for n in cells]
    sides = [generator.random((n, 4), dtype=np.float32) * 3 for n in cells]
    points = [generator.random((n, 10), dtype=np.float32) for n in cells]
    values, found = decode([*scores, *sides, *points], 0.99)
    expected, expected_scores = [], []
    for stride, score, side in zip((8, 16, 32), scores, sides, strict=True):
        centres = post.generate_anchor_centers(640 // stride, 640 // stride, stride)
        keep = score[:, 0] >= 0.99
        expected.append(post.distance2bbox(centres, side * stride)[keep])
        expected_scores.append(score[keep, 0])
    np.testing.assert_allclose(values[:, :4], np.concatenate(expected), rtol=1e-5)
    np.testing.assert_array_equal(found, np.concatenate(expected_scores))
    assert np.isfinite(values).all()
    assert np.isnan(decode([*scores, *sides], 0.99)[0][:, 4:]).all()  # a model without points


class _Session:
    """Stands for ONNX Runtime, which tests do without: one face wherever the picture is pure red."""

    def get_inputs(self):
        class Input:
            name = "input.1"

        return [Input()]

    def run(self, _names, inputs):
        (square,) = inputs.values()
        red = (square[0, 0] > 0.9) & (square[0, 1:] < -0.9).all(0)  # (640, 640)
        outputs = []
        for stride in (8, 16, 32):
            hit = red[::stride, ::stride] if stride == 32 else np.zeros((640 // stride,) * 2, bool)
            outputs.append(np.repeat(hit.reshape(-1, 1), 2, 0).astype(np.float32))
        outputs += [np.ones((len(score), 4), np.float32) for score in outputs[:3]]
        return outputs


def test_scrfd_gets_rgb_and_gives_pixels_of_the_frame():
    images = torch.zeros((2, 480, 1280, 3), dtype=torch.uint8)
    images[1, 250:270, 630:660, 0] = 255  # red; shrunk by 2 it covers the anchor at (320, 128)
    found = ScrfdDetector(_Session(), min_score=0.5, long_side=640).detect(images)
    assert found.image_row.tolist() == [1]
    np.testing.assert_allclose(found.xyxy, [[576, 192, 704, 320]])
