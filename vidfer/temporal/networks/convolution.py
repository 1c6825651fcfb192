"""Temporal convolutional body (Bai et al. 2018): dilated residual convolutions over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidfer.temporal.networks.windowed import WindowedBody


class ConvolutionBody(WindowedBody):
    """Residual blocks of dilated convolutions; each node sees ``reach`` steps to each side (causal: to the past).

    Parameters
    ----------
    inputs, hidden
        Features read, and features of each block.
    dilations
        One block each, kernel 3.
    causal
        Blocks see the past only.
    """

    def __init__(
        self,
        *,
        inputs: int,
        hidden: int,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 16),
        causal: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.width, self.reach = hidden, sum(dilations) * (2 if causal else 1)
        self.enter = nn.Linear(inputs, hidden)
        self.blocks = nn.ModuleList(_Block(hidden, d, causal=causal, dropout=dropout) for d in dilations)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        valid = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[..., None].to(x.dtype)  # (B, G, 1)
        x = self.enter(x)
        for block in self.blocks:
            x = block(x, valid)
        return x


class _Block(nn.Module):
    def __init__(self, width: int, dilation: int, *, causal: bool, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolve = nn.Conv1d(width, width, 3, dilation=dilation)
        self.padding = (2 * dilation, 0) if causal else (dilation, dilation)
        self.mix = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        y = (self.norm(x) * valid).transpose(1, 2)  # (B, W, G); beyond the ends all is zero
        y = self.convolve(functional.pad(y, self.padding)).transpose(1, 2)  # (B, G, W)
        return x + self.mix(self.dropout(functional.gelu(y)))
