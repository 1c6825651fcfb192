from pathlib import Path

import numpy as np
import pytest
import torch

from vidfer.backbones import BACKBONES
from vidfer.backbones.load import load_backbone
from vidfer.errors import ConfigError, VidferError, WeightsError
from vidfer.labels import EMOTIONS
from vidfer.weights import save_tensors

OPTIONS = {"widths": [8, 16], "depths": [1, 1], "stem": 8, "embedding_size": 12}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    model = BACKBONES.get("compact")(**OPTIONS)
    metadata = {"backbone": "compact", "options": OPTIONS, "labels": list(EMOTIONS), "mirror": True}
    save_tensors(tmp_path / "own.safetensors", model.state_dict(), metadata)
    return tmp_path / "own.safetensors"


def test_mirrored_face_shows_the_same_emotion(weights: Path) -> None:
    network = load_backbone("compact", weights=weights, precision="float32")
    faces = torch.rand(3, 1, 64, 64)
    vectors, logits = network.embed(faces)
    mirrored_vectors, mirrored_logits = network.embed(faces.flip(3))
    assert vectors.shape == (3, 12)
    np.testing.assert_allclose(logits, mirrored_logits, atol=1e-5)
    np.testing.assert_allclose(vectors, mirrored_vectors, atol=2e-3)


def test_weights_of_another_backbone_are_refused_by_name(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"own.safetensors holds weights of the backbone 'compact', not 'vgg'"):
        load_backbone("vgg", weights=weights)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", "unknown backbone 'resnet50'; did you mean 'resnet'"),
        ("resnet", "'resnet' has no weights of its own; set backbone.weights to a file"),
    ],
)
def test_a_misspelt_name_is_told_from_one_without_weights(name: str, expected: str) -> None:
    with pytest.raises(VidferError, match=expected):
        load_backbone(name)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_tensors(tmp_path / "odd.safetensors", {"a": torch.zeros(2)}, {"backbone": "compact"})
    with pytest.raises(WeightsError, match=r"odd.safetensors does not fit the backbone 'compact'"):
        load_backbone("compact", weights=tmp_path / "odd.safetensors")


def test_other_classes_are_refused(tmp_path: Path, weights: Path) -> None:
    save_tensors(tmp_path / "seven.safetensors", {}, {"backbone": "compact", "labels": list(EMOTIONS[:7])})
    with pytest.raises(WeightsError, match="expected the classes"):
        load_backbone("compact", weights=tmp_path / "seven.safetensors")


def test_cut_file_is_refused(tmp_path: Path, weights: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(WeightsError, match=r"cut\.safetensors"):
        load_backbone("compact", weights=cut)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nothing\.safetensors does not exist"):
        load_backbone("compact", weights=tmp_path / "nothing.safetensors")
