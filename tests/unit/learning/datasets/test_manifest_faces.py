"""Faces of labelled pictures and videos, found and cut as in the pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vidfer.config import FacesConfig
from vidfer.errors import DataError
from vidfer.faces.align import warp_faces
from vidfer.learning.datasets.manifest import Manifest
from vidfer.learning.datasets.manifest_faces import read_manifest_faces, rows_in_stretch
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.faces import FacesStage
from vidfer.pipeline.pictures import PictureFaces
from vidfer.types import FrameBatch
from vidfer.video.pictures import read_picture, with_border


@pytest.fixture(scope="module")
def finder() -> PictureFaces:
    return PictureFaces(FacesConfig(), device="cpu")


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A woman's face, about 120 px wide, in a picture of 512 x 512 px."""
    from skimage import data

    return np.asarray(data.astronaut())


def manifest_of(*paths: Path, start: float = np.nan, end: float = np.nan) -> Manifest:
    n = len(paths)
    return Manifest(
        clip_id=tuple(f"clip {i}" for i in range(n)),
        path=paths,
        sha256=("",) * n,
        subject_id=("",) * n,
        split=("train",) * n,
        label=("happiness",) * n,
        start_seconds=np.full(n, start),
        end_seconds=np.full(n, end),
    )


def test_a_picture_is_cut_as_a_frame_of_a_video_is(finder: PictureFaces, portrait: np.ndarray) -> None:
    found = finder.find(portrait)
    assert found is not None
    batch = FrameBatch(images=portrait[None], frame_index=np.zeros(1, np.int64), pts_seconds=np.zeros(1))
    chunk = FrameChunk(batch, torch.device("cpu"))
    faces = FacesStage(FacesConfig(), device="cpu").process(chunk).detections()
    assert len(faces) == 1
    assert np.array_equal(found, faces.transform[0])
    ours = warp_faces(torch.from_numpy(portrait)[None], np.zeros(1, np.int64), found[None], size=48)
    assert torch.equal(ours, chunk.aligned_faces(faces.frame_row, faces.transform, 48))


def test_a_picture_that_is_all_face_is_found_too(finder: PictureFaces, portrait: np.ndarray) -> None:
    whole = finder.find(portrait)
    small = np.array(Image.fromarray(portrait[60:200, 155:295]).resize((48, 48), Image.Resampling.BILINEAR))
    found = finder.find(small)
    assert whole is not None
    assert found is not None
    # Both transforms must put the right eye at the same place: (x, y) in the portrait -> in the crop.
    eye = np.array([205.0, 110.0])
    in_crop = (eye - [155, 60]) * 48 / 140
    at = whole @ [*eye, 1]
    assert np.abs(found @ [*in_crop, 1] - at).max() < 0.06


def test_the_largest_face_is_taken(finder: PictureFaces, portrait: np.ndarray) -> None:
    small = np.array(Image.fromarray(portrait[:256, 100:356]).resize((128, 128), Image.Resampling.BILINEAR))
    both = np.full((512, 700, 3), 90, np.uint8)
    both[:, :512] = portrait
    both[192:320, 560:688] = small
    found = finder.find(both)
    assert found is not None
    centre = np.linalg.solve(found[:, :2].astype(float), 0.5 - found[:, 2])
    assert abs(centre[0] - 225) < 40


def test_a_picture_without_a_face_gives_none(finder: PictureFaces, tmp_path: Path, portrait: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 60, (90, 120, 3), np.uint8)).save(tmp_path / "none.png")
    Image.fromarray(portrait).save(tmp_path / "face.png")
    found = read_manifest_faces(
        manifest_of(tmp_path / "none.png", tmp_path / "face.png"), [0, 1], finder, size=48, border=6
    )
    assert found.without_face == (0,)
    assert found.row.tolist() == [1]
    assert found.faces.shape == (1, 3, 60, 60)


def test_the_border_lies_around_the_same_face(finder: PictureFaces, portrait: np.ndarray) -> None:
    found = finder.find(portrait)
    assert found is not None
    image, row = torch.from_numpy(portrait)[None], np.zeros(1, np.int64)
    plain = warp_faces(image, row, found[None], size=48)
    bordered = warp_faces(image, row, with_border(found[None], size=48, border=6), size=60)
    assert (bordered[:, :, 6:-6, 6:-6] - plain).abs().mean() < 0.01


def test_a_photograph_is_turned_upright(tmp_path: Path, portrait: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise to see it so
    Image.fromarray(np.rot90(portrait)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "turned.png"), portrait)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"])
def test_what_is_no_picture_is_named_with_its_row(finder: PictureFaces, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(DataError, match=r"row 1 \(clip 0\): .*broken\.png.*cannot be decoded"):
        read_manifest_faces(manifest_of(tmp_path / "broken.png"), [0], finder, size=48)


def test_a_video_gives_frames_of_its_stretch(finder: PictureFaces, sample_video: Path) -> None:
    whole = read_manifest_faces(manifest_of(sample_video), [0], finder, size=48, frames_per_clip=3)
    assert 2 <= len(whole.row) <= 3  # a part of the sample shows a rocket
    start = read_manifest_faces(manifest_of(sample_video, end=0.5), [0], finder, size=48, frames_per_clip=3)
    assert start.row.tolist() == [0, 0, 0]
    rocket = read_manifest_faces(manifest_of(sample_video, start=5.8, end=6.4), [0], finder, size=48)
    assert rocket.without_face == (0,)


def test_what_is_no_video_is_named_with_its_row(finder: PictureFaces, tmp_path: Path, sample_video: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"row 1 \(clip 0\): .*broken\.mp4"):
        read_manifest_faces(manifest_of(tmp_path / "broken.mp4"), [0], finder, size=48)
    with pytest.raises(DataError, match=r"row 1 \(clip 0\): .* whose last is at 7\.\d+ s, got 100 s to 101 s"):
        read_manifest_faces(manifest_of(sample_video, start=100, end=101), [0], finder, size=48)


def test_a_stretch_is_half_open() -> None:
    times = np.array([0.0, 0.5, 1.0, 1.5])
    for start, end, frames in ((0.5, 1.5, [1, 2]), (np.nan, 0.5, [0]), (1.0, np.nan, [2, 3])):
        assert rows_in_stretch(manifest_of(Path("a.mp4"), start=start, end=end), 0, times).tolist() == frames
    with pytest.raises(DataError, match=r"whose last is at 1\.50 s, got 2 s to the end"):
        rows_in_stretch(manifest_of(Path("a.mp4"), start=2.0), 0, times)


def test_nothing_is_taken_for_a_face_that_fills_the_picture(finder: PictureFaces) -> None:
    from skimage import data

    assert finder.find(np.asarray(data.rocket())) is None
