"""Face quality: the chance that the expression label stays what it would be on the clean, large, frontal face."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from skimage import data

from vidfer import weights
from vidfer.config import FacesConfig, load_pipeline
from vidfer.errors import WeightsError
from vidfer.faces.quality import QUALITY_SIZE, FaceQuality, quality_features
from vidfer.faces.quality_network import QualityNetwork
from vidfer.learning.single_frame import look_at_frame
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.faces import MOST_INVERTED, FacesStage
from vidfer.types import FrameBatch
from vidfer.weights import load_tensors, locate, save_tensors


@pytest.fixture(scope="module")
def stage() -> FacesStage:
    return FacesStage(FacesConfig(), device="cpu")


@pytest.fixture(scope="module")
def network() -> FaceQuality:
    return FaceQuality()


def portrait() -> np.ndarray:
    """Return the astronaut (public domain, NASA), 300 x 300 px; her face is about 80 px wide."""
    return np.ascontiguousarray(data.astronaut()[:300, 70:370])


def qualities(stage: FacesStage, picture: np.ndarray) -> np.ndarray:
    batch = FrameBatch(images=picture[None], frame_index=np.zeros(1, np.int64), pts_seconds=np.zeros(1))
    return stage.process(FrameChunk(batch, torch.device("cpu"))).quality


def masked(picture: np.ndarray, stage: FacesStage) -> np.ndarray:
    """Return the picture with a bar over mouth and chin."""
    batch = FrameBatch(images=picture[None], frame_index=np.zeros(1, np.int64), pts_seconds=np.zeros(1))
    points = stage.process(FrameChunk(batch, torch.device("cpu"))).landmarks[0]
    image = Image.fromarray(picture)
    left, right = points[2, 0] - 3, points[14, 0] + 3
    ImageDraw.Draw(image).rectangle([left, points[33, 1] + 2, right, points[8, 1] + 6], fill=(120, 160, 190))
    return np.array(image)


def test_a_clear_face_is_good(stage: FacesStage) -> None:
    (quality,) = qualities(stage, portrait())
    assert quality > 0.8


def test_blur_lowers_it_the_more_the_stronger(stage: FacesStage) -> None:
    values = [float(qualities(stage, gaussian_filter(portrait(), (s, s, 0)))[0]) for s in (0, 4, 6)]
    assert values[0] > values[1] > values[2]
    assert values[2] < values[0] - 0.15


def test_a_covered_mouth_lowers_it(stage: FacesStage) -> None:
    clean, covered = qualities(stage, portrait()), qualities(stage, masked(portrait(), stage))
    assert len(covered) == 0 or covered[0] < clean[0] - 0.1


def test_a_real_masked_face_is_doubtful() -> None:
    path = Path(__file__).resolve().parents[4] / "shared" / "cases" / "mask.mp4"
    if not path.is_file():
        pytest.skip(f"needs {path}, which is not on this machine")
    seen = look_at_frame(path, 10, load_pipeline("default", []))
    assert (seen.faces.quality < 0.6).all()


def test_an_inverted_face_is_bad(stage: FacesStage) -> None:
    assert (qualities(stage, np.ascontiguousarray(portrait()[::-1, ::-1])) <= 0.3).all()


def test_an_inverted_face_is_never_good_whatever_the_network_says(
    stage: FacesStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def praise(faces: torch.Tensor, **features: np.ndarray) -> np.ndarray:
        return np.full(len(faces), 0.9, np.float32)

    monkeypatch.setattr(stage._judge(), "judge", praise)
    assert qualities(stage, portrait()).tolist() == pytest.approx([0.9])
    assert qualities(stage, np.ascontiguousarray(portrait()[::-1, ::-1])).max(initial=0) <= MOST_INVERTED
    frame = np.hstack([portrait(), portrait()[::-1, ::-1]])  # each keeps its own
    assert sorted(qualities(stage, frame).tolist()) == pytest.approx([MOST_INVERTED, 0.9])


@pytest.mark.parametrize("clip", ["clips/talking/t7.mp4", "clips/d11.mp4", "cases/mask.mp4"])
def test_real_clips_upside_down_are_bad_throughout(stage: FacesStage, clip: str) -> None:
    path = Path(__file__).resolve().parents[4] / "shared" / clip
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][::20][:5]
    values = np.concatenate([qualities(stage, np.ascontiguousarray(frame[::-1, ::-1])) for frame in frames])
    assert values.max(initial=0) <= MOST_INVERTED


def test_it_was_fitted_to_the_backbone_that_comes_with_vidfer() -> None:
    """Quality is a statement about a network: new weights of the backbone want it refitted."""
    _, metadata = load_tensors(locate("quality", "embedded")[0])
    assert metadata["fitted_to"] == {"backbone": "compact", "sha256": list(weights.digests("backbone", "compact"))}


def test_it_is_small() -> None:
    assert locate("quality", "embedded")[0].stat().st_size <= 300_000


def inputs(count: int) -> dict[str, np.ndarray]:
    return {
        "size_px": np.full(count, 150.0, np.float32),
        "pose": np.tile(np.array([3.0, -5.0, 2.0], np.float32), (count, 1)),
        "landmark_score": np.full(count, 0.99, np.float32),
    }


def faces(count: int) -> torch.Tensor:
    return torch.rand(count, 1, QUALITY_SIZE, QUALITY_SIZE, generator=torch.Generator().manual_seed(0))


def test_a_colour_picture_and_its_luma_are_judged_alike(network: FaceQuality) -> None:
    gray = faces(3)
    np.testing.assert_allclose(
        network.judge(gray, **inputs(3)), network.judge(gray.expand(-1, 3, -1, -1), **inputs(3)), atol=1e-5
    )


def test_more_faces_than_fit_at_once_are_all_judged(network: FaceQuality) -> None:
    many = network.judge(faces(150), **inputs(150))
    np.testing.assert_allclose(many[100:], network.judge(faces(150)[100:], **inputs(50)), atol=1e-5)


@pytest.mark.parametrize("name", ["size_px", "pose", "landmark_score"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_known_counts_as_zero_and_spoils_only_its_own_row(
    network: FaceQuality, name: str, value: float
) -> None:
    given_ = inputs(2)
    given_[name][1] = value
    quality = network.judge(faces(2), **given_)
    assert quality[1] == 0
    assert quality[0] > 0


def test_no_faces(network: FaceQuality) -> None:
    assert network.judge(faces(0), **inputs(0)).shape == (0,)


def test_lengths_and_sizes_must_agree(network: FaceQuality) -> None:
    with pytest.raises(ValueError, match="expected shapes"):
        quality_features(size_px=np.ones(1), pose=np.ones((2, 3)), landmark_score=np.ones(2))
    with pytest.raises(ValueError, match="expected 2 faces"):
        network.judge(faces(3), **inputs(2))


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, (4, 5)), st.integers(0, 2**16))
def test_whatever_comes_in_quality_is_between_zero_and_one(values: np.ndarray, seed: int) -> None:
    pictures = torch.rand(4, 3, QUALITY_SIZE, QUALITY_SIZE, generator=torch.Generator().manual_seed(seed))
    result = FaceQuality().judge(pictures, size_px=values[:, 0], pose=values[:, 1:4], landmark_score=values[:, 4])
    assert result.dtype == np.float32
    assert ((result >= 0) & (result <= 1)).all()


def test_a_face_and_its_mirror_image_are_told_the_same() -> None:
    poses = np.array([[10.0, 30.0, -20.0], [10.0, -30.0, 20.0]])
    first, second = quality_features(size_px=np.full(2, 60.0), pose=poses, landmark_score=np.full(2, 0.9))
    np.testing.assert_allclose(first, second)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="vidfer train quality"):
        FaceQuality(weights=str(locate("landmarks", "embedded")[0]))
    path = tmp_path / "q.safetensors"
    save_tensors(
        path,
        QualityNetwork(hidden=8).state_dict(),
        {"model": "quality", "network": {"widths": [16, 32, 48], "hidden": 9}},
    )
    with pytest.raises(WeightsError, match="does not fit the quality network"):
        FaceQuality(weights=str(path))
