"""A pipeline over frames as they come: the same stages, each with what it knows of the frames before."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from vidfer.errors import ConfigError, DataError, VidferError, blamed_on
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.clip import Face, Faces
from vidfer.pipeline.exported import shared_with
from vidfer.pipeline.following import FaceFollower
from vidfer.pipeline.tables import FACES, EmotionsTable, Table, TracksTable, faces_in
from vidfer.types import FrameBatch

if TYPE_CHECKING:
    from vidfer.pipeline.pipeline import Pipeline

RESTART_SECONDS = 1.0  # a time this far behind the last is no late frame: the clock has begun anew
_ONLINE = ("tracks", "emotions")  # the clip stages that have a stream
_OWN = (FACES, "embeddings", *_ONLINE)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LiveFace(Face):
    """One face in one frame of a stream.

    Attributes
    ----------
    seconds
        The frame's time.
    latency_seconds
        From when the frame was given until this answer.
    values
        What further frame stages say of the face, by column.
    """

    seconds: float
    latency_seconds: float
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
        One row per face that was found, of all stages by name, as clips have them.
    """

    frame_index: int
    seconds: float
    faces: list[LiveFace]
    tables: Mapping[str, Table]


class Stream:
    """Frames in, faces out, one frame at a time; see ``Pipeline.stream``. Time and memory per frame do not grow.

    Parameters
    ----------
    pipeline
        Whose stages look.

    Attributes
    ----------
    num_frames
        Frames that were looked at.
    num_late
        Frames that were not, for their time was no later than that of the frame before.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        for stage in pipeline.clip_stages:
            if stage.name not in _ONLINE:
                raise ConfigError(
                    f"the stage {stage.name!r} needs the whole clip, so a stream cannot have it: "
                    f"set {stage.section}.{stage.switched_by}=false"
                )
        self._device = pipeline.device
        self._frame_stages = {name: stage for name, stage in pipeline.frame_stages.stages.items() if name != FACES}
        # Two: while the detector looks on one, the faces of one frame are shared between this thread and the other.
        self._beside = ThreadPoolExecutor(max_workers=2, thread_name_prefix="vidfer-stream")
        detect_every = pipeline.config.faces.detect_every
        self._faces = FaceFollower(pipeline.stage(FACES), detect_every=detect_every, beside=self._beside)
        self._tracks = pipeline.stage("tracks").stream()
        self._emotions = pipeline.stage("emotions").stream()
        for looking in pipeline.frame_stages.stages.values():
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
        frame = self.look(picture, seconds)
        return [] if frame is None else frame.faces

    def look(self, picture: np.ndarray, seconds: float) -> LiveFrame | None:
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
            tables = self._tables(FrameChunk(batch, self._device))
        faces = _counted(tables, placed, time.perf_counter() - started)
        return LiveFrame(frame_index=self.num_frames - 1, seconds=placed, faces=faces, tables=tables)

    def _tables(self, chunk: FrameChunk) -> dict[str, Table]:
        tables: dict[str, Table] = {}
        with blamed_on(FACES):
            tables[FACES], is_cut = self._faces.push(chunk)
        for name, stage in self._frame_stages.items():
            with blamed_on(name):
                tables[name] = stage.process(chunk, tables)
        found, tables["tracks"] = self._tracks.push(faces_in(tables), is_cut=is_cut)
        with blamed_on("emotions"):
            tables["emotions"] = self._emotions.push(tables, found, self._tracks.open)
        return tables

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


def _counted(tables: Mapping[str, Table], seconds: float, latency_seconds: float) -> list[LiveFace]:
    tracks, emotions = tables["tracks"], tables["emotions"]
    assert isinstance(tracks, TracksTable)
    assert isinstance(emotions, EmotionsTable)
    found = Faces(
        detections=faces_in(tables).detections(), probabilities=emotions.probabilities, face_id=tracks.track_id
    )
    columns = {
        column: values
        for name, table in tables.items()
        for column, values in table.arrays().items()
        if name not in _OWN and column not in table.PER_FRAME
    }
    return [
        LiveFace(
            **vars(found[row]),
            seconds=seconds,
            latency_seconds=latency_seconds,
            values={name: values[row] for name, values in columns.items()},
        )
        for row in np.flatnonzero(tracks.track_id >= 0).tolist()
    ]


def check_picture(picture: Any, what: str) -> None:
    """Raise DataError unless it is a picture (H, W, 3) uint8."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        got = f"{picture.shape} {picture.dtype}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise DataError(f"{what}: expected an array (H, W, 3) uint8 RGB, got {got}")
