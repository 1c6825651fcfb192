"""The network that sees movements: one part looks at each eye, one at the aligned face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidfer.faces.convolution_units import ConvUnit, Residual
from vidfer.movements import EYES, MOVEMENTS
from vidfer.weights import described_network

MAX_SIDE = 128  # px of a face or an eye
_NUM_EYE = 3  # opening, and where the iris is: x, y
# The iris of an eye that looks straight on lies at 0, of one that looks aside at up to about 0.04 sides of the face.
IRIS_RANGE = 0.05


class MovementsNetwork(nn.Module):
    """Values, irises and expected errors from faces and eyes.

    The left eye is given mirrored, so both are seen by the same weights.

    Parameters
    ----------
    face_size, eye_size
        Sides of the pictures, px; multiples of 16 and of 8.
    face_widths, eye_widths
        Channels at a half, a quarter, ... of the side.
    face_blocks, eye_blocks
        Residual blocks at a quarter, an eighth, ...
    hidden
        Width of what is known of the face and of each eye.
    """

    def __init__(
        self,
        *,
        face_size: int = 64,
        eye_size: int = 40,
        face_widths: tuple[int, int, int, int] = (16, 32, 48, 80),
        eye_widths: tuple[int, int, int] = (16, 32, 56),
        face_blocks: tuple[int, int, int] = (0, 1, 1),
        eye_blocks: tuple[int, int] = (1, 1),
        hidden: int = 96,
    ) -> None:
        super().__init__()
        self.face_size, self.eye_size = face_size, eye_size
        self.face = _body(face_widths, face_blocks)
        self.face_vector = nn.Linear(face_widths[-1] * (face_size // 16) ** 2, hidden)
        self.eye = _body(eye_widths, eye_blocks)
        self.eye_vector = nn.Linear(eye_widths[-1] * (eye_size // 8) ** 2, hidden)
        self.dropout = nn.Dropout(0.1)
        self.eye_head = nn.Linear(hidden, _NUM_EYE)
        self.joint = nn.Linear(3 * hidden, hidden)
        self.head = nn.Linear(hidden, len(MOVEMENTS) - len(EYES))
        self.error = nn.Linear(4 * hidden, len(MOVEMENTS))

    def forward(self, faces: Tensor, eyes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return values (N, M) 0..1, irises (N, 2, 2) and expected errors (N, M).

        ``faces`` (N, 1, S, S) and ``eyes`` (N, 2, 1, E, E) are gray, 0..1; irises are those of ``Movements``.
        """
        return self.forward_features(faces, eyes)[:3]

    def forward_features(self, faces: Tensor, eyes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what ``forward`` does, and what is known of the face and both eyes (N, 3 ``hidden``)."""
        face = functional.relu(self.face_vector(self.face(_normal(faces)).flatten(1)))  # (N, H)
        eye = functional.relu(self.eye_vector(self.eye(_normal(eyes.flatten(0, 1))).flatten(1)))  # (2 N, H)
        seen = self.eye_head(self.dropout(eye)).reshape(-1, 2, _NUM_EYE)
        opening = seen[..., 0].flip(1)  # left before right, as in MOVEMENTS
        iris = seen[..., 1:] * IRIS_RANGE  # (N, 2, 2)
        iris = torch.stack([iris[:, 0], torch.stack([-iris[:, 1, 0], iris[:, 1, 1]], 1)], 1)
        known = torch.cat([face, eye.reshape(-1, 2 * eye.shape[1])], 1)  # (N, 3 H)
        joint = functional.relu(self.joint(self.dropout(known)))
        values = torch.cat([opening, self.head(joint)], 1).sigmoid()  # (N, M)
        # What is expected of the errors must not bend what is seen.
        error = functional.softplus(self.error(torch.cat([known, joint], 1).detach()) - 3)
        return values, iris, error, known


def _body(widths: tuple[int, ...], blocks: tuple[int, ...]) -> nn.Sequential:
    stages = [
        nn.Sequential(ConvUnit(inputs, outputs, stride=2), *(Residual(outputs) for _ in range(count)))
        for inputs, outputs, count in zip(widths[:-1], widths[1:], blocks, strict=True)
    ]
    return nn.Sequential(ConvUnit(1, widths[0], stride=2), *stages)


def _normal(pictures: Tensor) -> Tensor:
    """Return gray pictures with mean 0 and about unit contrast each: light is no sign of movement."""
    centred = pictures - pictures.mean((2, 3), keepdim=True)
    spread = centred.square().mean((2, 3), keepdim=True).sqrt()
    return (centred / (spread + 0.02)).contiguous(memory_format=torch.channels_last)


def build_network(tensors: dict[str, Tensor], metadata: dict[str, Any], *, source: Path) -> MovementsNetwork:
    """Return the network that a weight file describes, in evaluation mode; raises WeightsError if it does not fit."""
    return described_network("movements", MovementsNetwork, tensors, metadata, source=source, check=_check_sides)


def _check_sides(network: MovementsNetwork) -> None:
    if not (16 <= network.face_size <= MAX_SIDE and 8 <= network.eye_size <= MAX_SIDE):
        raise ValueError(f"faces of {network.face_size} px, eyes of {network.eye_size} px")
