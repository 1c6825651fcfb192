"""What a pipeline gives: the faces of a picture, and a clip."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.config import OutputConfig
from vidfer.exporters import EXPORTERS
from vidfer.labels import EMOTIONS
from vidfer.report.chart_options import ChartOptions, ChartSize, ChartStyle
from vidfer.types import ClipResult, FaceDetections

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Face:
    """One face in one picture.

    Attributes
    ----------
    face_id
        The person's track in a clip; in a single picture, the place by score.
    xyxy
        (4,) float32, left, top, right, bottom, px of the picture.
    landmarks
        (68, 2) float32, px.
    score
        The detector's, 0..1.
    confidence
        The landmark network's, 0..1.
    pose
        (3,) float32, pitch, yaw, roll in degrees.
    quality
        0..1.
    probabilities
        By label, 0..1, sum 1; NaN for a face that tracking dropped.
    """

    face_id: int
    xyxy: np.ndarray
    landmarks: np.ndarray
    score: float
    confidence: float
    pose: np.ndarray
    quality: float
    probabilities: dict[str, float]

    @property
    def emotion(self) -> str:
        """The label with the highest probability."""
        return max(self.probabilities, key=lambda label: self.probabilities[label])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Face):
            return NotImplemented
        return all(np.array_equal(value, vars(other)[name]) for name, value in vars(self).items())

    def __repr__(self) -> str:
        x, y, right, bottom = np.round(self.xyxy).astype(int).tolist()
        sure = self.probabilities[self.emotion]
        return f"Face({self.face_id}: {self.emotion} {sure:.2f}, {right - x}x{bottom - y} px at {x}, {y})"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Faces:
    """The faces of one picture; ``len``, indexing and iteration give each as a ``Face``.

    Attributes
    ----------
    detections
        Boxes, landmarks, pose and quality, one row per face.
    probabilities
        (N, 8) float32, columns as in ``labels``.
    face_id
        (N,) int32.
    labels
        Names of the columns.
    """

    detections: FaceDetections
    probabilities: np.ndarray
    face_id: np.ndarray
    labels: tuple[str, ...] = EMOTIONS

    def __len__(self) -> int:
        return len(self.face_id)

    def __getitem__(self, row: int) -> Face:
        row = range(len(self))[row]
        found = self.detections
        return Face(
            face_id=int(self.face_id[row]),
            xyxy=found.xyxy[row],
            landmarks=np.asarray(found.landmarks[row]),
            score=float(found.score[row]),
            confidence=float(found.landmark_score[row]),
            pose=found.pose[row],
            quality=float(found.quality[row]),
            probabilities=dict(zip(self.labels, self.probabilities[row].tolist(), strict=True)),
        )

    def __iter__(self) -> Iterator[Face]:
        return (self[row] for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Faces) else NotImplemented

    def __repr__(self) -> str:
        return f"Faces({len(self)}: landmarks {self.detections.landmarks.shape}, {', '.join(f.emotion for f in self)})"


class Clip:
    """One clip's results; ``len`` counts the frames that were looked at, and ``clip[k]`` gives the faces of one.

    Parameters
    ----------
    result
        All tables.
    output
        How charts are drawn.
    """

    def __init__(self, result: ClipResult, output: OutputConfig) -> None:
        self.result = result
        self.output = output

    def to_dataframe(self) -> pd.DataFrame:
        """Return the timeline, one row per frame and face: what timeline.parquet holds."""
        import pandas as pd

        return pd.read_parquet(io.BytesIO(self._file("parquet")))

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """One row per episode: what segments.csv holds."""
        import pandas as pd

        return pd.read_csv(io.BytesIO(self._file("segments")))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What summary.json holds."""
        summary: dict[str, Any] = json.loads(self._file("summary"))
        return summary

    @property
    def chart_options(self) -> ChartOptions:
        """How charts are drawn, and highlights cut, by the settings."""
        return ChartOptions.of(self.output)

    def chart(self, style: ChartStyle | None = None, *, size: ChartSize | None = None) -> bytes:
        """Return the chart as a PNG, as ``Timeline.chart`` does; None = as the settings say."""
        from vidfer.report.chart import timeline_chart

        options = replace(
            self.chart_options, style=style or self.chart_options.style, size=size or self.chart_options.size
        )
        return timeline_chart(self.result, options=options).png

    def face(self, face_id: int) -> pd.DataFrame:
        """Return the rows of one face; raises KeyError where there is none of this id."""
        table = self.to_dataframe()
        rows = table[table["face_id"] == face_id]
        if face_id < 0 or rows.empty:
            known = sorted(set(table["face_id"]) - {-1})
            raise KeyError(f"no face {face_id}: this clip has {known}")
        return rows

    def __len__(self) -> int:
        return len(self.result.frames)

    def __getitem__(self, frame: int) -> Faces:
        frame = range(len(self))[frame]
        timeline = self.result.timeline
        rows = np.flatnonzero((timeline.frame_row == frame) & (timeline.track_id >= 0))
        rows = rows[np.argsort(timeline.track_id[rows], kind="stable")]
        return Faces(
            detections=self.result.faces.take(rows),
            probabilities=timeline.probabilities[rows],
            face_id=timeline.track_id[rows],
        )

    def __iter__(self) -> Iterator[Faces]:
        return (self[frame] for frame in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return self.to_dataframe().equals(other.to_dataframe()) if isinstance(other, Clip) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it compares by content

    def __repr__(self) -> str:
        info, num_faces = self.result.info, len(set(self.result.timeline.track_id.tolist()) - {-1})
        return (
            f"Clip({self.result.clip_id!r}: {len(self)} frames of {info.width}x{info.height} px, "
            f"{info.duration_seconds:.1f} s, {num_faces} faces, {len(self.result.segments)} episodes)"
        )

    def _repr_png_(self) -> bytes:
        return self.chart()

    def _file(self, export: str) -> bytes:
        exporter = EXPORTERS.get(export)
        (data,) = exporter.render(self.result).values()  # type: ignore[union-attr]  # none of them is a video
        return data
