"""Stage 2: the per-frame network's vector and logits of each face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vidfer.config import BackboneConfig
from vidfer.labels import NUM_EMOTIONS
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.exported_files import SUFFIX
from vidfer.pipeline.tables import EmbeddingsTable, Table, faces_in

if TYPE_CHECKING:
    from vidfer.backbones.load import EmotionNetwork
    from vidfer.pipeline.exported import ExportedBackbone


class EmbeddingsStage:
    """Embeds the aligned faces of a chunk.

    The network is loaded when the first face is seen.
    """

    def __init__(self, config: BackboneConfig, *, device: str, network: EmotionNetwork | None = None) -> None:
        self._config = config
        self._device = device
        self._network: EmotionNetwork | ExportedBackbone | None = network  # instead of the one that the settings name

    def process(self, chunk: FrameChunk, tables: Mapping[str, Table]) -> EmbeddingsTable:
        """Return one row per face of the chunk, given its ``faces``."""
        network = self._loaded()
        faces = faces_in(tables).detections()
        aligned = chunk.aligned_faces(faces.frame_row, faces.transform, network.input_spec.size)
        vectors, logits = network.embed(aligned)
        return EmbeddingsTable(vectors=vectors, logits=logits)

    def load(self) -> bool:
        """Load the network now; threads may share it."""
        self._loaded()
        return True

    def empty(self) -> EmbeddingsTable:
        """Return the table of a stretch of video without a decodable frame."""
        size = self._loaded().embedding_size
        return EmbeddingsTable(vectors=np.zeros((0, size), np.float16), logits=np.zeros((0, NUM_EMOTIONS), np.float32))

    def _loaded(self) -> EmotionNetwork | ExportedBackbone:
        if self._network is None and self._config.weights.endswith(SUFFIX):
            from vidfer.pipeline.exported import ExportedBackbone

            self._network = ExportedBackbone(self._config.name, self._config.weights)
        if self._network is None:
            from vidfer.backbones.load import configured_backbone

            self._network = configured_backbone(self._config, device=self._device).packed()
        return self._network
