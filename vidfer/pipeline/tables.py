"""What stages hand over and the engine caches: columnar tables that concatenate by simple stacking."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, ClassVar, Self

import numpy as np

from vidfer.errors import CacheError
from vidfer.faces.cuts import is_cut
from vidfer.types import NUM_LANDMARKS, FaceDetections, FacePeople, SampledFrames
from vidfer.types.validation import check_arrays


class Table:
    """Base of the frozen dataclasses below: all fields are arrays, each stacked along its first axis and checked.

    Rows belong to faces, in the order of the faces; those of the columns in ``PER_FRAME`` to frames.
    """

    PER_FRAME: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        check_arrays(self)

    @classmethod
    def columns(cls) -> frozenset[str]:
        """Return the names of the columns."""
        return frozenset(field.name for field in dataclasses.fields(cls))  # type: ignore[arg-type]

    def rows(self, *, frames: slice, faces: slice) -> Self:
        """Return the rows of some frames, and of the faces in them."""
        return type(self)(
            **{name: column[frames if name in self.PER_FRAME else faces] for name, column in self.arrays().items()}
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the columns by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Build the table from its columns; raises CacheError if they are not this table's."""
        try:
            return cls(**arrays)
        except (TypeError, ValueError) as error:
            raise CacheError(f"not a {cls.__name__}: {error}") from error

    @classmethod
    def stack(cls, tables: Sequence[Self]) -> Self:
        """Return the rows of all tables (at least one), one after the other."""
        columns = [table.arrays() for table in tables]
        return cls(**{name: np.concatenate([c[name] for c in columns]) for name in columns[0]})


FACES = "faces"  # the stage whose rows all others follow
NO_TABLES: Mapping[str, Table] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class FacesTable(Table):
    """The frames that were looked at (F rows) and the faces in them (N rows, by frame).

    ``num_faces`` says how many of the N rows belong to each frame, so that tables of consecutive stretches of a video
    stack without renumbering. The remaining columns are those of SampledFrames and FaceDetections.
    """

    PER_FRAME = frozenset({"frame_index", "pts_seconds", "signature", "num_faces", "num_left_out"})

    frame_index: Annotated[np.ndarray, "F", np.int64]
    pts_seconds: Annotated[np.ndarray, "F", np.float64]
    signature: Annotated[np.ndarray, "F", "K", np.float16]  # from faces.cuts
    num_faces: Annotated[np.ndarray, "F", np.uint16]
    num_left_out: Annotated[np.ndarray, "F", np.uint16]  # seen, but more than faces.max_faces
    xyxy: Annotated[np.ndarray, "N", 4, np.float32]
    score: Annotated[np.ndarray, "N", np.float32]
    landmarks: Annotated[np.ndarray, "N", NUM_LANDMARKS, 2, np.float32]
    landmark_score: Annotated[np.ndarray, "N", np.float32]
    transform: Annotated[np.ndarray, "N", 2, 3, np.float32]
    pose: Annotated[np.ndarray, "N", 3, np.float32]
    quality: Annotated[np.ndarray, "N", np.float32]

    def __post_init__(self) -> None:
        check_arrays(self, N=int(np.sum(self.num_faces)))

    def frames(self) -> SampledFrames:
        """Return the frames, with the hard cuts that their signatures show; found at the first call."""
        return self._frames

    @cached_property
    def _frames(self) -> SampledFrames:
        cuts = np.zeros(len(self.frame_index), np.bool_)
        if len(cuts) > 1:
            cuts[1:] = is_cut(self.signature[:-1], self.signature[1:])
        return SampledFrames(frame_index=self.frame_index, pts_seconds=self.pts_seconds, is_cut=cuts)

    def warnings(self) -> tuple[str, ...]:
        """Return the warning about faces that were left out, at most one line."""
        frames = np.count_nonzero(self.num_left_out)
        if not frames:
            return ()
        most = self.num_left_out.max()
        return (
            f"more faces than faces.max_faces allows: up to {most} are left out in {frames} of "
            f"{len(self.num_left_out)} frames",
        )

    def detections(self) -> FaceDetections:
        """Return the faces, with ``frame_row`` counted from this table's first frame."""
        return self._detections

    @cached_property
    def _detections(self) -> FaceDetections:
        return FaceDetections(
            frame_row=np.repeat(np.arange(len(self.num_faces), dtype=np.int64), self.num_faces),
            xyxy=self.xyxy,
            score=self.score,
            landmarks=self.landmarks,
            landmark_score=self.landmark_score,
            transform=self.transform,
            pose=self.pose,
            quality=self.quality,
        )

    def last_boxes(self) -> np.ndarray:
        """Return the boxes of the faces in the last frame (M, 4)."""
        return self.xyxy[len(self.xyxy) - int(self.num_faces[-1:].sum()) :]

    def faces_of(self, frames: slice) -> slice:
        """Return which rows the faces of consecutive frames are."""
        ends = np.concatenate([[0], np.cumsum(self.num_faces, dtype=np.int64)])
        return slice(int(ends[frames.start]), int(ends[frames.stop]))


@dataclass(frozen=True, kw_only=True)
class EmbeddingsTable(Table):
    """FaceEmbeddings as it is cached."""

    vectors: Annotated[np.ndarray, "N", "D", np.float16]
    logits: Annotated[np.ndarray, "N", "K", np.float32]


@dataclass(frozen=True, kw_only=True)
class IdentityTable(Table):
    """Which faces go on from frame to frame without a jump, and vectors of some of them.

    ``previous`` says by how many rows before a face the same face is in the frame before; see ``faces.continuity``. In
    the first frame of a chunk it is not known.
    """

    previous: Annotated[np.ndarray, "N", np.int32]
    has_vector: Annotated[np.ndarray, "N", np.bool_]
    vectors: Annotated[np.ndarray, "V", "D", np.float16]  # of length 1, of the faces that have one, in order

    def __post_init__(self) -> None:
        check_arrays(self, V=int(np.count_nonzero(self.has_vector)))

    def vector_of(self) -> np.ndarray:
        """Return the row of each face (N,) in ``vectors``, -1 for faces without."""
        return np.where(self.has_vector, np.cumsum(self.has_vector) - 1, -1)

    def rows(self, *, frames: slice, faces: slice) -> Self:
        """Return the rows of some faces, with the vectors that they have."""
        ends = np.concatenate([[0], np.cumsum(self.has_vector)])
        first, stop, _ = faces.indices(len(self.has_vector))
        return type(self)(
            previous=self.previous[faces],
            has_vector=self.has_vector[faces],
            vectors=self.vectors[ends[first] : ends[max(first, stop)]],
        )


@dataclass(frozen=True, kw_only=True)
class TracksTable(Table):
    """FaceTracks as it is cached."""

    track_id: Annotated[np.ndarray, "N", np.int32]


@dataclass(frozen=True, kw_only=True)
class PeopleTable(FacePeople, Table):
    """FacePeople as it is cached."""


@dataclass(frozen=True, kw_only=True)
class TrackVectorsTable(Table):
    """The vectors of IdentityTable added up by track: T rows, in order of ``track_id``; it does not stack.

    As long as vectors of good faces went into it, by their quality; 0 for a track without any.
    """

    sums: Annotated[np.ndarray, "T", "D", np.float32]


@dataclass(frozen=True, kw_only=True)
class EmotionsTable(Table):
    """The probabilities of EmotionTimeline as they are cached, and what ``[emotions]`` had to do with them."""

    probabilities: Annotated[np.ndarray, "N", "K", np.float32]
    shift: Annotated[np.ndarray, "N", "K", np.float16]  # what prior and baseline added to their logarithms
    has_baseline: Annotated[np.ndarray, "N", np.bool_]  # whether the person's own neutral was known


def identity_in(tables: Mapping[str, Table]) -> IdentityTable | None:
    """Return the table of the stage ``identity``; None where it does not run."""
    table = tables.get("identity")
    assert table is None or isinstance(table, IdentityTable)
    return table


def faces_in(tables: Mapping[str, Table]) -> FacesTable:
    """Return the table of the stage ``faces``, which most stages read."""
    table = tables[FACES]
    assert isinstance(table, FacesTable)
    return table
