from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.fer_files import UPRIGHT, points68, write_fer_files, write_lfw_file

from vidfer.faces.align import TEMPLATE, five_points
from vidfer.learning.datasets.fer2013plus import read_fer2013plus
from vidfer.learning.datasets.labelled_pictures import LabelledPictures, read_fer_pictures, read_lfw_pictures
from vidfer.learning.datasets.talking_faces import talking_faces

INNER = 48 / 60


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_lfw_file(write_fer_files(tmp_path))


def test_landmarks_count_from_the_corner_of_a_picture(data: Path) -> None:
    pictures = read_fer2013plus(data, "Training")
    found = five_points(pictures.landmarks68[np.isfinite(pictures.landmarks68).all((1, 2))]).mean(0)
    np.testing.assert_allclose(found, UPRIGHT + 0.5, atol=0.3)  # the file counts from the centre of the first pixel


@pytest.mark.parametrize("border", [6, None])
def test_both_sources_are_aligned_alike(data: Path, border: int | None) -> None:
    for pictures in (
        read_fer_pictures(data, "Training", size=48, border=border),
        read_lfw_pictures(data, "train", size=48, border=border),
    ):
        assert pictures.faces.shape == (len(pictures), 1, 60, 60)
        points = five_points(pictures.points).mean(0) * 60 - 6  # px of the inner face
        np.testing.assert_allclose(points / 48, TEMPLATE, atol=0.02)


def test_lfw_knows_persons(data: Path) -> None:
    pictures = read_lfw_pictures(data, "train", size=48)
    assert len(pictures) == 19  # four classes of six, less a fifth for val; the one without a label is left out
    assert len(np.unique(pictures.person)) == 4  # Person_0's are all in val
    both = pictures.persons_with_two_faces()
    for person in np.unique(both.person):
        assert {True, False} == set((both.label[both.person == person] == 0).tolist())


def faces(count: int) -> LabelledPictures:
    points = points68(UPRIGHT) / 48
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    points[60:68] = np.array([0.5, 0.78]) + np.stack([0.12 * np.cos(angle), 0.02 * np.sin(angle)], 1)
    points = points * INNER + 0.1
    return LabelledPictures(
        faces=torch.full((count, 1, 60, 60), 200, dtype=torch.uint8),
        points=np.tile(points.astype(np.float32), (count, 1, 1)),
        target=np.eye(8, dtype=np.float32)[[0] * count],
        label=np.zeros(count, np.int64),
        person=np.full(count, -1),
    )


def test_talking_darkens_the_mouth_and_leaves_the_eyes() -> None:
    pictures = faces(300)  # more than one batch
    talking = talking_faces(pictures, inner=INNER, seed=1)
    assert talking.shape == pictures.faces.shape
    assert talking.dtype == torch.uint8
    assert (talking[:, :, :30] == 200).all()  # nothing above the nose changes in a face of one gray
    assert (talking[:, 0, 40:56].amin((1, 2)) < 150).float().mean() > 0.4
    assert torch.equal(talking, talking_faces(pictures, inner=INNER, seed=1))
    assert not torch.equal(talking, talking_faces(pictures, inner=INNER, seed=2))


def test_no_faces_talk() -> None:
    assert talking_faces(faces(0), inner=INNER, seed=1).shape == (0, 1, 60, 60)
