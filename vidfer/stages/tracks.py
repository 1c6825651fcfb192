"""Stage 3: who is who over the clip."""

from __future__ import annotations

from vidfer.config import TracksConfig
from vidfer.faces.tracking import track_faces
from vidfer.stages.tables import TracksTable
from vidfer.types import FaceDetections, SampledFrames


class TracksStage:
    """Joins the faces of a clip into tracks."""

    def __init__(self, config: TracksConfig) -> None:
        self._config = config

    def process(self, frames: SampledFrames, faces: FaceDetections) -> TracksTable:
        """Return one row per face."""
        tracks = track_faces(
            faces,
            frames,
            min_iou=self._config.min_iou,
            max_gap_seconds=self._config.max_gap_seconds,
            min_duration_seconds=self._config.min_duration_seconds,
            start_score=self._config.start_score,
        )
        return TracksTable(track_id=tracks.track_id)
