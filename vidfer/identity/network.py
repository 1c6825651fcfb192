"""The network that gives a face its vector; see ``assets/identity.md`` for what it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidfer.faces.convolution_units import ConvUnit, Residual
from vidfer.weights import described_network

MAX_SIDE = 256  # px of a face


class VectorNetwork(nn.Module):
    """A vector of length 1 from a coloured face: residual blocks, then one weight for each place and channel.

    Parameters
    ----------
    size
        Side of the faces that it is used on, px.
    widths
        Channels at a half, a quarter, an eighth and a sixteenth of the side.
    blocks
        Residual blocks at a quarter, an eighth and a sixteenth.
    vector_size
        Length D of the vector.
    """

    def __init__(
        self,
        *,
        size: int = 48,
        widths: tuple[int, int, int, int] = (32, 48, 96, 176),
        blocks: tuple[int, int, int] = (2, 2, 1),
        vector_size: int = 256,
    ) -> None:
        super().__init__()
        self.size = size
        stages = [
            nn.Sequential(ConvUnit(inputs, outputs, stride=2), *(Residual(outputs) for _ in range(count)))
            for inputs, outputs, count in zip(widths[:-1], widths[1:], blocks, strict=True)
        ]
        self.body = nn.Sequential(ConvUnit(3, widths[0], kernel=5, stride=2), *stages)
        # An aligned face has its eyes and its mouth in fixed quarters: these are told apart, places within are not.
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.vector = nn.Linear(widths[-1] * 4, vector_size)

    def forward(self, faces: Tensor) -> Tensor:
        """Return vectors (N, D) of faces (N, 3, size, size) float 0..1."""
        x = ((faces - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)
        x = self.pool(self.body(x)).flatten(1)  # (N, 4 C)
        return functional.normalize(self.vector(x), dim=1)


def build_network(tensors: dict[str, Tensor], metadata: dict[str, Any], *, source: Path) -> VectorNetwork:
    """Return the network that a weight file describes, in evaluation mode; raises WeightsError if it does not fit."""
    return described_network("identity", VectorNetwork, tensors, metadata, source=source, check=_check_sides)


def _check_sides(network: VectorNetwork) -> None:
    if not 16 <= network.size <= MAX_SIDE:
        raise ValueError(f"faces of {network.size} px")
