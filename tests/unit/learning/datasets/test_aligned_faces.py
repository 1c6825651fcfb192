import numpy as np
import torch
from fixtures.fer_files import UPRIGHT, points68

from vidfer.faces.align import five_points, similarity_transforms, warp_faces
from vidfer.learning.datasets.aligned_faces import align_pictures, face_transforms
from vidfer.learning.training.augment import Augmentation, AugmentConfig


def picture_of_a_face(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth picture (side, side) uint8 and its 68 points, somewhat turned and off the centre."""
    y, x = np.mgrid[0:side, 0:side] / side
    picture = 110 + 60 * np.sin(9 * x + 2) * np.cos(7 * y) + 50 * x * y
    angle = 0.15
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    five = ((UPRIGHT - 24) @ turn.T * 0.8 + 25) * side / 48
    return picture.clip(0, 255).astype(np.uint8), points68(five.astype(np.float32))


def test_training_face_without_augmentation_is_the_face_that_a_video_gives() -> None:
    picture, points = picture_of_a_face(48)
    stored = face_transforms(
        points[None], np.full((1, 5, 2), np.nan), image_size=(48, 48), size=64, border=8
    )  # as training keeps it
    faces = align_pictures(picture[None], stored, size=80).float() / 255
    trained = Augmentation(AugmentConfig(), size=64, border=8)(faces, torch.Generator())
    in_use = warp_faces(
        torch.from_numpy(picture)[None, ..., None],
        np.array([0]),
        similarity_transforms(five_points(points[None])),
        size=64,
    )
    torch.testing.assert_close(trained, in_use, atol=2.5 / 255, rtol=0)


def test_colour_video_of_high_resolution_gives_the_same_face_as_the_small_gray_picture() -> None:
    small, small_points = picture_of_a_face(48)
    large, large_points = picture_of_a_face(960)
    frame = np.repeat(large[..., None], 3, 2)
    from_video = warp_faces(
        torch.from_numpy(frame)[None], np.array([0]), similarity_transforms(five_points(large_points[None])), size=64
    )
    nowhere = np.full((1, 5, 2), np.nan)
    transforms = face_transforms(small_points[None], nowhere, image_size=(48, 48), size=64, border=0)
    from_picture = align_pictures(small[None], transforms, size=64).float() / 255
    torch.testing.assert_close(from_video.mean(1, keepdim=True), from_picture, atol=8 / 255, rtol=0)


def test_without_68_points_the_five_are_used_and_without_both_the_whole_picture() -> None:
    _, points = picture_of_a_face(48)
    unknown68, unknown5 = np.full((1, 68, 2), np.nan), np.full((1, 5, 2), np.nan)
    by_five = face_transforms(unknown68, five_points(points[None]), image_size=(48, 48), size=64, border=8)
    by_all = face_transforms(points[None], unknown5, image_size=(48, 48), size=64, border=8)
    np.testing.assert_allclose(by_five, by_all, atol=1e-5)
    whole = face_transforms(unknown68, unknown5, image_size=(48, 48), size=64, border=0)
    np.testing.assert_allclose(whole[0], [[1 / 48, 0, 0], [0, 1 / 48, 0]], atol=1e-6)
