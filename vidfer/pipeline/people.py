"""Which tracks of a clip are the same person's, and by what its people are compared with those of other clips."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vidfer.config import PeopleConfig
from vidfer.faces.linking import link_tracks, seen_together, track_sums
from vidfer.faces.track_changes import LEAST_QUALITY
from vidfer.pipeline.tables import PeopleTable, Table, TracksTable, TrackVectorsTable, faces_in, identity_in


class PeopleStage:
    """Joins the tracks of a clip to people."""

    def __init__(self, config: PeopleConfig, *, device: str = "cpu") -> None:
        self._config = config

    def process(self, tables: Mapping[str, Table]) -> PeopleTable:
        """Return one row per face, given ``faces``, ``identity`` and ``tracks``."""
        faces, identity, tracks = faces_in(tables).detections(), identity_in(tables), tables["tracks"]
        assert isinstance(tracks, TracksTable)
        assert identity is not None
        track_id = tracks.track_id
        links = link_tracks(
            track_sums(track_id, identity.vector_of(), identity.vectors, faces.quality),
            seen_together(track_id, faces.frame_row),
            min_confidence=self._config.min_confidence,
        )
        has_track = track_id >= 0
        person_id = np.full(len(track_id), -1, np.int32)
        person_id[has_track] = links.person[track_id[has_track]]
        confidence = np.zeros(len(track_id), np.float32)
        confidence[has_track] = links.confidence[track_id[has_track]]
        return PeopleTable(
            person_id=person_id,
            confidence=confidence,
            unsure=links.unsure.astype(np.int32).reshape(-1, 2),
            unsure_confidence=links.unsure_confidence.astype(np.float32),
        )


class TrackVectorsStage:
    """Keeps one vector of each track, for ``people.across``."""

    def __init__(self, config: PeopleConfig, *, device: str = "cpu") -> None:
        del config, device

    def process(self, tables: Mapping[str, Table]) -> TrackVectorsTable:
        """Return one row per track, given ``faces``, ``identity`` and ``tracks``; bad faces say nothing in it."""
        quality, identity, tracks = faces_in(tables).quality, identity_in(tables), tables["tracks"]
        assert isinstance(tracks, TracksTable)
        assert identity is not None
        vector_of = np.where(quality >= LEAST_QUALITY, identity.vector_of(), -1)
        sums = track_sums(tracks.track_id, vector_of, identity.vectors, quality)
        return TrackVectorsTable(sums=sums.astype(np.float32))
