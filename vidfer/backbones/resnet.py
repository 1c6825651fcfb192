"""Residual networks (He et al. 2016) for small faces: by default the stem keeps the full resolution, as for CIFAR."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidfer.backbones import BACKBONES, InputSpec
from vidfer.backbones.staged import StagedNetwork, convolution_stem


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


@BACKBONES.register("resnet")
def resnet(
    *,
    size: int = 64,
    widths: Sequence[int] = (64, 128, 256, 512),
    depths: Sequence[int] = (2, 2, 2, 2),
    stem_stride: int = 1,
    embedding_size: int = 128,
    dropout: float = 0.3,
) -> nn.Module:
    """Return a residual network for gray faces of ``size`` px: ResNet-18, with (3, 4, 6, 3) blocks ResNet-34.

    A ``stem_stride`` of 1 keeps the full resolution, 2 halves it at once, which costs a quarter. The other options are
    those of ``StagedNetwork``.
    """
    return StagedNetwork(
        stem=convolution_stem(1, widths[0], kernel=3, stride=stem_stride),
        stem_channels=widths[0],
        block=BasicBlock,
        widths=widths,
        depths=depths,
        embedding_size=embedding_size,
        dropout=dropout,
        input_spec=InputSpec(size=size),
    )
