"""The user's own labelled pictures and videos, as aligned faces to train a per-frame network on."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from torch import Tensor

from vidfer.backbones import InputSpec, preprocess
from vidfer.config import FacesConfig
from vidfer.errors import DataError
from vidfer.learning.datasets.manifest import ManifestSplit, read_manifest
from vidfer.learning.datasets.manifest_faces import read_manifest_faces
from vidfer.pipeline.pictures import PictureFaces

logger = logging.getLogger(__name__)


def read_own_faces(
    manifest_file: Path, split: ManifestSplit, *, spec: InputSpec, border: int, frames_per_clip: int
) -> tuple[Tensor, np.ndarray]:
    """Return the faces (N, C, S, S) uint8 of a split of a manifest and their labels (N,) int64.

    S is ``spec.size + 2 * border``. A picture gives its largest face, a video those of ``frames_per_clip`` frames
    spread evenly over the labelled stretch; what shows no face is left out.

    Raises
    ------
    DataError
        If the manifest is wrong (``read_manifest``), has no row of this split, a file cannot be decoded (names the
        row), or no face is found at all.
    """
    manifest = read_manifest(manifest_file)
    rows = manifest.rows_of(split)
    if not len(rows):
        raise DataError(f"{manifest_file}: no row of the split {split}: training needs some of train and of validation")
    try:
        found = read_manifest_faces(
            manifest,
            rows,
            PictureFaces(FacesConfig(), device="cpu"),
            size=spec.size,
            border=border,
            frames_per_clip=frames_per_clip,
        )
    except DataError as error:
        raise DataError(f"{manifest_file}: {error}") from error
    if not len(found.row):
        raise DataError(f"{manifest_file}: no face was found in any of the {len(rows)} rows of the split {split}")
    if found.without_face:
        named = ", ".join(manifest.clip_id[row] for row in found.without_face[:5])
        logger.warning("%s: no face in %d of %d rows: %s", split, len(found.without_face), len(rows), named)
    plain = InputSpec(size=spec.size, colour=spec.colour, mean=0.0, std=1.0)
    faces = (preprocess(found.faces.float() / 255, plain) * 255).round().byte()  # to gray where the network is
    return faces, manifest.label_index[found.row]
