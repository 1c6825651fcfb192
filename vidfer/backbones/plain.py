"""The plain CNNs of the literature: convolutions and pooling, then one dense layer. One class; recipes differ."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vidfer.backbones import BACKBONES, InputSpec
from vidfer.labels import NUM_EMOTIONS


@BACKBONES.register("plain")
class PlainNetwork(nn.Module):
    """Blocks of one 3x3 convolution, ReLU and 2x2 maximum, then a dense layer whose output is the embedding.

    Parameters
    ----------
    size
        Side of the gray input, px.
    channels
        Channels of each block.
    dense
        Width D of the dense layer.
    block_dropout
        After every block in training.
    dense_dropout
        After the dense layer in training.
    """

    def __init__(
        self,
        *,
        size: int = 48,
        channels: Sequence[int] = (32, 64, 128),
        dense: int = 512,
        block_dropout: float = 0.0,
        dense_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        side = size >> len(channels)
        if side < 1:
            raise ValueError(f"{len(channels)} poolings leave nothing of {size} px")
        self.input_spec, self.embedding_size = InputSpec(size=size), dense
        layers: list[nn.Module] = []
        inputs = self.input_spec.channels
        for outputs in channels:
            layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
            layers.extend([nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(block_dropout)])
            inputs = outputs
        self.blocks = nn.Sequential(*layers)
        self.dense = nn.Sequential(nn.Linear(inputs * side * side, dense), nn.ReLU(inplace=True))
        self.dropout = nn.Dropout(dense_dropout)
        self.classify = nn.Linear(dense, NUM_EMOTIONS)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.dense(self.blocks(faces).flatten(1))  # (N, D)
        return embedding, self.classify(self.dropout(embedding))
