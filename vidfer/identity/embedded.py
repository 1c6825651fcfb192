"""The identity network that comes with the package; see ``assets/identity.md`` for what it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vidfer.errors import WeightsError
from vidfer.faces.convolution_units import ConvUnit, Residual, fuse_norms
from vidfer.identity import IDENTITIES
from vidfer.weights import described_network, load_tensors, locate

MAX_SIDE = 256  # px of a face
_FACES_AT_ONCE = 32  # bounds memory; more are no faster


class VectorNetwork(nn.Module):
    """A vector of length 1 from a coloured face: residual blocks, then one weight for each place and channel.

    Parameters
    ----------
    size
        Side of the faces that it is used on, px.
    widths
        Channels at a half, a quarter, an eighth and a sixteenth of the side.
    blocks
        Residual blocks at a quarter, an eighth and a sixteenth.
    vector_size
        Length D of the vector.
    """

    def __init__(
        self,
        *,
        size: int = 48,
        widths: tuple[int, int, int, int] = (32, 48, 96, 176),
        blocks: tuple[int, int, int] = (2, 2, 1),
        vector_size: int = 256,
    ) -> None:
        super().__init__()
        self.options = {"size": size, "widths": list(widths), "blocks": list(blocks), "vector_size": vector_size}
        self.size = size
        stages = [
            nn.Sequential(ConvUnit(inputs, outputs, stride=2), *(Residual(outputs) for _ in range(count)))
            for inputs, outputs, count in zip(widths[:-1], widths[1:], blocks, strict=True)
        ]
        self.body = nn.Sequential(ConvUnit(3, widths[0], kernel=5, stride=2), *stages)
        # An aligned face has its eyes and its mouth in fixed quarters: these are told apart, places within are not.
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.vector = nn.Linear(widths[-1] * 4, vector_size)

    def forward(self, faces: Tensor) -> Tensor:
        """Return vectors (N, D) of faces (N, 3, size, size) float 0..1."""
        x = ((faces - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)
        x = self.pool(self.body(x)).flatten(1)  # (N, 4 C)
        return functional.normalize(self.vector(x), dim=1)


@IDENTITIES.register("embedded")
class EmbeddedIdentity:
    """Vectors by ``VectorNetwork``.

    Parameters
    ----------
    device
        ``cpu``, ``cuda`` or ``cuda:i``.
    weights
        The user's own file instead of the embedded one; made by ``vidfer train identity``.

    Raises
    ------
    WeightsError
        If the weights are missing, damaged or of another model.
    """

    is_thread_safe = True

    def __init__(self, *, device: str = "cpu", weights: str = "") -> None:
        path = locate("identity", "embedded", weights)[0]
        tensors, metadata = load_tensors(path)
        self._device = torch.device(device)
        network = fuse_norms(build_network(tensors, metadata, source=path))
        # Not packed: at 3 x 3 px that takes twice as long.
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.size = network.size

    @torch.inference_mode()
    def embed(self, faces: Tensor) -> np.ndarray:
        """Return vectors (N, D) float32 of length 1 of faces (N, 3, size, size) float 0..1, RGB; N may be 0."""
        if faces.shape[1:] != (3, self.size, self.size):
            raise ValueError(f"expected faces (N, 3, {self.size}, {self.size}), got {tuple(faces.shape)}")
        parts = [self._network(part.to(self._device)).float().cpu() for part in faces.split(_FACES_AT_ONCE)]
        vectors: np.ndarray = torch.cat(parts).numpy()
        if not np.isfinite(vectors).all():
            raise WeightsError("the identity network gives no numbers: its weights are damaged")
        return vectors


def build_network(tensors: dict[str, Tensor], metadata: dict[str, Any], *, source: Path) -> VectorNetwork:
    """Return the network that a weight file describes, in evaluation mode; raises WeightsError if it does not fit."""
    return described_network("identity", VectorNetwork, tensors, metadata, source=source, check=_check_sides)


def _check_sides(network: VectorNetwork) -> None:
    if not 16 <= network.size <= MAX_SIDE:
        raise ValueError(f"faces of {network.size} px")
