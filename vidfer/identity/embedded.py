"""The identity network that comes with the package; see ``assets/identity.md`` for what it was trained on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidfer.errors import WeightsError
from vidfer.faces.convolution_units import fuse_norms
from vidfer.identity import IDENTITIES
from vidfer.identity.network import build_network
from vidfer.weights import load_tensors, locate

_FACES_AT_ONCE = 32  # bounds memory; more are no faster


@IDENTITIES.register("embedded")
class EmbeddedIdentity:
    """Vectors by ``VectorNetwork``; ``weights`` is a file of ``vidfer train identity`` to use instead of its own.

    Raises WeightsError if the weights are missing, damaged or of another model.
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
