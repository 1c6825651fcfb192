"""The movements network that comes with the package; see ``assets/movements.md`` for what it was trained on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidfer.errors import WeightsError
from vidfer.faces.align import to_gray
from vidfer.faces.convolution_units import fuse_norms
from vidfer.movements import MOVEMENT_NETWORKS, Movements
from vidfer.movements.network import build_network
from vidfer.weights import load_tensors, locate

_FACES_AT_ONCE = 32  # bounds memory; more are no faster


@MOVEMENT_NETWORKS.register("embedded")
class EmbeddedMovements:
    """Movements by ``MovementsNetwork``; ``weights`` is a file of ``vidfer train movements`` to use instead of its own.

    Raises WeightsError if the weights are missing, damaged or of another model.
    """

    def __init__(self, *, device: str = "cpu", weights: str = "") -> None:
        path = locate("movements", "embedded", weights)[0]
        tensors, metadata = load_tensors(path)
        self._device = torch.device(device)
        network = fuse_norms(build_network(tensors, metadata, source=path))
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.face_size, self.eye_size = network.face_size, network.eye_size

    @torch.inference_mode()
    def predict(self, faces: Tensor, eyes: Tensor) -> Movements:
        """Return the movements of faces (N, 1 or 3, S, S) and eyes (N, 2, 1, E, E); N may be 0. See the protocol."""
        shapes = faces.shape[2:], eyes.shape[1:]
        if shapes != ((self.face_size,) * 2, (2, 1, self.eye_size, self.eye_size)) or len(faces) != len(eyes):
            raise ValueError(
                f"expected faces (N, 3, {self.face_size}, {self.face_size}) and eyes (N, 2, 1, {self.eye_size}, "
                f"{self.eye_size}), got {tuple(faces.shape)} and {tuple(eyes.shape)}"
            )
        pairs = zip(faces.split(_FACES_AT_ONCE), eyes.split(_FACES_AT_ONCE), strict=True)
        parts = [self._network(to_gray(f.to(self._device)), e.to(self._device)) for f, e in pairs]
        values, iris, error = (torch.cat(out).float().cpu().numpy() for out in zip(*parts, strict=True))
        if not all(np.isfinite(out).all() for out in (values, iris, error)):
            raise WeightsError("the movements network gives no numbers: its weights are damaged")
        return Movements(values=values, iris=iris, error=error)
