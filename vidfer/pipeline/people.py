"""Which tracks of a clip are the same person's, and by what its people are compared with those of other clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vidfer.config import PeopleConfig
from vidfer.errors import blamed_on
from vidfer.faces.gallery import Gallery
from vidfer.faces.linking import link_tracks, seen_together, track_sums
from vidfer.faces.track_changes import LEAST_QUALITY
from vidfer.faces.tracking import Track
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.identity import IdentityStage
from vidfer.pipeline.tables import PeopleTable, Table, TracksTable, TrackVectorsTable, faces_in, identity_in
from vidfer.pipeline.tracks import OnlineTracks
from vidfer.types.validation import rows_by_number


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

    def stream(self, identity: IdentityStage) -> OnlinePeople:
        """Return what tells people frame by frame, from the frames before alone."""
        return OnlinePeople(self._config, identity)


class OnlinePeople:
    """Whose the tracks of a stream are; vectors are in memory alone.

    Parameters
    ----------
    config
        ``[people]``.
    identity
        Gives the vectors.
    """

    def __init__(self, config: PeopleConfig, identity: IdentityStage) -> None:
        self._gallery, self._identity = Gallery(min_confidence=config.min_confidence), identity

    @property
    def numbers(self) -> set[int]:
        """The people who are remembered."""
        return self._gallery.numbers

    def push(
        self, chunk: FrameChunk, tables: Mapping[str, Table], found: Sequence[Track | None], tracks: OnlineTracks
    ) -> PeopleTable:
        """Return one row per face of the next frame; -1 for those of whom it is not known yet.

        Parameters
        ----------
        chunk
            The frame.
        tables
            Its ``faces``.
        found, tracks
            The track of each face, and those to be remembered; a track that has gone over to another person is ended.
        """
        faces = faces_in(tables).detections()

        def embed(rows: np.ndarray) -> np.ndarray:
            with blamed_on("identity"):
                return self._identity.embed(chunk, faces, rows)

        who = self._gallery.push(
            found,
            tracks.open,
            np.where(np.isfinite(faces.transform).all((1, 2)), faces.quality, np.nan),
            float(faces_in(tables).pts_seconds[0]),
            embed,
        )
        for track in who.changed:
            tracks.end(track)
        return PeopleTable(
            person_id=who.person_id,
            confidence=who.confidence,
            unsure=np.array(who.unsure, np.int32).reshape(-1, 2),
            unsure_confidence=np.array(who.unsure_confidence, np.float32),
        )


def with_first_faces(people: PeopleTable, track_id: np.ndarray) -> PeopleTable:
    """Return what a stream has told of all its faces as a clip has it.

    Whose a track is holds for its first faces, too, and tracks of which it was never known are people of their own.

    Parameters
    ----------
    people
        Of the whole stream.
    track_id
        (N,) of its faces.
    """
    person_id, confidence = people.person_id.copy(), people.confidence.copy()
    free = int(person_id.max(initial=-1)) + 1
    for _, rows in rows_by_number(track_id):
        known = rows[person_id[rows] >= 0]
        if len(known):
            person_id[rows], confidence[rows] = person_id[known[0]], confidence[known[0]]
        else:
            person_id[rows], confidence[rows] = free, 1.0
            free += 1
    return replace(people, person_id=person_id, confidence=confidence)


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
