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


class ResidualNetwork(StagedNetwork):
    """Stages of basic blocks, mean over the picture, one linear layer to the embedding.

    Parameters
    ----------
    widths, depths
        Channels and blocks of each stage; (2, 2, 2, 2) blocks make ResNet-18, (3, 4, 6, 3) ResNet-34.
    stem_stride
        1 keeps the full resolution; 2 halves it at once, which costs a quarter.
    embedding_size
        Length D of the embedding.
    dropout
        Share of the embedding dropped in training before the classifier.
    input_spec
        What it wants to see.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        stem_stride: int = 1,
        embedding_size: int = 128,
        dropout: float = 0.3,
        input_spec: InputSpec,
    ) -> None:
        super().__init__(
            stem=convolution_stem(input_spec.channels, widths[0], kernel=3, stride=stem_stride),
            stem_channels=widths[0],
            block=BasicBlock,
            widths=widths,
            depths=depths,
            embedding_size=embedding_size,
            dropout=dropout,
            input_spec=input_spec,
        )


@BACKBONES.register("resnet")
def resnet(*, size: int = 64, **options: object) -> nn.Module:
    """Return a residual network (ResNet-18 by default): ``size`` of the gray input, options of ``ResidualNetwork``."""
    return ResidualNetwork(input_spec=InputSpec(size=size), **options)  # type: ignore[arg-type]
