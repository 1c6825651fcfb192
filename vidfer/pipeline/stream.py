"""A pipeline over frames as they come: the same stages, each with what it knows of the frames before."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from vidfer.config import PipelineConfig
from vidfer.errors import DataError, VidferError, blamed_on
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.clip import Face, Faces
from vidfer.pipeline.exported import shared_with
from vidfer.pipeline.following import FaceFollower
from vidfer.pipeline.frame_stages import FrameStages
from vidfer.pipeline.tables import FACES, EmotionsTable, PeopleTable, Table, TracksTable, faces_in
from vidfer.pipeline.tracks import FrameTracks
from vidfer.types import FrameBatch

RESTART_SECONDS = 1.0  # a time this far behind the last is no late frame: the clock has begun anew
STREAMED = ("tracks", "people", "emotions")  # the clip stages that have a stream
_IDENTITY, _PEOPLE, _MOVEMENTS = "identity", "people", "movements"
_OWN = (FACES, "embeddings", _IDENTITY, _MOVEMENTS, *STREAMED)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LiveFace(Face):
    """One face in one frame of a stream.

    Attributes
    ----------
    seconds
        The frame's time.
    latency_seconds
        From when the frame was given until this answer.
    person_id
        Whose face it is: a person who comes back has the number of before. -1 as long as it is not known; None where
        people are not compared (``people.link``).
    values
        What further frame stages say of the face, by column; movements by the columns of the timeline.
    """

    seconds: float
    latency_seconds: float
    person_id: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveFrame:
    """What a stream knows of one frame.

    Attributes
    ----------
    frame_index
        Number among the frames that were looked at, from 0.
    seconds
        Its time.
    faces
        Those that count: from the third of a person on.
    tables
        One row per face that was found, of all stages by name, as clips have them; but vectors by which faces are
        compared are not handed on.
    """

    frame_index: int
    seconds: float
    faces: list[LiveFace]
    tables: Mapping[str, Table]


class Stream:
    """Frames in, faces out, one frame at a time; see ``Pipeline.stream``. Time and memory per frame do not grow.

    Parameters
    ----------
    config
        Of the pipeline.
    frame_stages, clip_stages
        Its stages, by name; the latter those of ``STREAMED`` that it has.

    Attributes
    ----------
    num_frames
        Frames that were looked at.
    num_late
        Frames that were not, for their time was no later than that of the frame before.
    """

    def __init__(self, config: PipelineConfig, *, frame_stages: FrameStages, clip_stages: Mapping[str, Any]) -> None:
        stages: dict[str, Any] = {**frame_stages.stages, **clip_stages}
        self._device = frame_stages.device
        # People are compared by a few faces of each; vectors of all are made only for a stage that asks for them.
        apart = {FACES} if frame_stages.is_read(_IDENTITY) else {FACES, _IDENTITY}
        self._frame_stages = {name: stage for name, stage in frame_stages.stages.items() if name not in apart}
        # Two: while the detector looks on one, the faces of one frame are shared between this thread and the other.
        self._beside = ThreadPoolExecutor(max_workers=2, thread_name_prefix="vidfer-stream")
        self._faces = FaceFollower(stages[FACES], detect_every=config.faces.detect_every, beside=self._beside)
        self._tracks = stages["tracks"].stream()
        self._people = stages[_PEOPLE].stream(stages[_IDENTITY]) if _PEOPLE in stages else None
        self._emotions = stages["emotions"].stream()
        self._movements = stages[_MOVEMENTS].stream() if _MOVEMENTS in stages else None
        for looking in frame_stages.stages.values():
            looking.load()
        self._clock = _Clock()
        self._closed = False
        self.num_frames = self.num_late = 0

    def push(self, picture: np.ndarray, seconds: float) -> list[LiveFace]:
        """Return the faces of the next frame.

        Parameters
        ----------
        picture
            (H, W, 3) uint8 RGB; of another size than the one before it begins a new scene.
        seconds
            When it was taken, on any clock. A frame that is no later than the one before is dropped, and nothing is
            returned, unless the time is more than a second behind: then the clock counts as begun anew.

        Raises
        ------
        DataError
            It is no such picture, or ``seconds`` is no finite number.
        VidferError
            The stream is closed.
        """
        frame = self.process(picture, seconds)
        return [] if frame is None else frame.faces

    def process(self, picture: np.ndarray, seconds: float) -> LiveFrame | None:
        """Return everything about the next frame, as ``push`` does; None if it was dropped."""
        started = time.perf_counter()
        if self._closed:
            raise VidferError("this stream is closed: open another with Pipeline.stream()")
        check_picture(picture, f"frame {self.num_frames + self.num_late}")
        placed = self._clock.place(seconds)
        if placed is None:
            self.num_late += 1
            return None
        batch = FrameBatch(
            images=np.ascontiguousarray(picture)[None],
            frame_index=np.array([self.num_frames], np.int64),
            pts_seconds=np.array([placed]),
        )
        self.num_frames += 1
        with shared_with(self._beside):
            tables, columns = self._tables_and_columns(FrameChunk(batch, self._device))
        tables.pop(_IDENTITY, None)
        faces = _counted(tables, columns, placed, time.perf_counter() - started)
        return LiveFrame(frame_index=self.num_frames - 1, seconds=placed, faces=faces, tables=tables)

    def _tables_and_columns(self, chunk: FrameChunk) -> tuple[dict[str, Table], dict[str, np.ndarray]]:
        """Return the tables of a frame, and further columns of its faces."""
        tables: dict[str, Table] = {}
        with blamed_on(FACES):
            tables[FACES], is_cut = self._faces.push(chunk)
        for name, stage in self._frame_stages.items():
            with blamed_on(name):
                tables[name] = stage.process(chunk, tables)
        found, tables["tracks"] = self._tracks.push(faces_in(tables), is_cut=is_cut)
        still_open, people, known = list(self._tracks.open), None, set[int]()
        if self._people is not None:
            with blamed_on(_PEOPLE):
                people = tables[_PEOPLE] = self._people.push(chunk, tables, found, self._tracks)
            known = self._people.numbers
        seen = FrameTracks.of(found, still_open, people, known)
        with blamed_on("emotions"):
            tables["emotions"] = self._emotions.push(tables, seen)
        columns = {
            column: values
            for name, table in tables.items()
            for column, values in table.arrays().items()
            if name not in _OWN and column not in table.PER_FRAME
        }
        if self._movements is not None:
            with blamed_on(_MOVEMENTS):
                columns |= self._movements.push(tables, seen)
        return tables, columns

    def close(self) -> None:
        """Take no further frames."""
        self._closed = True
        self._beside.shutdown(wait=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Clock:
    """Times that rise, whatever the source's clock does."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._step = 1 / 25
        self._shift = 0.0

    def place(self, seconds: float) -> float | None:
        """Return a frame's time; None if it is not later than the frame before."""
        seconds = float(seconds)
        if not math.isfinite(seconds):
            raise DataError(f"seconds: expected the frame's time, a finite number, got {seconds}")
        placed = seconds + self._shift
        if self._last is not None:
            if self._last - placed > RESTART_SECONDS:
                placed = self._last + self._step
                self._shift = placed - seconds
            elif placed <= self._last:
                return None
            self._step = min(placed - self._last, RESTART_SECONDS)
        self._last = placed
        return placed


def _counted(
    tables: Mapping[str, Table], columns: Mapping[str, np.ndarray], seconds: float, latency_seconds: float
) -> list[LiveFace]:
    tracks, emotions, people = tables["tracks"], tables["emotions"], tables.get(_PEOPLE)
    assert isinstance(tracks, TracksTable)
    assert isinstance(emotions, EmotionsTable)
    assert people is None or isinstance(people, PeopleTable)
    found = Faces(
        detections=faces_in(tables).detections(), probabilities=emotions.probabilities, face_id=tracks.track_id
    )
    return [
        LiveFace(
            **vars(found[row]),
            seconds=seconds,
            latency_seconds=latency_seconds,
            person_id=None if people is None else int(people.person_id[row]),
            values={name: values[row] for name, values in columns.items()},
        )
        for row in np.flatnonzero(tracks.track_id >= 0).tolist()
    ]


def check_picture(picture: Any, what: str) -> None:
    """Raise DataError unless it is a picture (H, W, 3) uint8 with a pixel or more."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        got = f"{picture.shape} {picture.dtype}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise DataError(f"{what}: expected an array (H, W, 3) uint8 RGB, got {got}")
    if not picture.size:
        raise DataError(f"{what}: expected a picture with pixels, got one of {picture.shape[1]}x{picture.shape[0]}")
