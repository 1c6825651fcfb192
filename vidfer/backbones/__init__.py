"""Per-frame networks, one CNN family a file, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vidfer.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What a backbone wants to see; ``backbones.preprocess`` is the only code that acts on it.

    Attributes
    ----------
    size
        Side of the square aligned face, px.
    colour
        ``gray`` or ``rgb``.
    mean, std
        Subtracted from and divided into values of 0..1.
    """

    size: int = 64
    colour: Literal["gray", "rgb"] = "gray"
    mean: float = 0.5
    std: float = 0.25

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 512 or self.colour not in ("gray", "rgb"):
            raise ValueError(f"InputSpec: expected a side of 8 to 512 px, gray or rgb, got {self.size}, {self.colour}")
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise ValueError(f"InputSpec: expected a mean and a positive std, got {self.mean} and {self.std}")

    @property
    def channels(self) -> int:
        return 1 if self.colour == "gray" else 3


# A backbone is an nn.Module with ``input_spec: InputSpec``, ``embedding_size: int`` and
# ``forward(faces (N, C, S, S)) -> (embedding (N, D), logits (N, K))``; a factory takes its recipe's keyword arguments.
BackboneFactory = Callable[..., "nn.Module"]
BACKBONES: Registry[BackboneFactory] = Registry("backbone", __name__)


def preprocess(faces: Tensor, spec: InputSpec) -> Tensor:
    """Return network input (N, C, S, S) from aligned faces (N, 1 or 3, S, S) float 0..1: the same in training and use.

    Parameters
    ----------
    faces
        From ``faces.align.warp_faces`` at ``spec.size``.
    spec
        The backbone's.
    """
    if spec.colour == "gray" and faces.shape[1] == 3:
        weights = faces.new_tensor([0.299, 0.587, 0.114])  # ITU-R BT.601 luma
        faces = (faces * weights[:, None, None]).sum(1, keepdim=True)  # (N, 1, S, S)
    elif spec.colour == "rgb" and faces.shape[1] == 1:
        faces = faces.expand(-1, 3, -1, -1)
    return (faces - spec.mean) / spec.std
