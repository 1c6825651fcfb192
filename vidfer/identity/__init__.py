"""Networks that give each face a vector by which two faces can be compared, one a file, by name.

A vector says whether two faces look like one person's. It names nobody: there is nothing to look a name up in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vidfer.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class IdentityNetwork(Protocol):
    """Gives aligned faces vectors. Results do not depend on how faces are batched.

    One that several threads may call at once says so: it has an attribute ``is_thread_safe`` that is True.

    Attributes
    ----------
    size
        Side of the aligned faces that it takes, px: cut them with ``faces.align.warp_faces``.
    """

    size: int

    def embed(self, faces: Tensor) -> np.ndarray:
        """Return vectors (N, D) float32 of length 1 of faces (N, 3, size, size) float 0..1, RGB; N may be 0."""
        ...


# A factory takes keyword arguments device (str) and weights (str: the user's own file, or empty).
IdentityFactory = Callable[..., IdentityNetwork]
IDENTITIES: Registry[IdentityFactory] = Registry("identity network", __name__)
