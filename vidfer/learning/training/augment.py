"""Random changes to batches of faces: a face turned, lit, blurred, compressed or covered shows the same emotion.

``Augmentation`` is applied to stored faces with a border; with every setting at zero it returns their centre
unchanged. All randomness comes from the generator that is passed in.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from vidfer.config import Section

Share = Field(0.0, ge=0.0, le=1.0)


class AugmentConfig(Section):
    """``[augment]`` of a training recipe. Everything is off by default; ``*_share`` is the part of faces changed."""

    flip: bool = False
    rotation_degrees: float = Field(0.0, ge=0.0, le=90.0)
    scale: float = Field(0.0, ge=0.0, lt=1.0, description="0.1: sides from 1/1.1 to 1.1 times")
    shift: float = Field(0.0, ge=0.0, le=0.5, description="of the side")
    stretch: float = Field(0.0, ge=0.0, lt=1.0, description="like scale, of the width alone")
    shear: float = Field(0.0, ge=0.0, le=1.0, description="0.2: top against bottom by up to 0.2 of the height")
    brightness: float = Field(0.0, ge=0.0, le=1.0, description="added, of the full range")
    contrast: float = Field(0.0, ge=0.0, le=1.0, description="0.3: from 1/1.3 to 1.3 times")
    gamma: float = Field(0.0, ge=0.0, le=2.0, description="like contrast, an exponent")
    side_light: float = Field(0.0, ge=0.0, le=1.0, description="one edge darker, the other lighter by up to this")
    low_resolution_share: float = Share
    low_resolution_side: int = Field(16, ge=4, description="smallest side that a face is shrunk to, px")
    sharpness_share: float = Share
    blur_amount: float = Field(1.0, ge=0.0, le=1.0, description="1: up to wholly replaced by its blurred self")
    sharpen_amount: float = Field(1.0, ge=0.0, description="up to this times the detail is added")
    compression_share: float = Share
    noise_share: float = Share
    noise: float = Field(0.05, ge=0.0, description="largest standard deviation, of the full range")
    occlusion_share: float = Share
    occlusion_side: float = Field(0.4, ge=0.0, le=1.0, description="largest side of what covers the face")


class Augmentation:
    """Applies the settings of ``AugmentConfig`` to batches.

    Parameters
    ----------
    config
        How much of what.
    size, border
        Faces come with ``border`` px around their ``size`` px.
    """

    def __init__(self, config: AugmentConfig, *, size: int, border: int) -> None:
        self.config, self.size, self.border = config, size, border

    def __call__(self, faces: Tensor, generator: torch.Generator, *, side: int = 0) -> Tensor:
        """Return changed faces (N, C, S, S) float 0..1 from faces (N, C, size + 2 border, size + 2 border) float 0..1.

        S is ``side`` (at least half of ``size``), or ``size`` if that is 0.
        """
        config = self.config
        faces = moved(faces, config, generator, size=self.size, side=side or self.size)
        faces = relit(faces, config, generator)
        if config.low_resolution_share:
            faces = coarsened(faces, config, generator)
        if config.sharpness_share:
            faces = resharpened(faces, config, generator)
        if config.occlusion_share:
            faces = covered(faces, config, generator)
        if config.noise_share:
            faces = noisy(faces, config, generator)
        if config.compression_share:
            faces = compressed(faces, config, generator)
        return faces.clamp(0, 1)


def moved(faces: Tensor, config: AugmentConfig, generator: torch.Generator, *, size: int, side: int) -> Tensor:
    """Flip, turn, scale, stretch, shear and shift in one bilinear pass, cut to ``size`` and sample at ``side`` px."""
    n, full = len(faces), faces.shape[-1]
    angle = _between(n, math.radians(config.rotation_degrees), generator)
    scale = torch.exp(_between(n, math.log1p(config.scale), generator)) * (size / full)
    stretch = torch.exp(_between(n, math.log1p(config.stretch), generator))
    flip = torch.where(_chosen(n, 0.5 if config.flip else 0.0, generator), -1.0, 1.0)
    shift = torch.stack([_between(n, 2 * config.shift, generator) for _ in range(2)], 1) * (size / full)  # (N, 2)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack(
        [
            torch.stack([flip * stretch * cos, -sin, shift[:, 0]], 1),
            torch.stack([flip * stretch * sin, cos, shift[:, 1]], 1),
        ],
        1,
    )  # (N, 2, 3)
    if config.shear:  # drawn only if wanted: other recipes keep their random numbers
        theta[:, :, 1] += theta[:, :, 0] * _between(n, config.shear, generator)[:, None]
    grid = functional.affine_grid(theta.to(faces.device), [n, faces.shape[1], side, side], align_corners=False)
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def relit(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Change gamma, contrast (about the face's mean), brightness and the direction of light."""
    n, device = len(faces), faces.device
    if config.gamma:
        faces = faces.clamp_min(1e-4) ** _column(torch.exp(_between(n, math.log1p(config.gamma), generator)), device)
    if config.side_light:
        amount, angle = _between(n, config.side_light, generator), _between(n, math.pi, generator)
        ticks = torch.linspace(-1, 1, faces.shape[-1])
        x = (torch.cos(angle) * amount)[:, None, None, None] * ticks
        y = (torch.sin(angle) * amount)[:, None, None, None] * ticks[:, None]
        faces = faces * (1 + x + y).to(device)
    if config.contrast:
        factor = _column(torch.exp(_between(n, math.log1p(config.contrast), generator)), device)
        mean = faces.mean((1, 2, 3), keepdim=True)
        faces = (faces - mean) * factor + mean
    if config.brightness:
        faces = faces + _column(_between(n, config.brightness, generator), device)
    return faces.clamp(0, 1) if config.gamma or config.side_light or config.contrast or config.brightness else faces


def coarsened(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Shrink some faces to a lower resolution, one for the batch, and enlarge them again."""
    rows = _rows(len(faces), config.low_resolution_share, generator).to(faces.device)
    side = int(torch.randint(config.low_resolution_side, faces.shape[-1], (), generator=generator))
    small = functional.interpolate(faces[rows], size=side, mode="bilinear", antialias=True)
    return faces.index_copy(0, rows, functional.interpolate(small, size=faces.shape[-1], mode="bilinear"))


def resharpened(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Blur some faces and sharpen others: move along the line from the blurred face to the face and beyond."""
    rows = _rows(len(faces), config.sharpness_share, generator).to(faces.device)
    part = faces[rows]
    sigma = 0.7 + 1.3 * float(torch.rand((), generator=generator))  # px
    ticks = torch.arange(-4, 5, dtype=torch.float32)
    kernel = torch.exp(-(ticks**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(faces).expand(faces.shape[1], 1, -1)  # (C, 1, 9)
    blurred = functional.pad(part, (4, 4, 4, 4), mode="replicate")
    blurred = functional.conv2d(blurred, kernel[:, :, None, :], groups=faces.shape[1])
    blurred = functional.conv2d(blurred, kernel[:, :, :, None], groups=faces.shape[1])
    amount = torch.rand(len(part), generator=generator)
    blur = _chosen(len(part), 0.5, generator)
    amount = torch.where(blur, -config.blur_amount * amount, config.sharpen_amount * amount)
    return faces.index_copy(0, rows, part + (part - blurred) * _column(amount, faces.device))


def covered(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Cover a rectangle of some faces with one gray value."""
    n, size = len(faces), faces.shape[-1]
    hit = _chosen(n, config.occlusion_share, generator)
    sides = (0.1 + torch.rand(n, 2, generator=generator) * max(0.0, config.occlusion_side - 0.1)) * size
    centre = torch.rand(n, 2, generator=generator) * size
    value = torch.rand(n, generator=generator)
    ticks = torch.arange(size) + 0.5
    inside = ((ticks - centre[..., None]).abs() < sides[..., None] / 2) & hit[:, None, None]  # (N, 2, S)
    mask = (inside[:, 0, None, :] & inside[:, 1, :, None])[:, None].to(faces.device)  # (N, 1, S, S)
    return torch.where(mask, _column(value, faces.device), faces)


def noisy(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Add normal noise to some faces, of a different strength each."""
    rows = _rows(len(faces), config.noise_share, generator)
    strength = torch.rand(len(rows), 1, 1, 1, generator=generator) * config.noise
    noise = torch.randn((len(rows), *faces.shape[1:]), generator=generator) * strength
    return faces.index_add(0, rows.to(faces.device), noise.to(faces.device))


# Quantisation of luma at JPEG quality 50 (ITU-T T.81, table K.1).
_QUANTISATION = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]


def compressed(faces: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Quantise some faces' 8x8 cosine transform as JPEG and video codecs do, quality about 20 to 90.

    Sides that are no multiple of eight keep their last rows and columns.
    """
    rows = _rows(len(faces), config.compression_share, generator).to(faces.device)
    strength = torch.exp(torch.empty(len(rows)).uniform_(math.log(0.2), math.log(2.5), generator=generator))
    part = faces[rows]
    side = part.shape[-1] // 8 * 8
    n, channels = part.shape[:2]
    cosine = _cosine_basis().to(faces)  # (8, 8)
    blocks = part[..., :side, :side].reshape(n, channels, side // 8, 8, side // 8, 8).transpose(3, 4)
    step = (torch.tensor(_QUANTISATION) / 255.0).to(faces) * strength.to(faces)[:, None, None, None, None, None]
    quantised = torch.round((cosine @ (blocks - 0.5) @ cosine.T) / step) * step
    restored = (cosine.T @ quantised @ cosine + 0.5).transpose(3, 4).reshape(n, channels, side, side)
    part = part.clone()
    part[..., :side, :side] = restored
    return faces.index_copy(0, rows, part)


@cache
def _cosine_basis() -> Tensor:
    k = torch.arange(8, dtype=torch.float32)
    basis = torch.cos(math.pi * (2 * k[None] + 1) * k[:, None] / 16) * 0.5
    basis[0] /= math.sqrt(2)
    return basis


def _between(n: int, limit: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(n, generator=generator) * 2 - 1) * limit


def _chosen(n: int, share: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator) < share


def _rows(n: int, share: float, generator: torch.Generator) -> Tensor:
    """Return the numbers of about ``share`` of n rows."""
    return _chosen(n, share, generator).nonzero()[:, 0]


def _column(values: Tensor, device: torch.device) -> Tensor:
    return values[:, None, None, None].to(device)
