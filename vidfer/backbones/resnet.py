"""Residual networks (He et al. 2016) for small faces: the stem keeps the full resolution, as for CIFAR."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidfer.backbones import BACKBONES, InputSpec
from vidfer.labels import NUM_EMOTIONS


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


class ResidualNetwork(nn.Module):
    """Stages of basic blocks, mean over the picture, one linear layer to the embedding.

    Parameters
    ----------
    widths, depths
        Channels and blocks of each stage; (2, 2, 2, 2) blocks make ResNet-18, (3, 4, 6, 3) ResNet-34.
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
        embedding_size: int = 128,
        dropout: float = 0.3,
        input_spec: InputSpec,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths):
            raise ValueError(f"expected as many widths as depths, got {len(widths)} and {len(depths)}")
        self.input_spec, self.embedding_size = input_spec, embedding_size
        self.stem = nn.Sequential(
            nn.Conv2d(input_spec.channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(True)
        )
        blocks: list[nn.Module] = []
        channels = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for i in range(depth):
                blocks.append(BasicBlock(channels, width, stride=2 if stage and i == 0 else 1))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.project = nn.Sequential(nn.Linear(channels, embedding_size), nn.BatchNorm1d(embedding_size))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(embedding_size, NUM_EMOTIONS)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        x = self.blocks(self.stem(faces))  # (N, C, S/8, S/8)
        embedding = self.project(x.mean((2, 3)))  # (N, D)
        return embedding, self.classify(self.dropout(embedding))


@BACKBONES.register("resnet")
def resnet(*, size: int = 64, **options: object) -> nn.Module:
    """Return a residual network (ResNet-18 by default): ``size`` of the gray input, options of ``ResidualNetwork``."""
    return ResidualNetwork(input_spec=InputSpec(size=size), **options)  # type: ignore[arg-type]
