"""The embedded network for 68 landmarks: a small residual encoder and a grid of weighted votes.

Every cell of a 10 x 10 grid votes for where each landmark is (its own position plus a learned offset), and the votes
are averaged with learned weights that sum to one. This joins integral regression (Sun et al. 2018, "Integral Human
Pose Regression"), which is precise below a cell, and pixel-in-pixel regression (Jin et al. 2021), which can place
points outside the crop.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidfer.faces.convolution_units import ConvUnit, Residual
from vidfer.weights import described_network

NUM_LANDMARKS = 68
MAX_SIDE = 512  # px of a crop


class PointNetwork(nn.Module):
    """68 points and a face score from gray crops.

    Parameters
    ----------
    size
        Side of the crop in pixels, a multiple of 16.
    widths
        Channels at a half, a quarter, an eighth and a sixteenth of the crop's side.
    blocks
        Residual blocks at a quarter, an eighth and a sixteenth.
    neck
        Channels of the voting grid.
    """

    def __init__(
        self,
        *,
        size: int = 80,
        widths: tuple[int, int, int, int] = (16, 32, 64, 112),
        blocks: tuple[int, int, int] = (2, 2, 2),
        neck: int = 96,
    ) -> None:
        super().__init__()
        if size % 16:
            raise ValueError(f"size must be a multiple of 16, got {size}")
        self.size = size
        first, quarter, eighth, sixteenth = widths
        self.stem = ConvUnit(1, first, kernel=5, stride=2)
        self.quarter = _stage(first, quarter, blocks[0])
        self.eighth = _stage(quarter, eighth, blocks[1])
        self.sixteenth = _stage(eighth, sixteenth, blocks[2])
        self.lateral = nn.Conv2d(eighth, neck, 1)
        self.context = nn.Conv2d(sixteenth, neck, 1)
        self.merge = ConvUnit(neck, neck)
        self.votes = nn.Conv2d(neck, NUM_LANDMARKS * 3, 1)
        self.score = nn.Sequential(nn.Linear(sixteenth, 32), nn.ReLU(), nn.Linear(32, 1))
        if not self.votes.weight.is_meta:  # nothing to fill, yet PyTorch would import its compiler: 1 s
            nn.init.normal_(self.votes.weight, std=0.01)
        assert self.votes.bias is not None
        nn.init.zeros_(self.votes.bias)
        for block in self.modules():
            if isinstance(block, Residual):  # each starts as the identity (Goyal et al. 2017)
                nn.init.zeros_(block.second.norm.weight)  # type: ignore[arg-type]

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (N, 68, 2) in the unit square of each crop and face logits (N,), both float32.

        ``crops`` (N, 1, S, S) of any range: each is standardised by its own mean and deviation.
        """
        x = standardise(crops).to(self.stem.conv.weight.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        eighth = self.eighth(self.quarter(self.stem(x)))  # (N, E, S/8, S/8)
        sixteenth = self.sixteenth(eighth)  # (N, X, S/16, S/16)
        context = functional.interpolate(self.context(sixteenth), scale_factor=2, mode="nearest")
        merged = self.merge(functional.relu(self.lateral(eighth) + context))  # (N, neck, S/8, S/8)
        with torch.autocast(crops.device.type, enabled=False):  # below a pixel bfloat16 is too coarse
            points = _average_votes(self.votes(merged.float()))  # votes: (N, 204, S/8, S/8)
            logits = self.score(sixteenth.float().mean((2, 3)))[:, 0]
        return points, logits


def standardise(crops: Tensor) -> Tensor:
    """Return crops (N, 1, S, S) with mean 0 and deviation 1 each; one of a single colour becomes 0."""
    crops = crops.float()
    mean = crops.mean((2, 3), keepdim=True)
    deviation = (crops - mean).square().mean((2, 3), keepdim=True).sqrt()
    return (crops - mean) / (deviation + 0.01)


def build_network(tensors: dict[str, Tensor], metadata: dict[str, Any], *, source: Path) -> PointNetwork:
    """Return the network that a weight file describes, in evaluation mode; raises WeightsError if it does not fit."""
    return described_network("landmarks", PointNetwork, tensors, metadata, source=source, check=_check_side)


def _check_side(network: PointNetwork) -> None:
    if not 16 <= network.size <= MAX_SIDE:
        raise ValueError(f"crops of {network.size} px")


def halve_body(network: PointNetwork) -> PointNetwork:
    """Compute everything but the votes and the score in bfloat16, in place, and return the network."""
    network.to(torch.bfloat16)
    network.votes.float()
    network.score.float()
    return network


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(ConvUnit(inputs, outputs, stride=2), *(Residual(outputs) for _ in range(blocks)))


def _average_votes(votes: Tensor) -> Tensor:
    count, _, height, width = votes.shape
    weights = votes[:, :NUM_LANDMARKS].flatten(2).softmax(2)  # (N, 68, cells)
    offsets = votes[:, NUM_LANDMARKS:].reshape(count, NUM_LANDMARKS, 2, height * width)
    y, x = torch.meshgrid(
        (torch.arange(height, device=votes.device) + 0.5) / height,
        (torch.arange(width, device=votes.device) + 0.5) / width,
        indexing="ij",
    )
    cells = torch.stack([x.flatten(), y.flatten()])  # (2, cells)
    return ((offsets + cells) * weights[:, :, None]).sum(3)  # (N, 68, 2)
