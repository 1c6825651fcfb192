"""Optional stage: how each face is moved, and where its eyes look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vidfer.config import Baseline, MovementsConfig
from vidfer.faces.align import apply_transforms, invert_transforms, warp_faces
from vidfer.movements import (
    EYE_COLUMNS,
    LEAST_EYES_PX,
    LEAST_FACE_PX,
    MOVEMENT_NETWORKS,
    MOVEMENTS,
    REPORTED,
    REPORTED_COLUMNS,
    MovementNetwork,
    trust,
)
from vidfer.movements.eyes import eye_centres, eye_transforms
from vidfer.movements.gaze import gaze_angles
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.exported_files import factory_of
from vidfer.pipeline.tables import Table, faces_in
from vidfer.pipeline.tracks import FrameTracks
from vidfer.temporal.online_baseline import OnlineBaseline
from vidfer.timeline.movements import CHANGE, movement_columns, own_median
from vidfer.types import FaceDetections
from vidfer.types.validation import check_array

_OPEN_ENOUGH = 0.25  # of an eye whose iris can be seen


@dataclass(frozen=True, kw_only=True)
class MovementsTable(Table):
    """What is seen in each face; NaN where it is too small."""

    values: np.ndarray  # (N, len(MOVEMENTS)) float32, 0..1
    gaze: np.ndarray  # (N, 2) float32 degrees, yaw and pitch
    iris: np.ndarray  # (N, 2, 2) float32 px, right eye and left
    quality: np.ndarray  # (N,) float32, 0..1

    def __post_init__(self) -> None:
        dims: dict[str, int] = {}
        check_array(self, "values", ("N", len(MOVEMENTS)), np.float32, dims)
        check_array(self, "gaze", ("N", 2), np.float32, dims)
        check_array(self, "iris", ("N", 2, 2), np.float32, dims)
        check_array(self, "quality", ("N",), np.float32, dims)

    @staticmethod
    def of(count: int) -> MovementsTable:
        """Return the table of faces of which nothing is known."""

        def unknown(*shape: int) -> np.ndarray:
            return np.full((count, *shape), np.nan, np.float32)

        return MovementsTable(values=unknown(len(MOVEMENTS)), gaze=unknown(2), iris=unknown(2, 2), quality=unknown())


class MovementsStage:
    """Looks at the aligned faces of a chunk and at their eyes; the network is loaded when the first face is seen."""

    def __init__(self, config: MovementsConfig, *, device: str, network: MovementNetwork | None = None) -> None:
        self._config = config
        self._device = device
        self._network = network  # instead of the one that the settings name

    def process(self, chunk: FrameChunk, tables: Mapping[str, Table]) -> MovementsTable:
        """Return one row per face of the chunk, given its ``faces``."""
        faces = faces_in(tables).detections()
        found = MovementsTable.of(len(faces))
        side = (faces.xyxy[:, 2:] - faces.xyxy[:, :2]).max(1, initial=0)  # (N,) px
        usable = np.isfinite(faces.transform).all((1, 2)) & np.isfinite(faces.pose).all(1)
        rows = np.flatnonzero(usable & (side >= LEAST_FACE_PX))
        if not len(rows):
            return found
        network = self._loaded()
        aligned = chunk.aligned_faces(faces.frame_row, faces.transform, network.face_size)
        aligned = aligned[rows]
        few = faces.take(rows)
        landmarks = np.asarray(few.landmarks)
        transforms = eye_transforms(landmarks, few.transform).reshape(-1, 2, 3)
        eyes = warp_faces(chunk.images, np.repeat(few.frame_row, 2), transforms, size=network.eye_size, gray=True)
        seen = network.predict(aligned, eyes.reshape(len(rows), 2, *eyes.shape[1:]))
        found.values[rows], found.quality[rows] = seen.values, trust(seen.error)
        found.gaze[rows] = _gaze(seen.iris, seen.values, few)
        found.iris[rows] = _iris_px(seen.iris, few)
        small = np.flatnonzero(side < LEAST_EYES_PX)
        found.values[np.ix_(small, np.array(EYE_COLUMNS))] = np.nan
        found.gaze[small], found.iris[small] = np.nan, np.nan
        return found

    def load(self) -> bool:
        """Load the network now; threads may share it."""
        self._loaded()
        return True

    def stream(self) -> OnlineMovements:
        """Return what gives the columns of the timeline frame by frame."""
        return OnlineMovements(self._config.baseline)

    def empty(self) -> MovementsTable:
        """Return the table of a stretch of video without a decodable frame."""
        return MovementsTable.of(0)

    def _loaded(self) -> MovementNetwork:
        if self._network is None:
            make = factory_of(MOVEMENT_NETWORKS, self._config.network, self._config.weights)
            self._network = make(device=self._device, weights=self._config.weights)
        return self._network


class OnlineMovements:
    """The columns of the timeline that a stream has of each face: movements, gaze, and what a baseline adds.

    Parameters
    ----------
    baseline
        Of ``[movements]``.
    """

    def __init__(self, baseline: Baseline) -> None:
        self._baseline: OnlineBaseline | None = None
        if baseline != "none":
            nothing = np.full(len(REPORTED), np.nan)
            self._baseline = OnlineBaseline(baseline, _medians, nothing)

    def push(self, tables: Mapping[str, Table], seen: FrameTracks) -> dict[str, np.ndarray]:
        """Return the columns of the next frame's faces, (N,) each, given its ``faces`` and ``movements``."""
        table = tables["movements"]
        assert isinstance(table, MovementsTable)
        columns = movement_columns(table.arrays(), REPORTED_COLUMNS)
        if self._baseline is None:
            return columns
        values = table.values[:, list(REPORTED_COLUMNS.values())]
        seconds = float(faces_in(tables).pts_seconds[0])
        own = self._baseline.push(seconds, values, seen.found, seen.owners, seen.remembered)
        change = (values - own).astype(np.float32)
        return columns | {name + CHANGE: change[:, i] for i, name in enumerate(REPORTED)}


def _medians(values: np.ndarray) -> np.ndarray:
    return np.array([own_median(column) for column in values.T])


def _gaze(iris: np.ndarray, values: np.ndarray, faces: FaceDetections) -> np.ndarray:
    """Return yaw and pitch (N, 2): the mean over the eyes that are open, NaN where none is."""
    angles = gaze_angles(iris, np.asarray(faces.landmarks), faces.transform, faces.pose)  # (N, 2, 2)
    weight = (values[:, [1, 0]] - _OPEN_ENOUGH).clip(0)[..., None]  # right before left
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: np.ndarray = (angles * weight).sum(1) / weight.sum(1)
    return mean


def _iris_px(iris: np.ndarray, faces: FaceDetections) -> np.ndarray:
    """Return where the irises are in the picture (N, 2, 2), px."""
    centres = apply_transforms(faces.transform, eye_centres(np.asarray(faces.landmarks)))
    return apply_transforms(invert_transforms(faces.transform), centres + iris)
