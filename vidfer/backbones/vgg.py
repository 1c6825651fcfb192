"""VGG networks (Simonyan and Zisserman 2015) for small faces, as VGG13 in the paper of FER+ (Barsoum et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vidfer.backbones import BACKBONES, InputSpec
from vidfer.labels import NUM_EMOTIONS


@BACKBONES.register("vgg")
class VggNetwork(nn.Module):
    """Blocks of 3x3 convolutions, each ending with a 2x2 maximum and dropout, then two dense layers.

    Parameters
    ----------
    size
        Side of the gray input, px.
    channels, depths
        Channels of each block and its number of convolutions.
    dense
        Width D of both dense layers; the second one's output is the embedding.
    block_dropout, dense_dropout
        In training.
    """

    def __init__(
        self,
        *,
        size: int = 64,
        channels: Sequence[int] = (64, 128, 256, 256),
        depths: Sequence[int] = (2, 2, 3, 3),
        dense: int = 1024,
        block_dropout: float = 0.25,
        dense_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(channels) != len(depths):
            raise ValueError(f"expected as many channels as depths, got {len(channels)} and {len(depths)}")
        self.input_spec, self.embedding_size = InputSpec(size=size), dense
        layers: list[nn.Module] = []
        inputs = self.input_spec.channels
        for outputs, depth in zip(channels, depths, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)]
                inputs = outputs
            layers += [nn.MaxPool2d(2), nn.Dropout(block_dropout)]
        side = size >> len(channels)
        self.blocks = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Linear(inputs * side * side, dense),
            nn.ReLU(True),
            nn.Dropout(dense_dropout),
            nn.Linear(dense, dense),
            nn.ReLU(True),
        )
        self.dropout = nn.Dropout(dense_dropout)
        self.classify = nn.Linear(dense, NUM_EMOTIONS)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.dense(self.blocks(faces).flatten(1))  # (N, D)
        return embedding, self.classify(self.dropout(embedding))
