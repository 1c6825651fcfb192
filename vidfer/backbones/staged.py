"""What residual networks share: a stem, stages of blocks, the mean over the picture, an embedding, a classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from vidfer.backbones import InputSpec
from vidfer.labels import NUM_EMOTIONS


class StagedNetwork(nn.Module):
    """Stages of blocks, each stage but the first at half the side of the one before.

    Parameters
    ----------
    stem
        The first layers.
    stem_channels
        How many channels they give.
    block
        Makes a block: (inputs, outputs, stride=) -> module.
    widths, depths
        Channels and blocks of each stage.
    embedding_size
        Length D of the embedding.
    dropout
        Share of the embedding dropped in training before the classifier.
    input_spec
        What the network wants to see.
    """

    def __init__(
        self,
        *,
        stem: nn.Module,
        stem_channels: int,
        block: Callable[..., nn.Module],
        widths: Sequence[int],
        depths: Sequence[int],
        embedding_size: int,
        dropout: float,
        input_spec: InputSpec,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths):
            raise ValueError(f"expected as many widths as depths, got {len(widths)} and {len(depths)}")
        self.input_spec, self.embedding_size = input_spec, embedding_size
        self.stem = stem
        blocks: list[nn.Module] = []
        channels = stem_channels
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for i in range(depth):
                blocks.append(block(channels, width, stride=2 if stage and i == 0 else 1))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.project = nn.Sequential(nn.Linear(channels, embedding_size), nn.BatchNorm1d(embedding_size))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(embedding_size, NUM_EMOTIONS)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        x = self.blocks(self.stem(faces))  # (N, C, h, w)
        embedding = self.project(x.mean((2, 3)))  # (N, D)
        return embedding, self.classify(self.dropout(embedding))


def convolution_stem(inputs: int, outputs: int, *, kernel: int, stride: int) -> nn.Sequential:
    """Return one normalised convolution with a ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
