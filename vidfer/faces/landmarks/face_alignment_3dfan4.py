"""3DFAN-4 and its depth network (Bulat and Tzimiropoulos 2017): points of the head, not of its outline, with depth.

3DFAN-4 is 2DFAN-4's architecture with other weights: where the head turns away, its jaw points lie behind the cheek
instead of following the visible edge. The depth network is face-alignment's, too; published weights of it were not to
be had where this was written, so that it is tested with random ones against face-alignment's own code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidfer import weights as weight_files
from vidfer.faces.landmarks import LANDMARKERS
from vidfer.faces.landmarks.face_alignment_2dfan4 import CROP_SIDE, Fan4Landmarker, fan4
from vidfer.faces.third_party import import_module, load_checkpoint

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

_REACH = 6  # px: how far a drawn spot reaches from its middle
_SPREAD = 3.25  # px


class Fan4DepthLandmarker(Fan4Landmarker):
    """68 points by 3DFAN-4, with depth if wanted.

    Parameters
    ----------
    network
        ``FAN(4)`` with the weights of 3DFAN-4.
    depth_weights
        The user's own file for the depth network, which is loaded when depth is first asked for.
    depth_network
        Instead of face-alignment's.
    options
        Of ``Fan4Landmarker``.
    """

    def __init__(
        self, network: nn.Module, *, depth_weights: str = "", depth_network: nn.Module | None = None, **options: Any
    ) -> None:
        super().__init__(network, **options)
        self._depth_weights, self._depth_network = depth_weights, depth_network

    def locate_3d(self, images: Tensor, image_row: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points (N, 68, 3) float32 px and scores (N,), as ``locate`` with a third coordinate.

        The third is depth, in px of the picture, larger away from the camera; where its 0 lies is the network's choice.

        Raises
        ------
        WeightsError
            If the depth network's weights are missing or another network's.
        """
        import torch

        network = self._depth()

        def depth(crops: Tensor, points: Tensor) -> Tensor:
            found: Tensor = network(torch.cat([crops, spots(points * CROP_SIDE)], 1))
            return found

        return self._in_batches(depth, images, image_row, xyxy)

    def _depth(self) -> nn.Module:
        if self._depth_network is None:
            (path,) = weight_files.locate("landmarks", "3dfan4_depth", self._depth_weights)
            module = import_module("face_alignment.models.resnet", needed_for="the landmark network '3dfan4'")
            network = module.ResNetDepth()
            load_checkpoint(path, network)
            self._depth_network = network.to(self._device).eval()
        return self._depth_network


def spots(points: Tensor) -> Tensor:
    """Return pictures (N, 68, 256, 256) with a spot at each point (N, 68, 2) px, as the depth network learnt them.

    A spot is a Gaussian of height 1 in a window of 13 px, centred one pixel left of and above the point's pixel, as
    face-alignment draws it.
    """
    import torch

    ticks = torch.arange(CROP_SIDE, device=points.device)
    away = ticks - (points.float().floor()[..., None] - 1)  # (N, 68, 2, 256)
    shape = torch.exp(-0.5 * (away / _SPREAD).square()) * (away.abs() <= _REACH)
    inside = (points > 0).all(-1)[..., None, None]  # (N, 68, 1, 1)
    return shape[:, :, 1, :, None] * shape[:, :, 0, None, :] * inside


@LANDMARKERS.register("3dfan4")
def build_3dfan4(
    *, device: str = "cpu", weights: str = "", depth_weights: str = "", flip: bool = True
) -> Fan4DepthLandmarker:
    """Build 3DFAN-4 with face-alignment's weights, or with the user's own files.

    Raises
    ------
    MissingDependency
        If face-alignment, or OpenCV that it imports, is not usable.
    WeightsError
        If the weights are missing or of another network.
    """
    network = fan4("3dfan4", weights)
    return Fan4DepthLandmarker(network, device=device, flip=flip, depth_weights=depth_weights)
