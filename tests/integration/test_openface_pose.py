"""pose_Rx, pose_Ry, pose_Rz of openface.csv: heads turned in a known way, drawn and real."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.clip_results import make_clip
from PIL import Image
from scipy.spatial.transform import Rotation

from vidfer.config import FacesConfig
from vidfer.exporters import EXPORTERS
from vidfer.faces.pose import MEAN_FACE, head_pose
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.faces import FacesStage
from vidfer.types import FaceDetections, FrameBatch
from vidfer.video.probe import probe
from vidfer.video.reader import open_reader

WIDTH, HEIGHT = 1280, 720


def openface_angles(faces: FaceDetections, *, width: int, height: int) -> np.ndarray:
    """Return (N, 3) radians as openface.csv has them, one face a frame."""
    clip = make_clip(seconds=len(faces) / 25)
    clip = dataclasses.replace(clip, faces=faces, info=dataclasses.replace(clip.info, width=width, height=height))
    table = pd.read_csv(io.BytesIO(EXPORTERS.get("openface").render(clip)["openface.csv"]))
    return table[["pose_Rx", "pose_Ry", "pose_Rz"]].to_numpy()


def test_angles_are_those_of_a_head_turned_as_openface_defines_it() -> None:
    """R = Rx Ry Rz in the camera's axes (x right, y down, z away), wherever in the picture the head is."""
    angles = np.array([[0.2, 0, 0], [0, 0.3, 0], [0, 0, 0.25], [0.25, -0.4, 0.3], [-0.2, 0.5, -0.3], [0, 0, 0]])
    places = np.array([[0, 0, 600], [0, 0, 600], [0, 0, 600], [150, -60, 700], [-200, 80, 800], [260, 100, 900]])
    heads = Rotation.from_euler("XYZ", angles).as_matrix()  # (N, 3, 3)
    points = np.einsum("nij,pj->npi", heads, MEAN_FACE) + places[:, None]  # (N, 68, 3) mm
    middle = np.array([WIDTH / 2, HEIGHT / 2])
    landmarks = (points[..., :2] / points[..., 2:] * WIDTH + middle).astype(np.float32)
    faces = dataclasses.replace(
        make_clip(seconds=len(angles) / 25).faces,
        landmarks=landmarks,
        pose=head_pose(landmarks, image_size=(WIDTH, HEIGHT)),
    )
    np.testing.assert_allclose(openface_angles(faces, width=WIDTH, height=HEIGHT), angles, rtol=0, atol=0.002)


@pytest.mark.parametrize(
    ("pose", "axis"), [((-20, 0, 0), 0), ((0, -30, 0), 1), ((0, 0, 10), 2)], ids=["down", "left", "clockwise"]
)
def test_looking_down_to_the_images_left_and_tilting_clockwise_are_positive(
    pose: tuple[float, float, float], axis: int
) -> None:
    face = make_clip(seconds=0.04).faces
    centred = np.zeros((1, 68, 2), np.float32) + np.array([WIDTH / 2, HEIGHT / 2], np.float32)
    faces = dataclasses.replace(face, landmarks=centred, pose=np.array([pose], np.float32))
    (angles,) = openface_angles(faces, width=WIDTH, height=HEIGHT)
    expected = np.zeros(3)
    expected[axis] = np.radians(abs(sum(pose)))
    np.testing.assert_allclose(angles, expected, rtol=0, atol=0.001)


def test_a_real_head_mirrored_and_turned(clips_folder: Path) -> None:
    """Mirroring flips yaw and roll and keeps pitch; turning the picture clockwise adds to the roll."""
    video = probe(clips_folder / "d11.mp4")
    (batch,) = open_reader(video, decoder="pyav").read(np.array([215]), batch_size=1)  # a child looking sideways
    image = batch.images[0]
    clockwise = np.asarray(Image.fromarray(image).rotate(-15, Image.Resampling.BICUBIC))
    images = np.stack([image, image[:, ::-1], clockwise])
    frames = FrameBatch(images=images, frame_index=np.arange(3), pts_seconds=np.arange(3) / 25)
    stage = FacesStage(FacesConfig(detect_every=1), device="cpu")
    faces = stage.process(FrameChunk(frames, torch.device("cpu"))).detections()
    assert faces.frame_row.tolist() == [0, 1, 2]
    plain, mirrored, turned = openface_angles(faces, width=image.shape[1], height=image.shape[0])
    assert plain[1] < -np.radians(5)  # to the image's right; else a flipped sign would not be noticed
    np.testing.assert_allclose(mirrored, plain * [1, -1, -1], rtol=0, atol=np.radians(3))
    assert turned[2] - plain[2] == pytest.approx(np.radians(15), abs=np.radians(4))
