import numpy as np
import pytest
import torch

from vidfer.backbones.hand_features import (
    FEATURES,
    ORIENTATIONS,
    distances_and_angles,
    face_geometry,
    gabor_magnitudes,
)
from vidfer.config import FacesConfig
from vidfer.faces.align import warp_faces
from vidfer.faces.landmarks.embedded import EmbeddedLandmarker
from vidfer.faces.landmarks.frontal import EYE_DISTANCE_MM, depth_of_landmarks, frontal_landmarks
from vidfer.faces.pose import rotation_matrices
from vidfer.pipeline.pictures import PictureFaces


@pytest.fixture(scope="module")
def face() -> torch.Tensor:
    """A real aligned face (1, 1, 48, 48)."""
    from skimage import data

    picture = data.astronaut()
    transform = PictureFaces(FacesConfig(), device="cpu").find(picture)
    assert transform is not None
    return warp_faces(torch.from_numpy(picture)[None], np.zeros(1, np.int64), transform[None], size=48, gray=True)


def grating(degrees: float) -> torch.Tensor:
    """Return stripes (1, 1, 48, 48) of 4 px, whose brightness changes along a direction."""
    y, x = np.mgrid[:48, :48]
    along = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
    return torch.from_numpy(0.5 + 0.4 * np.cos(2 * np.pi * along / 4)).float()[None, None]


@pytest.mark.parametrize("name", FEATURES)
def test_a_row_for_every_face(name: str, face: torch.Tensor) -> None:
    found = FEATURES[name].extract(torch.cat([face, face.flip(3)]))
    assert found.shape == (2, FEATURES[name].count)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    assert not torch.allclose(found[0], found[1])
    assert FEATURES[name].extract(torch.zeros(0, 1, 48, 48)).shape == (0, FEATURES[name].count)


@pytest.mark.parametrize("name", ["lbp", "hog"])
def test_less_light_changes_no_texture(name: str, face: torch.Tensor) -> None:
    bright, dark = FEATURES[name].extract(torch.cat([face, 0.6 * face]))
    other = FEATURES[name].extract(face.flip(2))[0]
    assert (bright - dark).norm() < 0.5 * (bright - other).norm()


def test_gabor_filters_tell_directions_apart_and_see_no_even_light() -> None:
    found = gabor_magnitudes(torch.cat([grating(0), grating(90), torch.full((1, 1, 48, 48), 0.7)]))
    energy = found.reshape(3, -1, ORIENTATIONS, 36).mean((1, 3))  # (3, 8)
    assert energy[0].argmax() == 0
    assert energy[1].argmax() == ORIENTATIONS // 2
    assert energy[2].max() < 1e-4


def test_geometry_is_measured_in_eye_distances(face: torch.Tensor) -> None:
    found = face_geometry(face)[0].numpy()
    first, second = np.triu_indices(51, 1)
    corners = {frozenset(pair): found[i] for i, pair in enumerate(zip(first.tolist(), second.tolist(), strict=True))}
    outer, inner = corners[frozenset((19, 28))], corners[frozenset((22, 25))]  # corners of the eyes: 36-45, 39-42
    assert inner < 1 < outer
    assert (outer + inner) / 2 == pytest.approx(1, abs=0.15)
    assert (found[-38:] >= 0).all()
    assert (found[-38:] <= np.pi).all()


def test_geometry_from_the_front_changes_less_when_the_head_turns(face: torch.Tensor) -> None:
    points = EmbeddedLandmarker().locate(
        (face[:, 0] * 255).to(torch.uint8)[..., None], np.zeros(1, np.int64), np.array([[6.2, -1.1, 42.3, 47.9]])
    )[0]
    solid = np.concatenate([points - points.mean(1, keepdims=True), depth_of_landmarks(points)[..., None]], 2)
    turned = (solid @ rotation_matrices(np.array([[0.0, 35.0, 0.0]])).transpose(0, 2, 1))[..., :2]
    both = np.concatenate([solid[..., :2], turned])
    plain = distances_and_angles(both / 18)
    front = distances_and_angles(frontal_landmarks(both) / EYE_DISTANCE_MM)
    assert (front[0] - front[1]).norm() < 0.4 * (plain[0] - plain[1]).norm()
