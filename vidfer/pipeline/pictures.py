"""The face in a single picture, found and aligned by the stage that does so in videos."""

from __future__ import annotations

import numpy as np
import torch

from vidfer.config import FacesConfig
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.faces import FacesStage
from vidfer.types import FrameBatch

BORDER = 0.5  # of the longer side, put around a picture that is all face before it is searched again
# In that second search the detector may be unsure, but the aligned face must fill the picture: its side is at least
# this share of the picture's shorter side. Of 33 pictures of FER2013 that the first search misses (of 399) it finds
# 29, and in 41 pictures without a face 1.
DOUBTFUL_SCORE = 0.05
FILLED = 0.8


class PictureFaces:
    """Finds the largest face of a picture.

    Pictures of data sets are often nothing but face, which a detector made for scenes may not see: such a picture is
    searched again with its edges drawn out into a border, and with a lower threshold.

    Parameters
    ----------
    config
        ``[faces]`` of a pipeline.
    device
        Where the networks compute.
    """

    def __init__(self, config: FacesConfig, *, device: str) -> None:
        self._device = torch.device(device)
        self._stage = FacesStage(config, device=device)
        doubtful = config.model_copy(update={"min_score": min(config.min_score, DOUBTFUL_SCORE)})
        self._doubtful_stage = FacesStage(doubtful, device=device)

    def find(self, picture: np.ndarray) -> np.ndarray | None:
        """Return the transform (2, 3) float32 of the largest face of a picture (H, W, 3) uint8 RGB.

        It leads from the picture's px to the unit square of the aligned face, as in ``FaceDetections``; None if there
        is no face.
        """
        transform = self._largest(self._stage, picture)
        if transform is not None:
            return transform
        border = round(max(picture.shape[:2]) * BORDER)
        bordered = np.pad(picture, ((border, border), (border, border), (0, 0)), mode="edge")
        transform = self._largest(self._doubtful_stage, bordered)
        if transform is None or 1 / np.hypot(transform[0, 0], transform[1, 0]) < FILLED * min(picture.shape[:2]):
            return None
        moved = transform.copy()
        moved[:, 2] += transform[:, :2].sum(1) * border  # what lies at x in the picture lies at x + border in the other
        return moved

    def _largest(self, stage: FacesStage, picture: np.ndarray) -> np.ndarray | None:
        """Return the transform (2, 3) of the largest face, or None."""
        batch = FrameBatch(images=picture[None], frame_index=np.zeros(1, np.int64), pts_seconds=np.zeros(1))
        faces = stage.process(FrameChunk(batch, self._device)).detections()
        if not len(faces):
            return None
        areas = (faces.xyxy[:, 2:] - faces.xyxy[:, :2]).prod(1)
        return faces.transform[int(areas.argmax())]
