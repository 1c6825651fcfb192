"""Packed convolutions: PyTorch's own results, whatever the batch and the number of threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from vidfer.backbones.load import load_backbone
from vidfer.packed import PackedConvolution, _computes, can_pack

pytestmark = pytest.mark.skipif(not can_pack("cpu"), reason="this PyTorch has no packed convolutions")

DTYPES = [
    torch.float32,
    pytest.param(
        torch.bfloat16,
        marks=pytest.mark.skipif(
            not torch.backends.cpu.get_cpu_capability().startswith("AVX512"),
            reason="oneDNN packs no bfloat16 on this processor",
        ),
    ),
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pictures(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return values.to(dtype).to(memory_format=torch.channels_last)


def convolution(inputs: int, outputs: int, kernel: int, stride: int, *, groups: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
    weights = torch.randn(conv.weight.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        conv.weight.copy_(weights / weights[0].numel() ** 0.5)
    return conv.requires_grad_(False).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "stride", "groups"),
    [(1, 16, 5, 2, 1), (3, 12, 3, 2, 1), (24, 48, 3, 2, 1), (32, 32, 3, 1, 1), (96, 204, 1, 1, 1), (16, 16, 3, 1, 16)],
)
def test_the_result_is_the_convolution_s(
    dtype: torch.dtype, inputs: int, outputs: int, kernel: int, stride: int, groups: int
) -> None:
    conv = convolution(inputs, outputs, kernel, stride, groups=groups).to(dtype)
    x = pictures(4, inputs, 20, 24, dtype=dtype)
    tolerance = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.02, "rtol": 0.02}
    with torch.inference_mode():
        expected = conv(x)
        torch.testing.assert_close(PackedConvolution(conv)(x), expected, **tolerance)
        torch.testing.assert_close(PackedConvolution(conv, relu=True)(x), functional.relu(expected), **tolerance)
        if groups > 1:
            return
        added = pictures(*expected.shape, dtype=dtype)
        both = functional.relu(expected.float() + added.float()).to(dtype)
        torch.testing.assert_close(PackedConvolution(conv, relu=True)(x, added), both, **tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_neither_batch_nor_threads_change_a_bit(dtype: torch.dtype) -> None:
    for kernel in (1, 3):
        packed = PackedConvolution(convolution(48, 15, kernel, 1).to(dtype))
        x = pictures(20, 48, 12, 12, dtype=dtype)
        with torch.inference_mode():
            together = packed(x)
            assert torch.equal(packed(x[:3].contiguous(memory_format=torch.channels_last)), together[:3])
            torch.set_num_threads(2)
            assert torch.equal(packed(x), together)
            torch.set_num_threads(1)


def test_the_trial_is_the_same_within_autocast() -> None:
    _computes.cache_clear()
    with torch.autocast("cpu", torch.bfloat16):
        assert can_pack("cpu")


def test_padding_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="padding"):
        PackedConvolution(nn.Conv2d(3, 4, 3, padding="same"))
    with pytest.raises(ValueError, match="reflect"):
        PackedConvolution(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"))


def test_the_embedded_backbone_sees_the_same_in_a_face() -> None:
    network = load_backbone("compact")
    packed = network.packed()
    assert any(isinstance(module, PackedConvolution) for module in packed.module.modules())
    assert not any(isinstance(module, nn.Conv2d) for module in packed.module.modules())
    faces = torch.rand((5, 3, 48, 48), generator=torch.Generator().manual_seed(2))
    for found, expected in zip(packed.embed(faces), network.embed(faces), strict=True):
        np.testing.assert_allclose(found.astype(np.float32), expected.astype(np.float32), atol=2e-3, rtol=2e-3)
