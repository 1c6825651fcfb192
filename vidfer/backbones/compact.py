"""The default backbone: a small residual network with channel attention for 48x48 gray faces."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidfer.backbones import BACKBONES, InputSpec
from vidfer.backbones.staged import StagedNetwork, convolution_stem


class ChannelAttention(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): weighs each channel by what the whole picture shows."""

    def __init__(self, channels: int, *, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(8, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        weights = x.mean((2, 3))  # (N, C)
        weights = torch.sigmoid(self.excite(torch.relu(self.squeeze(weights))))
        return x * weights[:, :, None, None].to(x.dtype)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016), with channel attention before the sum."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.attention = ChannelAttention(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            pool: nn.Module = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        nn.init.zeros_(self.norm2.weight)  # each block starts as its shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        y = self.attention(self.norm2(self.conv2(y)))
        return torch.relu(y + self.shortcut(x))


@BACKBONES.register("compact")
def compact(
    *,
    size: int = 64,
    widths: Sequence[int] = (32, 64, 128, 192),
    depths: Sequence[int] = (1, 2, 2, 1),
    stem: int = 32,
    embedding_size: int = 128,
    dropout: float = 0.3,
) -> nn.Module:
    """Return the default network for gray faces of ``size`` px: a stem of so many channels at half size, then stages.

    The other options are those of ``StagedNetwork``.
    """
    return StagedNetwork(
        stem=convolution_stem(1, stem, kernel=5, stride=2),
        stem_channels=stem,
        block=ResidualBlock,
        widths=widths,
        depths=depths,
        embedding_size=embedding_size,
        dropout=dropout,
        input_spec=InputSpec(size=size),
    )
