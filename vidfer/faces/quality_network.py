"""The network that judges aligned faces; see ``assets/quality.md`` for what it was fitted on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from vidfer.faces.convolution_units import ConvUnit
from vidfer.weights import described_network

NUM_FEATURES = 6  # of ``vidfer.faces.quality.quality_features``


class QualityNetwork(nn.Module):
    """Logit of "the label stays" from aligned gray faces (N, 1, 48, 48) of 0..1 and features (N, 6)."""

    def __init__(self, *, widths: tuple[int, int, int] = (16, 32, 48), hidden: int = 48) -> None:
        super().__init__()
        first, second, third = widths
        self.body = nn.Sequential(
            ConvUnit(1, first, stride=2), ConvUnit(first, second, stride=2), ConvUnit(second, third, stride=2)
        )
        self.pool = nn.AvgPool2d(2)  # what is covered matters, so places are kept
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Sequential(nn.Linear(third * 9 + NUM_FEATURES, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, faces: Tensor, features: Tensor) -> Tensor:
        x = self.dropout(self.pool(self.body((faces - 0.5) / 0.25)).flatten(1))  # (N, third * 9)
        logits: Tensor = self.head(torch.cat([x, features], 1))[:, 0]
        return logits  # (N,)


def build_quality_network(tensors: dict[str, Tensor], metadata: dict[str, object], *, source: Path) -> QualityNetwork:
    """Return the network that a weight file describes, in evaluation mode; raises WeightsError if it does not fit."""
    return described_network("quality", QualityNetwork, tensors, metadata, source=source)
