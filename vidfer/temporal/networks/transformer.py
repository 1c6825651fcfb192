"""Transformer body (Vaswani et al. 2017): attention over the seconds around each step, and a mixing of features.

Attention is banded, as of Longformer (Beltagy et al. 2020): cost grows with a track's length, not with its square, and
a position is only how far away a step is, so that a result does not depend on where in a track it lies.
"""

from __future__ import annotations

from torch import Tensor, nn

from vidfer.temporal.networks.recurrent import ATTENTION_RADIUS, LocalAttention
from vidfer.temporal.networks.windowed import WindowedBody


class TransformerBody(WindowedBody):
    """Layers that see ``reach`` steps to each side (causal: to the past).

    Parameters
    ----------
    inputs, hidden, layers
        Features read, features of each layer (a multiple of ``heads``), and layers.
    causal
        Layers see the past only.
    dropout
        Within the mixing of features.
    heads
        Of attention.
    """

    def __init__(
        self, *, inputs: int, hidden: int, layers: int = 2, causal: bool = False, dropout: float = 0.1, heads: int = 4
    ) -> None:
        super().__init__()
        if hidden % heads:
            raise ValueError(f"expected hidden to be a multiple of {heads}, got {hidden}")
        self.width, self.reach = hidden, layers * ATTENTION_RADIUS
        self.enter = nn.Linear(inputs, hidden)
        self.attend = nn.ModuleList(LocalAttention(hidden, causal=causal, heads=heads) for _ in range(layers))
        self.mix = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(hidden),
                nn.Linear(hidden, 2 * hidden),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(2 * hidden, hidden),
            )
            for _ in range(layers)
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        x = self.enter(x)
        for attend, mix in zip(self.attend, self.mix, strict=True):
            x = attend(x, lengths)
            x = x + mix(x)
        return x
