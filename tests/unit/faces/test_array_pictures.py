"""What is done to pictures as arrays is what is done to them as tensors."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from vidfer.faces.align import warp_faces
from vidfer.faces.continuity import appearance_of
from vidfer.faces.detectors.embedded import build_embedded

IMAGES = np.ascontiguousarray(np.stack([astronaut(), astronaut()[::-1, ::-1]]))


def transforms(*faces):
    """(N, 2, 3), of centre, side and turn in degrees each."""
    found = []
    for (x, y), side, degrees in faces:
        turn = np.radians(degrees)
        linear = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / side
        found.append(np.concatenate([linear, (0.5 - linear @ [x, y])[:, None]], 1))
    return np.array(found, np.float32).reshape(-1, 2, 3)


# In the middle, small, turned, over the edge, beyond it, not finite.
FACES = transforms(
    ((220, 120), 130, 0), ((220, 120), 20, 10), ((220, 120), 200, -40), ((5, 500), 90, 5), ((-80, 40), 60, 0),
    ((np.nan, 0), 50, 0),
)  # fmt: skip
ROWS = np.array([0, 0, 1, 0, 1, 0])


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("size", [40, 48, 80])
@pytest.mark.parametrize("channels", [1, 3])
def test_faces_are_cut_alike(gray, size, channels):
    images = np.ascontiguousarray(IMAGES[..., :channels])
    ours = warp_faces(images, ROWS, FACES, size=size, gray=gray)
    theirs = warp_faces(torch.from_numpy(images), ROWS, FACES, size=size, gray=gray).numpy()
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1.5 / 255, "Pillow and PyTorch round one pixel in a thousand otherwise"
    assert np.abs(ours - theirs).mean() < 1e-4


def test_nobody_is_cut_alike():
    assert warp_faces(IMAGES, np.zeros(0, int), transforms(), size=48).shape == (0, 3, 48, 48)


def test_looks_are_alike():
    aligned = warp_faces(IMAGES, ROWS, FACES, size=48)
    assert np.abs(appearance_of(aligned) - appearance_of(torch.from_numpy(aligned))).max() < 1e-5
    assert appearance_of(aligned[:0]).shape == appearance_of(torch.from_numpy(aligned[:0])).shape


def test_the_detector_sees_the_same_light(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra vidfer[onnx] is not installed")
    pytest.importorskip("onnx", reason="the extra vidfer[onnx] is not installed")
    from vidfer.config import load_pipeline
    from vidfer.export.networks import exportable_networks
    from vidfer.export.onnx import write_onnx
    from vidfer.pipeline.exported import ExportedDetector

    network = next(n for n in exportable_networks(load_pipeline()) if n.name == "detector")
    file = str(write_onnx(network, tmp_path))
    blue = IMAGES[:1].copy()
    blue[..., :2] //= 8  # red and green: a stage in blue light
    pictures = [IMAGES, blue, IMAGES[:, :333, :77], IMAGES[:, :0], np.ascontiguousarray(IMAGES[:, 100:140, 100:140])]
    for long_side in (0, 256):
        ours = ExportedDetector(device="cpu", min_score=0.5, long_side=long_side, weights=file)
        theirs = build_embedded(long_side=long_side)
        for images in pictures:
            found, expected = ours.detect(images), theirs.detect(torch.from_numpy(images))
            assert found.image_row.tolist() == expected.image_row.tolist()
            assert np.allclose(found.xyxy, expected.xyxy, atol=0.75)  # px; PyTorch's may compute in bfloat16
            assert np.allclose(found.score, expected.score, atol=0.01)
            assert np.allclose(found.points5, expected.points5, atol=0.75)
