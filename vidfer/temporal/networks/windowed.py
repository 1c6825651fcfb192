"""A body that sees a fixed number of steps around each: what it remembers in a stream are those steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WindowedBody(nn.Module):
    """Base of bodies that see ``reach`` steps to each side (causal: to the past) of what ``enter`` reads."""

    reach: int | None
    enter: nn.Linear

    def first_state(self) -> tuple[Tensor, ...]:
        """Return the state before the first step: nothing was seen."""
        return (self.enter.weight.new_zeros((1, 0, self.enter.in_features)),)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Go on over the next steps (1, G, C) of a causal body: return (1, G, W), and the steps that are in reach."""
        assert self.reach is not None
        seen = torch.cat([state[0], x], 1)
        found = self(seen, torch.tensor([seen.shape[1]], device=x.device))
        return found[:, -x.shape[1] :], (seen[:, -self.reach :],)
