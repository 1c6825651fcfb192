"""MTCNN with weights of its shapes, and cascades: what the contract suite cannot ask without files and packages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vidfer.errors import MissingDependency, WeightsError
from vidfer.faces.detectors import DETECTORS, haar
from vidfer.faces.mtcnn_network import mtcnn_networks

FILES = ("pnet.pt", "rnet.pt", "onet.pt")


@pytest.fixture
def mtcnn_files(tmp_path: Path) -> Path:
    """Random weights with which all networks see faces nearly everywhere; returns P-Net's file."""
    torch.manual_seed(4)
    for name, network in zip(FILES, mtcnn_networks(), strict=True):
        state = network.state_dict()
        bias = next(key for key in state if key.endswith("_1.bias"))
        state[bias] = torch.tensor([-3.0, 3.0])
        torch.save(state, tmp_path / name)
    return tmp_path / "pnet.pt"


def test_mtcnn_keeps_the_contract_with_any_weights(mtcnn_files: Path) -> None:
    detector = DETECTORS.get("mtcnn")(device="cpu", min_score=0.5, long_side=320, weights=str(mtcnn_files))
    frames = torch.randint(0, 256, (3, 61, 47, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    found = detector.detect(frames)
    assert set(found.image_row.tolist()) == {0, 1, 2}
    assert found.points5.shape == (len(found), 5, 2)
    assert np.isfinite(found.points5).all()
    assert (found.score >= 0.5).all()
    for image in range(3):
        alone = detector.detect(frames[image : image + 1])
        mine = found.image_row == image
        np.testing.assert_allclose(found.xyxy[mine], alone.xyxy, atol=0.1)
        assert (np.diff(found.score[mine]) <= 0).all()
    for shape in ((0, 20, 20, 3), (1, 1, 1, 3), (2, 19, 300, 3)):
        assert len(detector.detect(torch.zeros(shape, dtype=torch.uint8))) == 0


def test_mtcnn_says_which_of_its_files_is_wrong(mtcnn_files: Path) -> None:
    build = DETECTORS.get("mtcnn")
    onet = mtcnn_files.with_name("onet.pt")
    onet.write_bytes(mtcnn_files.read_bytes())
    with pytest.raises(WeightsError, match=r"onet.pt: expected weights of CascadeNetwork, got another network's"):
        build(weights=str(mtcnn_files))
    onet.unlink()
    with pytest.raises(WeightsError, match=r"onet.pt does not exist: it belongs beside pnet.pt"):
        build(weights=str(mtcnn_files))


def test_mtcnn_without_files_says_where_they_are_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDFER_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"pnet.pt.*facenet-pytorch"):
        DETECTORS.get("mtcnn")(weights="")


def test_a_cascade_without_any_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cv2", "skimage", "skimage.feature", "skimage.data"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependency, match=r"OpenCV 4's cascades or .*: pip install scikit-image"):
        DETECTORS.get("haar")(weights="")


def test_a_file_that_is_no_cascade_is_named(tmp_path: Path) -> None:
    pytest.importorskip("skimage.feature")
    with pytest.raises(WeightsError, match=r"none.xml does not exist"):
        DETECTORS.get("haar")(weights=str(tmp_path / "none.xml"))
    (tmp_path / "own.xml").write_text("<a></a>")
    with pytest.raises(WeightsError, match=r"own.xml: expected a cascade"):
        DETECTORS.get("haar")(weights=str(tmp_path / "own.xml"))


def test_the_score_says_how_many_finds_a_face_was_joined_from() -> None:
    asked: list[int] = []

    def cascade(picture: np.ndarray, least_finds: int) -> tuple[np.ndarray, np.ndarray]:
        asked.append(least_finds)
        return np.array([[4.0, 6.0, 34.0, 36.0], [50.0, 5.0, 80.0, 35.0]]), np.array([8, 24])

    frames = torch.zeros(1, 60, 90, 3, dtype=torch.uint8)
    found = haar.HaarDetector(cascade, min_score=0.5).detect(frames)
    assert found.score.tolist() == [0.75, 0.5]
    assert found.xyxy.tolist() == [[50, 5, 80, 35], [4, 6, 34, 36]]
    haar.HaarDetector(cascade, min_score=0.75).detect(frames)
    assert asked == [8, 24]


def test_opencvs_cascade_gives_the_same_kind_of_answer() -> None:
    class Classifier:
        def __init__(self, path: str) -> None:
            self.path = path

        def empty(self) -> bool:
            return "empty" in self.path

        def detectMultiScale2(self, gray: np.ndarray, **options: Any) -> tuple[Any, Any]:
            assert gray.ndim == 2
            assert options["minNeighbors"] == 8
            return (np.array([[3, 4, 30, 40]]), np.array([9])) if gray.any() else ((), ())

    class OpenCv:
        COLOR_RGB2GRAY = 7
        CascadeClassifier = Classifier

        @staticmethod
        def cvtColor(picture: np.ndarray, code: int) -> np.ndarray:
            return picture.mean(2).astype(np.uint8)

    run = haar.opencv_cascade(OpenCv, Path("own.xml"))
    boxes, finds = run(np.ones((50, 50, 3), np.uint8), 8)
    assert boxes.tolist() == [[3, 4, 33, 44]]
    assert finds.tolist() == [9]
    boxes, finds = run(np.zeros((50, 50, 3), np.uint8), 8)
    assert boxes.shape == (0, 4)
    assert len(finds) == 0
    with pytest.raises(WeightsError, match="expected a cascade"):
        haar.opencv_cascade(OpenCv, Path("empty.xml"))
