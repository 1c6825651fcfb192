"""The network of the embedded face detector: one stage, no anchors, strides 8, 16 and 32.

It is a small residual network of dense 3x3 convolutions (on CPUs with bfloat16 they run at seven times the rate of
depthwise ones), a top-down path, and a head per stride which says for each cell: how likely a face is centred here,
its box, and its five points.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from vidfer.config import Section
from vidfer.faces.convolution_units import ConvUnit, Residual, fuse_norms, pack
from vidfer.packed import PackedConvolution, can_pack

STRIDES = (8, 16, 32)
NUM_OUTPUTS = 15  # score, centre x and y, log width and height, five points
_BOX_SCALE = 3.0  # strides per unit of exp(0): the middle of the sizes that a stride is trained for
_POINT_SCALE = 2.0  # strides
_PIXEL_SCALE = 1.0 / 128.0


class DetectorShape(Section):
    """``[network]`` of the recipe: widths; kept in the weight file so that it can be built again."""

    stem: tuple[int, int] = (12, 24)
    widths: tuple[int, int, int] = Field((48, 80, 112), description="channels at strides 8, 16 and 32")
    blocks: tuple[int, int, int] = Field((1, 1, 2), description="residual blocks at strides 8, 16 and 32")
    neck: int = Field(48, ge=8)


class _Head(nn.Module):
    """Smooths one level and predicts in float32: eight bits of mantissa are too few for a box."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.smooth = ConvUnit(channels, channels)
        self.predict: nn.Conv2d | PackedConvolution = nn.Conv2d(channels, NUM_OUTPUTS, 1)
        if not self.predict.weight.is_meta:  # nothing to fill, yet PyTorch would import its compiler: 1 s
            nn.init.normal_(self.predict.weight, std=0.01)
        nn.init.zeros_(self.predict.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.predict.bias[0] = -4.0  # type: ignore[index] # a cell seldom holds a face

    def forward(self, x: Tensor) -> Tensor:
        x = self.smooth(x)
        with torch.autocast(x.device.type, enabled=False):
            x = self.predict(x.float())  # (B, 15, h, w)
        return x.permute(0, 2, 3, 1).flatten(1, 2)  # (B, h * w, 15)


class DetectorNetwork(nn.Module):
    """Frames in, a row of outputs per cell out.

    Parameters
    ----------
    shape
        Widths and depths.
    """

    def __init__(self, shape: DetectorShape) -> None:
        super().__init__()
        self.shape = shape
        stem, widths = shape.stem, shape.widths
        self.stem = nn.Sequential(ConvUnit(3, stem[0], stride=2), ConvUnit(stem[0], stem[1], stride=2))
        stages, previous = [], stem[1]
        for width, blocks in zip(widths, shape.blocks, strict=True):
            residuals = [Residual(width) for _ in range(blocks)]
            stages.append(nn.Sequential(ConvUnit(previous, width, stride=2), *residuals))
            previous = width
        self.stages = nn.ModuleList(stages)
        self.lateral = nn.ModuleList(ConvUnit(width, shape.neck, kernel=1, relu=False) for width in widths)
        self.heads = nn.ModuleList(_Head(shape.neck) for _ in widths)
        self.pixel_scale = _PIXEL_SCALE

    def forward(self, images: Tensor) -> Tensor:
        """Return outputs (B, cells, 15) float32 for images (B, 3, H, W), 0..255; H and W multiples of 32."""
        x = images if self.pixel_scale == 1.0 else images * self.pixel_scale
        x = self.stem(x)  # (B, C, H / 4, W / 4)
        levels = []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            levels.append(lateral(x))
        outputs, above = [], None
        for level, head in zip(reversed(levels), reversed(self.heads), strict=True):
            if above is not None:
                level = level.add_(functional.interpolate(above, scale_factor=2.0, mode="nearest"))
            above = functional.relu(level)
            outputs.append(head(above))
        return torch.cat(outputs[::-1], dim=1)


def cells(height: int, width: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Return the centres (cells, 2) px and strides (cells, 1) px of the cells of an input of height x width."""
    centres, strides = [], []
    for stride in STRIDES:
        y = (torch.arange(height // stride, device=device) + 0.5) * stride
        x = (torch.arange(width // stride, device=device) + 0.5) * stride
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (h, w, 2)
        centres.append(grid.reshape(-1, 2))
        strides.append(torch.full((centres[-1].shape[0], 1), float(stride), device=device))
    return torch.cat(centres), torch.cat(strides)


def decode(outputs: Tensor, centres: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Return boxes (..., 4) xyxy and points (..., 5, 2), in input px, of outputs (..., 15) at matching cells."""
    middle = centres + outputs[..., 1:3] * strides
    size = strides * _BOX_SCALE * outputs[..., 3:5].clamp(-4.0, 4.0).exp()
    points = outputs[..., 5:15].unflatten(-1, (5, 2)) * (_POINT_SCALE * strides)[..., None] + centres[..., None, :]
    return torch.cat([middle - size / 2, middle + size / 2], dim=-1), points


def fused(network: DetectorNetwork, dtype: torch.dtype) -> DetectorNetwork:
    """Return a copy for inference: norms and pixel scale folded into the convolutions, all but the last in dtype."""
    network = fuse_norms(copy.deepcopy(network).eval())
    first: Any = network.stem[0]
    with torch.no_grad():
        first.conv.weight.mul_(network.pixel_scale)
    network.pixel_scale = 1.0
    for module in network.modules():
        if isinstance(module, ConvUnit):
            module.to(dtype)
    network = network.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return pack(network) if can_pack(first.conv.weight.device) else network
