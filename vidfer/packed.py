"""Convolutions for inference on the CPU: weights laid out once, what follows them in the same pass over memory."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def can_pack(device: torch.device | str) -> bool:
    """Return whether the device is for packed convolutions, and this PyTorch and processor compute them rightly."""
    return torch.device(device).type == "cpu" and torch.backends.mkldnn.is_available() and _computes()


@cache
def _computes() -> bool:
    """Try it: the operators are PyTorch's own, for its compiler, and may change with it."""
    with torch.random.fork_rng(devices=[]):  # the global random state stays as it is
        conv = nn.Conv2d(8, 8, 3, padding=1).requires_grad_(False)
        x = torch.randn((2, 8, 12, 16)).to(memory_format=torch.channels_last)
    try:
        found = PackedConvolution(conv, relu=True)(x), PackedConvolution(conv, relu=True)(x, x)
    except (AttributeError, RuntimeError, TypeError):
        return False
    with torch.autocast("cpu", enabled=False):  # the first use may be within a training's
        wanted = functional.relu(conv(x)), functional.relu(conv(x) + x)
    return all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(found, wanted, strict=True))


def fits(conv: nn.Conv2d) -> bool:
    """Return whether a convolution can be packed."""
    return conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


class PackedConvolution(nn.Module):
    """What ``conv`` computes, bit for bit, with a ReLU after it if wanted; no gradients.

    PyTorch hands weights to oneDNN in their plain layout, to be laid out anew in each call: with a dozen small pictures
    that is up to a quarter of the time. And while it picks between two implementations of 1 x 1 convolutions in float32
    by how many pictures and threads there are, this is always oneDNN's.

    Parameters
    ----------
    conv
        On the CPU, float32 or bfloat16, zero padding by numbers.
    relu
        Whether a ReLU follows.
    """

    def __init__(self, conv: nn.Conv2d, *, relu: bool = False) -> None:
        super().__init__()
        if not fits(conv):
            raise ValueError(f"expected zero padding by numbers, got {conv.padding} of {conv.padding_mode!r}")
        assert not isinstance(conv.padding, str)
        self._how = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
        self._after = "relu" if relu else "none"
        with torch.no_grad():
            plain = conv.weight.detach().contiguous().to_mkldnn()
            typical = [16, conv.in_channels, 64, 64]  # without it oneDNN takes another layout, half as fast for some
            reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
            self.weight: Tensor = reorder(plain, *self._how, typical)
            self.bias = None if conv.bias is None else conv.bias.detach()

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Return the result (N, C, h, w) for x, channels last; ``added`` is summed before the ReLU, unrounded.

        ``added`` (N, C, h, w) goes with ungrouped convolutions only.
        """
        if added is None:
            result: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x, self.weight, self.bias, *self._how, self._after, [], ""
            )
            return result
        result = torch.ops.mkldnn._convolution_pointwise(
            x, added, self.weight, self.bias, *self._how, "add", 1.0, None if self._after == "none" else "relu", [], ""
        )
        return result
