"""GRU and LSTM bodies, reading forward only or both ways, with optional attention to the near past and future."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Cell = Literal["gru", "lstm"]
ATTENTION_RADIUS = 20  # steps
_BLOCK = 256  # steps that attend at a time, so that memory does not grow with the square of the length


class RecurrentBody(nn.Module):
    """Layers of recurrent cells.

    Parameters
    ----------
    cell
        ``gru`` (Cho et al. 2014) or ``lstm`` (Hochreiter and Schmidhuber 1997).
    inputs, hidden, layers
        Features read, features of each direction, and layers.
    causal
        Read forward only.
    attention
        Let each step attend to the steps at most ``ATTENTION_RADIUS`` away, after the last layer.
    """

    reach: int | None = None

    def __init__(
        self, cell: Cell, *, inputs: int, hidden: int, layers: int = 1, causal: bool = False, attention: bool = False
    ) -> None:
        super().__init__()
        kind = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.width = hidden if causal else 2 * hidden
        sizes = [inputs] + [self.width] * (layers - 1)
        self.forwards = nn.ModuleList(kind(size, hidden, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList([] if causal else (kind(size, hidden, batch_first=True) for size in sizes))
        self.attention = LocalAttention(self.width, causal=causal) if attention else None

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        for i, forwards in enumerate(self.forwards):
            ahead = forwards(x)[0]  # (B, G, H)
            if self.backwards:
                back = reversed_within(self.backwards[i](reversed_within(x, lengths))[0], lengths)
                x = torch.cat([ahead, back], -1)  # (B, G, 2 H)
            else:
                x = ahead
        return x if self.attention is None else self.attention(x, lengths)

    def first_state(self) -> tuple[Tensor, ...]:
        """Return the state before the first step: zeros for each layer, and nothing to attend to."""
        per_layer = 2 if isinstance(self.forwards[0], nn.LSTM) else 1
        zeros = next(self.parameters()).new_zeros((1, 1, self.width))
        return (*[zeros] * (per_layer * len(self.forwards)), *([zeros[:, :0]] if self.attention else []))

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Go on over the next steps (1, G, C) of a causal body: return (1, G, W), and the state behind them."""
        after: list[Tensor] = []
        for i, forwards in enumerate(self.forwards):
            if isinstance(forwards, nn.LSTM):
                x, hidden = forwards(x, (state[2 * i], state[2 * i + 1]))
                after += hidden
            else:
                x, hidden = forwards(x, state[i])
                after.append(hidden)
        if self.attention is not None:
            seen = torch.cat([state[-1], x], 1)
            lengths = torch.tensor([seen.shape[1]], device=x.device)
            after.append(seen[:, -ATTENTION_RADIUS:])
            x = self.attention(seen, lengths)[:, -x.shape[1] :]
        return x, tuple(after)


def reversed_within(x: Tensor, lengths: Tensor) -> Tensor:
    """Return sequences (B, G, C) each turned around within its length; what lies behind stays where it is."""
    steps = torch.arange(x.shape[1], device=x.device)
    mirrored = lengths[:, None] - 1 - steps
    index = torch.where(mirrored >= 0, mirrored, steps)  # (B, G)
    return x.gather(1, index[..., None].expand_as(x))


class LocalAttention(nn.Module):
    """Multi-head attention within a band, with a learned preference for each distance, added to its input."""

    def __init__(self, width: int, *, causal: bool, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.distance = nn.Parameter(torch.zeros(heads, 2 * ATTENTION_RADIUS + 1))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        batch, steps, width = x.shape
        q, k, v = self.qkv(self.norm(x)).view(batch, steps, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = []
        for start in range(0, steps, _BLOCK):
            queries = torch.arange(start, min(start + _BLOCK, steps), device=x.device)
            first = max(0, start - ATTENTION_RADIUS)
            keys = torch.arange(first, min(start + _BLOCK + ATTENTION_RADIUS, steps), device=x.device)
            mask = self._mask(queries, keys, lengths).to(x.dtype)
            part = slice(first, first + len(keys))
            mixed.append(
                functional.scaled_dot_product_attention(
                    q[:, :, start : start + _BLOCK], k[:, :, part], v[:, :, part], attn_mask=mask
                )
            )
        together = torch.cat(mixed, 2)  # (B, heads, G, W / heads)
        return x + self.out(together.transpose(1, 2).reshape(batch, steps, width))

    def _mask(self, queries: Tensor, keys: Tensor, lengths: Tensor) -> Tensor:
        """Return what is added to the scores of each pair, (B, heads, Q, M)."""
        ahead = keys[None] - queries[:, None]  # (Q, M)
        allowed = (ahead.abs() <= ATTENTION_RADIUS) & ((ahead <= 0) if self.causal else True)
        bias = self.distance[:, ahead.clamp(-ATTENTION_RADIUS, ATTENTION_RADIUS) + ATTENTION_RADIUS]  # (heads, Q, M)
        present = (keys < lengths[:, None])[:, None, None] | (ahead == 0)  # (B, 1, Q, M): padding sees itself
        return bias[None].masked_fill(~(allowed & present), -torch.inf)
