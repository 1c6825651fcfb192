"""What video does to a face: low resolution, compression, bad light, sensor noise, things in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidfer.learning.datasets.encoded_images import as_jpeg


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One way in which a picture is worse than it could be.

    Attributes
    ----------
    side
        Side in px that the face is shrunk to before it is enlarged again; 0 = as it is.
    jpeg_quality
        1..95; 0 = not compressed.
    gain, gamma
        Values v of 0..1 become ``gain * v ** gamma``.
    noise
        Standard deviation of the sensor's noise, of the full range.
    cover
        left, top, right, bottom of a gray patch before the face in the unit square; None: nothing.
    cover_value
        0..1.
    """

    side: int = 0
    jpeg_quality: int = 0
    gain: float = 1.0
    gamma: float = 1.0
    noise: float = 0.0
    cover: tuple[float, float, float, float] | None = None
    cover_value: float = 0.5

    @property
    def severity(self) -> float:
        """Return 0 (none) to 1: what a quality score would see of it."""
        coarse = 0.0 if not self.side else max(0.0, 1 - self.side / 48)
        return float(np.clip(coarse + 4 * self.noise + 0.5 * (1 - min(1.0, self.gain)), 0.0, 1.0))


def draw_damage(random: np.random.Generator) -> Damage:
    """Draw one, from slight to severe; each kind is there or not, at least one is."""
    kinds = random.random(4) < (0.55, 0.5, 0.35, 0.25)
    if not kinds.any():
        kinds[random.integers(4)] = True
    coarse, compressed, dim, covered = kinds
    light = random.random()
    return Damage(
        side=int(np.exp(random.uniform(np.log(13), np.log(36)))) if coarse else 0,
        jpeg_quality=int(random.integers(6, 40)) if compressed else 0,
        gain=float(0.3 + 1.1 * light) if dim else 1.0,
        gamma=float(np.exp(random.normal(0.0, 0.3))) if dim else 1.0,
        noise=float(random.uniform(0.01, 0.06)) if dim and light < 0.5 else 0.0,
        cover=_draw_cover(random) if covered else None,
        cover_value=float(random.uniform(0.05, 0.9)),
    )


def draw_slight_damage(random: np.random.Generator) -> Damage:
    """Draw what even good video does: a little compression and another exposure."""
    return Damage(
        jpeg_quality=int(random.integers(45, 95)) if random.random() < 0.5 else 0,
        gain=float(random.uniform(0.8, 1.15)),
        gamma=float(np.exp(random.normal(0.0, 0.12))),
        side=int(random.integers(34, 56)) if random.random() < 0.4 else 0,
    )


def damaged(face: Tensor, damage: Damage, random: np.random.Generator) -> Tensor:
    """Return a face (1, S, S) float 0..1 as the damage leaves it."""
    size = face.shape[-1]
    if damage.cover is not None:
        left, top, right, bottom = (round(edge * size) for edge in damage.cover)
        face = face.clone()
        face[:, top:bottom, left:right] = damage.cover_value
    if damage.gain != 1.0 or damage.gamma != 1.0:
        face = damage.gain * face.clamp(1e-4, 1.0) ** damage.gamma
    if 0 < damage.side < size:
        small = functional.interpolate(face[None], size=damage.side, mode="bilinear", antialias=True)
        face = functional.interpolate(small, size=size, mode="bilinear")[0]
    if damage.noise:
        face = face + torch.from_numpy(random.normal(0.0, damage.noise, face.shape).astype(np.float32))
    face = face.clamp(0.0, 1.0)
    if not damage.jpeg_quality:
        return face
    pixels = as_jpeg((face[0] * 255).round().to(torch.uint8).numpy(), damage.jpeg_quality)
    return torch.from_numpy(pixels.astype(np.float32))[None] / 255


def _draw_cover(random: np.random.Generator) -> tuple[float, float, float, float]:
    """A hand at the mouth or chin, hair over the brow, or an edge of the frame."""
    width, height = random.uniform(0.25, 0.7), random.uniform(0.15, 0.4)
    place = random.integers(3)
    left = random.uniform(0.0, 1 - width)
    top = (random.uniform(0.6, 0.85), random.uniform(-0.1, 0.1), random.uniform(0.0, 0.7))[place]
    return (left, max(0.0, top), left + width, min(1.0, top + height))
