"""VGG networks (Simonyan and Zisserman 2015) for small faces, as VGG13 in the paper of FER+ (Barsoum et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vidfer.backbones import BACKBONES, InputSpec
from vidfer.labels import NUM_EMOTIONS


class VggNetwork(nn.Module):
    """Blocks of 3x3 convolutions, each ending with a 2x2 maximum and dropout, then two dense layers.

    Parameters
    ----------
    channels, depths
        Channels of each block and its number of convolutions.
    dense
        Width D of both dense layers; the second one's output is the embedding.
    block_dropout, dense_dropout
        In training.
    input_spec
        What it wants to see.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (64, 128, 256, 256),
        depths: Sequence[int] = (2, 2, 3, 3),
        dense: int = 1024,
        block_dropout: float = 0.25,
        dense_dropout: float = 0.5,
        input_spec: InputSpec,
    ) -> None:
        super().__init__()
        if len(channels) != len(depths):
            raise ValueError(f"expected as many channels as depths, got {len(channels)} and {len(depths)}")
        self.input_spec, self.embedding_size = input_spec, dense
        layers: list[nn.Module] = []
        inputs = input_spec.channels
        for outputs, depth in zip(channels, depths, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)]
                inputs = outputs
            layers += [nn.MaxPool2d(2), nn.Dropout(block_dropout)]
        side = input_spec.size >> len(channels)
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


@BACKBONES.register("vgg")
def vgg(*, size: int = 64, **options: object) -> nn.Module:
    """Return a VGG network (VGG13 of FER+ by default): ``size`` of the gray input, options of ``VggNetwork``."""
    return VggNetwork(input_spec=InputSpec(size=size), **options)  # type: ignore[arg-type]
