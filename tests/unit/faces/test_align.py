"""Aligned faces: right place, right way up, the same at every source size, no aliasing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidfer.faces.align import (
    TEMPLATE,
    apply_transforms,
    box_transforms,
    invert_transforms,
    similarity_transforms,
    warp_faces,
)


def rotated_template(*, degrees: float, side: float, centre: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((TEMPLATE - 0.5) @ rotation.T * side + centre).astype(np.float32)


def gradient(height: int, width: int) -> torch.Tensor:
    """An image whose red says x and whose green says y, both 0..1 of its size."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    image = np.stack([x / width * 255, y / height * 255, np.zeros_like(x)], -1)
    return torch.from_numpy(image.round().astype(np.uint8))[None]  # (1, H, W, 3)


@pytest.mark.parametrize("degrees", [0.0, 30.0, -75.0, 180.0])
def test_points_land_on_the_template(degrees: float) -> None:
    points = rotated_template(degrees=degrees, side=120, centre=(300, 180))[None]
    moved = apply_transforms(similarity_transforms(points), points)
    assert moved[0] == pytest.approx(TEMPLATE, abs=1e-5)


def test_inverse_undoes() -> None:
    transforms = similarity_transforms(rotated_template(degrees=20, side=90, centre=(50, 60))[None])
    points = np.array([[[3.0, 4.0], [100.0, -7.0]]], np.float32)
    assert apply_transforms(invert_transforms(transforms), apply_transforms(transforms, points)) == pytest.approx(
        points, abs=1e-3
    )


def test_nan_points_give_a_nan_transform_and_a_black_face() -> None:
    transforms = similarity_transforms(np.full((1, 5, 2), np.nan, np.float32))
    assert np.isnan(transforms).all()
    assert not warp_faces(gradient(40, 40), np.array([0]), transforms, size=16).any()


@pytest.mark.parametrize(("degrees", "side"), [(0.0, 60.0), (25.0, 200.0), (-90.0, 120.0)])
def test_every_pixel_comes_from_where_the_transform_says(degrees: float, side: float) -> None:
    size = 32
    transforms = similarity_transforms(rotated_template(degrees=degrees, side=side, centre=(200, 150))[None])
    face = warp_faces(gradient(300, 400), np.array([0]), transforms, size=size)[0].numpy()
    ticks = (np.arange(size) + 0.5) / size
    square = np.stack(np.meshgrid(ticks, ticks), -1).reshape(1, -1, 2)
    source = apply_transforms(invert_transforms(transforms), square)[0].reshape(size, size, 2)
    assert face[0] == pytest.approx(source[..., 0] / 400, abs=0.006)
    assert face[1] == pytest.approx(source[..., 1] / 300, abs=0.006)


def test_the_same_face_looks_the_same_from_small_and_large_sources() -> None:
    large = gradient(960, 960)
    large = (large.float() * (1 + 0.3 * torch.sin(torch.arange(960) / 60.0))[None, None, :, None] / 1.3).to(torch.uint8)
    small = torch.nn.functional.interpolate(large.permute(0, 3, 1, 2).float(), size=(240, 240), mode="area")
    small = small.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    points = rotated_template(degrees=10, side=500, centre=(480, 480))[None]
    faces = [
        warp_faces(image, np.array([0]), similarity_transforms(points * scale), size=48)
        for image, scale in ((large, 1.0), (small, 0.25))
    ]
    assert (faces[0] - faces[1]).abs().max() < 0.03


def test_fine_stripes_average_out_instead_of_aliasing() -> None:
    stripes = (np.arange(800) % 2 * 255).astype(np.uint8)
    image = torch.from_numpy(np.broadcast_to(stripes[None, :, None], (800, 800, 3)).copy())[None]
    transforms = similarity_transforms(rotated_template(degrees=0, side=640, centre=(400, 400))[None])
    face = warp_faces(image, np.array([0]), transforms, size=64)
    assert (face - 0.5).abs().max() < 0.05


def test_a_face_beyond_the_edge_repeats_the_border() -> None:
    image = gradient(100, 100)
    transforms = box_transforms(np.array([[-50.0, -50.0, 50.0, 50.0]], np.float32))
    face = warp_faces(image, np.array([0]), transforms, size=20)[0]
    assert face[0, :, :9].max() < 0.02
    assert face[0, 0, -1] == pytest.approx(0.475, abs=0.02)


def test_faces_do_not_depend_on_their_neighbours() -> None:
    images = torch.cat([gradient(90, 120), 255 - gradient(90, 120)])
    boxes = np.array([[10, 10, 50, 50], [30, 20, 100, 80], [0, 0, 120, 90]], np.float32)
    rows = np.array([0, 1, 1])
    together = warp_faces(images, rows, box_transforms(boxes), size=24)
    for i in range(3):
        alone = warp_faces(images, rows[i : i + 1], box_transforms(boxes[i : i + 1]), size=24)
        assert torch.equal(alone[0], together[i])


def test_no_faces_and_gray_images() -> None:
    assert warp_faces(gradient(20, 20), np.zeros(0, np.int64), np.zeros((0, 2, 3), np.float32), size=8).shape == (
        0,
        3,
        8,
        8,
    )
    gray = gradient(20, 20)[..., :1].contiguous()
    assert warp_faces(gray, np.array([0]), box_transforms(np.array([[0, 0, 20, 20]])), size=8).shape == (1, 1, 8, 8)
