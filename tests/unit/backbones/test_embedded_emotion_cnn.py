"""The network inside the package: size, speed class and calibration that its users count on."""

import numpy as np
import pytest
import torch

from vidfer.backbones.load import load_backbone
from vidfer.weights import assets_folder, files_of


@pytest.fixture(scope="module")
def network():
    return load_backbone("compact")


def test_is_small(network) -> None:
    file = assets_folder() / files_of("backbone", "compact")[0].filename
    assert file.stat().st_size <= 6_000_000
    assert sum(p.numel() for p in network.module.parameters()) <= 3_000_000
    assert file.with_suffix(".md").is_file()


def test_is_pinned_by_digest() -> None:
    assert len(files_of("backbone", "compact")[0].sha256) == 64


def test_embedding_size_is_what_the_temporal_models_were_trained_on(network) -> None:
    assert network.embedding_size == 128


def test_bfloat16_says_what_float32_says(network) -> None:
    exact = load_backbone("compact", precision="float32")
    halved = load_backbone("compact", precision="bfloat16")
    faces = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    faces = torch.nn.functional.interpolate(faces, size=exact.input_spec.size, mode="bicubic").clamp(0, 1)
    probabilities = [np.exp(n.embed(faces)[1]) for n in (exact, halved)]
    probabilities = [p / p.sum(1, keepdims=True) for p in probabilities]
    np.testing.assert_allclose(probabilities[0], probabilities[1], atol=0.05)
