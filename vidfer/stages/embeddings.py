"""Stage 2: the per-frame network's vector and logits of each face."""

from __future__ import annotations

import numpy as np

from vidfer.backbones.load import EmotionNetwork, load_backbone
from vidfer.config import BackboneConfig
from vidfer.labels import NUM_EMOTIONS
from vidfer.stages.chunk import FrameChunk
from vidfer.stages.tables import EmbeddingsTable
from vidfer.types import FaceDetections


class EmbeddingsStage:
    """Embeds the aligned faces of a chunk.

    The network is loaded when the first face is seen.
    """

    def __init__(self, config: BackboneConfig, *, device: str) -> None:
        self._config = config
        self._device = device
        self._network: EmotionNetwork | None = None

    def process(self, chunk: FrameChunk, faces: FaceDetections) -> EmbeddingsTable:
        """Return one row per face of the chunk (``faces.frame_row`` counts the chunk's frames)."""
        network = self._loaded()
        aligned = chunk.aligned_faces(faces.frame_row, faces.transform, network.input_spec.size)
        vectors, logits = network.embed(aligned)
        return EmbeddingsTable(vectors=vectors, logits=logits)

    def load(self) -> None:
        """Load the network now. Call this before other threads run networks: loading (torch.fx) is for one thread."""
        self._loaded()

    def empty(self) -> EmbeddingsTable:
        """Return the table of a stretch of video without a decodable frame."""
        size = self._loaded().embedding_size
        return EmbeddingsTable(vectors=np.zeros((0, size), np.float16), logits=np.zeros((0, NUM_EMOTIONS), np.float32))

    def _loaded(self) -> EmotionNetwork:
        if self._network is None:
            network = load_backbone(self._config.name, device=self._device, weights=self._config.weights)
            self._network = network.packed()
        return self._network
