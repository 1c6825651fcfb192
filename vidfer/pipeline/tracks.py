"""Faces of a clip followed over time, each track one person's; or so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np

from vidfer.config import TracksConfig
from vidfer.faces.track_changes import Sightings, parts_of_track
from vidfer.faces.tracking import DROPPED, Track, Tracker, track_faces
from vidfer.pipeline.tables import FacesTable, PeopleTable, Table, TracksTable, faces_in, identity_in

COUNTS_FROM = 3  # faces of a track in a stream, before it has a number


@dataclass(frozen=True, kw_only=True)
class FrameTracks:
    """The tracks in a frame of a stream, and whose they are.

    Attributes
    ----------
    found
        Of each of N faces its track; None for a face without one.
    still_open
        The tracks that may go on.
    owners
        Of each face the person, or its track as long as that is not known.
    remembered
        The owners who may be seen again.
    """

    found: Sequence[Track | None]
    still_open: Sequence[Track]
    owners: Sequence[int | Track | None]
    remembered: frozenset[int | Track]

    @classmethod
    def of(
        cls, found: Sequence[Track | None], still_open: Sequence[Track], people: PeopleTable | None, known: set[int]
    ) -> FrameTracks:
        """Return them, given ``people`` of the frame where tracks are linked, and the people who are ``known``."""
        owners: list[int | Track | None] = list(found)
        if people is not None:
            persons = people.person_id.tolist()
            owners = [track if person < 0 else person for person, track in zip(persons, found, strict=True)]
        remembered = frozenset[int | Track]((*still_open, *known))
        return cls(found=found, still_open=still_open, owners=owners, remembered=remembered)


class TracksStage:
    """Joins the faces of a clip into tracks."""

    def __init__(self, config: TracksConfig, *, device: str = "cpu") -> None:
        self._config = config

    def process(self, tables: Mapping[str, Table]) -> TracksTable:
        """Return one row per face, given ``faces``, and ``identity`` where it runs."""
        table, identity = faces_in(tables), identity_in(tables)
        faces, frames = table.detections(), table.frames()
        parted: Callable[[np.ndarray], list[np.ndarray]] | None = None
        if identity is not None:
            seen = Sightings(
                previous=identity.previous,
                vector_of=identity.vector_of(),
                vectors=identity.vectors,
                quality=faces.quality,
                scene=np.cumsum(frames.is_cut)[faces.frame_row],
                xyxy=faces.xyxy,
            )
            parted = partial(parts_of_track, seen=seen)
        tracks = track_faces(
            faces,
            frames,
            min_iou=self._config.min_iou,
            max_gap_seconds=self._config.max_gap_seconds,
            min_duration_seconds=self._config.min_duration_seconds,
            start_score=self._config.start_score,
            parted=parted,
        )
        return TracksTable(track_id=tracks.track_id)

    def stream(self) -> OnlineTracks:
        """Return what numbers faces frame by frame, from the frames before alone."""
        return OnlineTracks(self._config)


class OnlineTracks:
    """People so far. A track gets its number with its third face, if it was seen clearly by then, and never another.

    Parameters
    ----------
    config
        ``[tracks]``; ``min_duration_seconds`` is not known before its time, so three faces stand for it.
    """

    def __init__(self, config: TracksConfig) -> None:
        self._tracker = Tracker(min_iou=config.min_iou, max_gap_seconds=config.max_gap_seconds)
        self._start_score = config.start_score
        self._numbers = count()
        self._num_frames = 0

    @property
    def open(self) -> list[Track]:
        """The tracks that may go on."""
        return self._tracker.open

    def end(self, track: Track) -> None:
        """Let an open track end before its last face, and another begin with it."""
        self._tracker.end(track)

    def push(self, faces: FacesTable, *, is_cut: bool) -> tuple[list[Track | None], TracksTable]:
        """Return the track of each face of the next frame, and their numbers: -1 for those that do not count yet."""
        found = self._tracker.advance(
            faces.xyxy,
            np.nan_to_num(faces.score, nan=-np.inf),
            frame_row=self._num_frames,
            seconds=float(faces.pts_seconds[0]),
            is_cut=is_cut,
        )
        self._num_frames += 1
        for track in found:
            counts = track is not None and track.num_faces >= COUNTS_FROM and track.best_score >= self._start_score
            if track is not None and counts and track.face_id == DROPPED:
                track.face_id = next(self._numbers)
        track_id = np.array([DROPPED if track is None else track.face_id for track in found], np.int32)
        return found, TracksTable(track_id=track_id)
