"""Stage 3: who is who over the clip."""

from __future__ import annotations

from collections.abc import Mapping

from vidfer.config import TracksConfig
from vidfer.faces.tracking import track_faces
from vidfer.pipeline.tables import Table, TracksTable, faces_in


class TracksStage:
    """Joins the faces of a clip into tracks."""

    def __init__(self, config: TracksConfig, *, device: str = "cpu") -> None:
        self._config = config

    def process(self, tables: Mapping[str, Table]) -> TracksTable:
        """Return one row per face, given ``faces``."""
        faces = faces_in(tables)
        tracks = track_faces(
            faces.detections(),
            faces.frames(),
            min_iou=self._config.min_iou,
            max_gap_seconds=self._config.max_gap_seconds,
            min_duration_seconds=self._config.min_duration_seconds,
            start_score=self._config.start_score,
        )
        return TracksTable(track_id=tracks.track_id)
