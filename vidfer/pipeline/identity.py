"""Vectors of a few faces of each chunk: tracks and people are told apart by them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vidfer.config import PeopleConfig
from vidfer.faces.align import warp_faces
from vidfer.faces.continuity import appearance_of, best_of_each, previous_faces
from vidfer.faces.quality import QUALITY_SIZE
from vidfer.identity import IDENTITIES, IdentityNetwork
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.exported_files import as_read, factory_of
from vidfer.pipeline.tables import IdentityTable, Table, faces_in
from vidfer.types import FaceDetections


class IdentityStage:
    """Finds which faces go on from frame to frame, and gives each of these a vector, from its best frame.

    A face that stays has one vector per chunk, one that jumps one on either side: about one face in sixteen has one.
    The network is loaded when the first face is seen.
    """

    def __init__(self, config: PeopleConfig, *, device: str, network: IdentityNetwork | None = None) -> None:
        self._config = config
        self._device = device
        self._network = network  # instead of the one that the settings name

    def process(self, chunk: FrameChunk, tables: Mapping[str, Table]) -> IdentityTable:
        """Return one row per face of the chunk, given its ``faces``."""
        faces = faces_in(tables).detections()
        aligned = chunk.aligned_faces(faces.frame_row, faces.transform, QUALITY_SIZE)
        previous = previous_faces(faces.frame_row, faces.xyxy, appearance_of(aligned))
        rows = best_of_each(previous, faces.quality)
        rows = rows[np.isfinite(faces.transform[rows]).all((1, 2))]
        has_vector = np.zeros(len(faces), np.bool_)
        has_vector[rows] = True
        vectors = self.embed(chunk, faces, rows)
        return IdentityTable(previous=previous, has_vector=has_vector, vectors=vectors.astype(np.float16))

    def embed(self, chunk: FrameChunk, faces: FaceDetections, rows: np.ndarray) -> np.ndarray:
        """Return vectors (V, D) float32 of length 1 of some faces of the chunk; their transforms must be finite."""
        network = self._loaded()
        if network.size == QUALITY_SIZE:  # the stage "faces" has cut these out
            aligned = chunk.aligned_faces(faces.frame_row, faces.transform, QUALITY_SIZE)
            return network.embed(aligned[rows])
        few = warp_faces(chunk.images, faces.frame_row[rows], faces.transform[rows], size=network.size)
        return network.embed(few)

    def load(self) -> bool:
        """Load the network now; return whether threads may share this stage."""
        return bool(getattr(self._loaded(), "is_thread_safe", False))

    def empty(self) -> IdentityTable:
        """Return the table of a stretch of video without a decodable frame."""
        network = self._loaded()
        nobody = network.embed(as_read(np.zeros((0, 3, network.size, network.size), np.float32), self._config.weights))
        return IdentityTable(
            previous=np.zeros(0, np.int32), has_vector=np.zeros(0, np.bool_), vectors=nobody.astype(np.float16)
        )

    def _loaded(self) -> IdentityNetwork:
        if self._network is None:
            make = factory_of(IDENTITIES, self._config.network, self._config.weights)
            self._network = make(device=self._device, weights=self._config.weights)
        return self._network
