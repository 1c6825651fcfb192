"""The embedded detector: suppression, the network's geometry, its weight file."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from fixtures.face_clips import draw_portrait
from fixtures.scene_files import real_scenes_folder

from vidfer.errors import WeightsError
from vidfer.faces.detector_network import NUM_OUTPUTS, DetectorNetwork, DetectorShape, cells, decode, fused
from vidfer.faces.detectors import DETECTORS, least_face_px, search_side
from vidfer.faces.detectors.embedded import build_embedded
from vidfer.faces.nms import pairwise_iou, suppress
from vidfer.weights import assets_folder, save_tensors

TINY = DetectorShape(stem=(8, 8), widths=(8, 16, 16), blocks=(1, 1, 1), neck=8)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = DetectorNetwork(TINY)
    with torch.no_grad():
        network(torch.rand(4, 3, 64, 96) * 255)  # batch norms that are not trivial
    return network.eval()


def test_overlapping_boxes_become_one_between_them():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 0, 40, 10]], np.float32)
    values, score = suppress(boxes, np.array([0.9, 0.9, 0.95], np.float32), max_iou=0.4)
    assert score.tolist() == pytest.approx([0.95, 0.9])
    np.testing.assert_allclose(values, [[30, 0, 40, 10], [0.5, 0, 10.5, 10]])


def test_a_chain_of_overlaps_keeps_both_ends():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]], np.float32)
    _, score = suppress(boxes, np.array([0.8, 0.9, 0.7], np.float32), max_iou=0.4)
    assert len(score) == 3  # neighbours share a third only
    assert pairwise_iou(boxes, boxes)[0, 1] == pytest.approx(1 / 3)


def test_nothing_to_suppress():
    values, score = suppress(np.zeros((0, 14), np.float32), np.zeros(0, np.float32), max_iou=0.4)
    assert values.shape == (0, 14)
    assert score.shape == (0,)


def test_every_cell_answers(network):
    centres, strides = cells(64, 96)
    outputs = network(torch.zeros(2, 3, 64, 96))
    assert outputs.shape == (2, len(centres), NUM_OUTPUTS)
    assert len(centres) == 8 * 12 + 4 * 6 + 2 * 3
    assert centres[:2].tolist() == [[4.0, 4.0], [12.0, 4.0]]
    assert sorted(strides[:, 0].unique().tolist()) == [8.0, 16.0, 32.0]


def test_output_of_zero_is_a_box_around_the_cell():
    xyxy, points = decode(torch.zeros(1, NUM_OUTPUTS), torch.tensor([[20.0, 12.0]]), torch.tensor([[8.0]]))
    assert xyxy[0].tolist() == [8.0, 0.0, 32.0, 24.0]
    assert points[0, 2].tolist() == [20.0, 12.0]


def test_folding_norms_into_convolutions_changes_nothing(network):
    images = torch.randint(0, 256, (3, 3, 64, 96)).float()
    with torch.inference_mode():
        torch.testing.assert_close(fused(network, torch.float32)(images), network(images), atol=1e-3, rtol=1e-3)


def test_foreign_weights_are_refused_by_name(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_tensors(path, {"a": torch.zeros(3)}, {"network": TINY.model_dump()})
    with pytest.raises(WeightsError, match=r"mine\.safetensors.*detector"):
        DETECTORS.get("embedded")(weights=str(path))


def test_weights_of_another_shape_are_refused(tmp_path, network):
    path = tmp_path / "mine.safetensors"
    save_tensors(path, network.state_dict(), {"network": DetectorShape().model_dump()})
    with pytest.raises(WeightsError, match=r"mine\.safetensors"):
        DETECTORS.get("embedded")(weights=str(path))


def test_importing_the_detector_does_not_import_torch():
    code = "import sys, vidfer.faces.detectors.embedded; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_embedded_file_is_small():
    assert (assets_folder() / "detector.safetensors").stat().st_size <= 2_000_000


def test_finds_nearly_all_clear_faces_of_held_back_photographs():
    from vidfer.learning.datasets.face_scenes import read_scenes
    from vidfer.learning.evaluation.detection import detection_figures, detection_outcome

    scenes = read_scenes(real_scenes_folder(), "val", limit=60)
    figures = detection_figures(detection_outcome(DETECTORS.get("embedded")(), scenes), min_score=0.5)
    assert figures["recall"] > 0.85
    assert figures["precision"] > 0.9
    assert figures["empty_fired"] <= 0.05


@pytest.mark.parametrize("colour", [(0.12, 0.2, 1.0), (0.15, 1.0, 0.3), (1.0, 0.15, 0.1), (1.0, 0.15, 0.9)])
def test_a_face_in_light_of_one_colour_is_found(colour):
    """Stages are lit so; pictures in other light are searched as they are, whatever lies beside them in a batch."""
    portrait = draw_portrait(0, width=320, height=240)
    lit = np.round(portrait.mean(2, keepdims=True) * colour).astype(np.uint8)
    images = torch.from_numpy(np.stack([portrait, lit, portrait]))
    detector = build_embedded()
    found = detector.detect(images)
    assert found.image_row.tolist() == [0, 1, 2]
    plain, one, again = found.xyxy
    assert pairwise_iou(one[None], plain[None])[0, 0] > 0.8
    assert found.score[1] > 0.65  # enough to begin a track
    np.testing.assert_array_equal(plain, again)
    np.testing.assert_allclose(detector.detect(images[1:2]).xyxy[0], one, atol=0.5)
    np.testing.assert_allclose(detector.detect(images[:1]).xyxy[0], plain, atol=0.5)


@pytest.mark.parametrize(
    ("size", "side", "least"), [((512, 512), 320, 25.6), ((1080, 1920), 768, 40), ((240, 320), 320, 16)]
)
def test_the_search_follows_the_picture(size, side, least):
    height, width = size
    assert search_side(0, height=height, width=width) == side
    assert search_side(100, height=height, width=width) == 100
    assert least_face_px(0, height=height, width=width) == pytest.approx(least)


def test_a_face_of_48_px_is_found_in_a_full_hd_picture():
    from PIL import Image

    portrait = draw_portrait(0, width=320, height=240)
    (whole,) = build_embedded().detect(torch.from_numpy(portrait.copy())[None]).xyxy
    scale = 48 / (whole[2] - whole[0])
    small = np.asarray(Image.fromarray(portrait).resize((round(320 * scale), round(240 * scale)), Image.Resampling.BOX))
    picture = np.full((1080, 1920, 3), 90, np.uint8)
    places = [(100, 200), (900, 500), (1700, 900)]
    for x, y in places:
        picture[y : y + small.shape[0], x : x + small.shape[1]] = small
    found = build_embedded().detect(torch.from_numpy(picture)[None])
    centres = sorted(((found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2).tolist())
    offset = (whole[:2] + whole[2:]) / 2 * scale
    np.testing.assert_allclose(centres, np.array(places) + offset, atol=6)
