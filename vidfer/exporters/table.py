"""The table behind timeline.csv, timeline.parquet and timeline.json: one row per sampled frame and face.

What the columns mean, where other tools use the same names (OpenFace 2.2, Baltrusaitis et al. 2018,
https://github.com/TadasBaltrusaitis/OpenFace/wiki/Output-Format):

============== =========================================================================================
frame          number of the frame in the video, from 1, as OpenFace counts: ``frame_index + 1``. With
               ``--fps`` it still counts all frames of the video, so the numbers have steps.
timestamp      seconds since the video's first frame, from the container; ``start_seconds`` (summary.json,
               metadata of timeline.parquet) later on the clock that players show
face_id        the person's track, from 0; -1 where the frame shows no face
success        1 where a face was found and followed, else 0
confidence     how sure the landmark network is of the face, 0..1
x, y           left and top of the face's box, pixels of the displayed (upright) picture
width, height  of the box, pixels
pitch          degrees, up is positive
yaw            degrees, towards the image's right is positive
roll           degrees, clockwise in the image is positive
quality        chance that the label of this frame alone is that of the clean, frontal, large face, 0..1
emotion        the label with the highest probability in this row, ``emotion_confidence`` its probability
neutral, ...   probability of each label, 0..1, sum 1
person_id      the person, from 0: tracks that are the same person's share it; -1 without a face. Only where
               ``people.link`` is on
============== =========================================================================================

Where ``[movements]`` is on, the columns of ``ClipMovements`` follow.

Faces that tracking dropped (too short, doubtful) are no faces here; a frame with nothing else has its one row without
a face.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vidfer.labels import EMOTIONS
from vidfer.types import NUM_LANDMARKS, ClipResult

COLUMNS: tuple[str, ...] = (
    *("frame", "timestamp", "face_id", "success", "confidence", "x", "y", "width", "height"),
    *("pitch", "yaw", "roll", "quality", "emotion", "emotion_confidence"),
    *EMOTIONS,
)
PERSON = "person_id"  # after these, where people are linked
LANDMARK_COLUMNS: tuple[str, ...] = tuple(f"{axis}_{i}" for axis in "xy" for i in range(NUM_LANDMARKS))
_PART_ROWS = 1024


@dataclass(frozen=True, kw_only=True)
class TimelineTable:
    """Columns of the timeline, R rows ordered by frame, then face.

    Attributes
    ----------
    frame_row
        (R,) int64 into ``clip.frames``.
    face_row
        (R,) int64 into ``clip.faces``; -1 in rows without a face.
    columns
        ``COLUMNS`` in order, then those that are switched on, each (R,); in rows without a face numbers are NaN and
        ``emotion`` is None.
    """

    frame_row: np.ndarray
    face_row: np.ndarray
    columns: dict[str, np.ndarray]

    @property
    def has_face(self) -> np.ndarray:
        """Which rows show a face, (R,) bool."""
        mask: np.ndarray = self.face_row >= 0
        return mask

    def __len__(self) -> int:
        return len(self.frame_row)

    def parts(self) -> Iterator[TimelineTable]:
        """Yield the rows in tables of about a thousand: what is made of each bounds the memory for wide formats."""
        for start in range(0, len(self), _PART_ROWS):
            rows = slice(start, start + _PART_ROWS)
            columns = {name: column[rows] for name, column in self.columns.items()}
            yield TimelineTable(frame_row=self.frame_row[rows], face_row=self.face_row[rows], columns=columns)


def timeline_table(clip: ClipResult) -> TimelineTable:
    """Build the table of one clip; see the module's text for what the columns mean."""
    frame_row, face_row = _rows(clip)
    faces, frames = clip.faces, clip.frames
    seen = face_row >= 0
    kept = face_row[seen]

    def of_faces(values: np.ndarray) -> np.ndarray:
        column = np.full(len(face_row), np.nan, dtype=np.float32)
        column[seen] = values[kept]
        return column

    probabilities = clip.timeline.probabilities
    face_id = np.full(len(face_row), -1, dtype=np.int32)
    face_id[seen] = clip.timeline.track_id[kept]
    emotion = np.full(len(face_row), None, dtype=object)
    emotion[seen] = np.array(EMOTIONS, dtype=object)[probabilities[kept].argmax(axis=1)]
    columns: dict[str, np.ndarray] = {
        "frame": frames.frame_index[frame_row] + 1,
        "timestamp": frames.pts_seconds[frame_row],
        "face_id": face_id,
        "success": seen.astype(np.int8),
        "confidence": of_faces(faces.landmark_score),
        "x": of_faces(faces.xyxy[:, 0]),
        "y": of_faces(faces.xyxy[:, 1]),
        "width": of_faces(faces.xyxy[:, 2] - faces.xyxy[:, 0]),
        "height": of_faces(faces.xyxy[:, 3] - faces.xyxy[:, 1]),
        "pitch": of_faces(faces.pose[:, 0]),
        "yaw": of_faces(faces.pose[:, 1]),
        "roll": of_faces(faces.pose[:, 2]),
        "quality": of_faces(faces.quality),
        "emotion": emotion,
        "emotion_confidence": of_faces(probabilities.max(axis=1)),
    }
    columns |= {name: of_faces(probabilities[:, label]) for label, name in enumerate(EMOTIONS)}
    if clip.people is not None:
        person_id = np.full(len(face_row), -1, dtype=np.int32)
        person_id[seen] = clip.people.person_id[kept]
        columns[PERSON] = person_id
    if clip.movements is not None:
        columns |= {name: of_faces(values) for name, values in clip.movements.columns.items()}
    return TimelineTable(frame_row=frame_row, face_row=face_row, columns=columns)


def _rows(clip: ClipResult) -> tuple[np.ndarray, np.ndarray]:
    """Return (frame_row, face_row) of the table: kept faces, and -1 for frames without one."""
    kept = np.flatnonzero(clip.timeline.track_id >= 0)
    with_face = np.zeros(len(clip.frames), dtype=np.bool_)
    with_face[clip.timeline.frame_row[kept]] = True
    empty = np.flatnonzero(~with_face)
    frame_row = np.concatenate([clip.timeline.frame_row[kept], empty])
    face_row = np.concatenate([kept, np.full(len(empty), -1)])
    face_id = np.concatenate([clip.timeline.track_id[kept], np.full(len(empty), -1)])
    order = np.lexsort((face_id, frame_row))
    return frame_row[order], face_row[order]


def landmark_columns(clip: ClipResult, table: TimelineTable) -> dict[str, np.ndarray]:
    """Return the landmarks as ``LANDMARK_COLUMNS``, (R,) pixels each, NaN without a face."""
    points = np.full((len(table), NUM_LANDMARKS, 2), np.nan, dtype=np.float32)
    points[table.has_face] = clip.faces.landmarks[table.face_row[table.has_face]]
    values = points.transpose(2, 1, 0).reshape(-1, len(table))  # (2 * 68, R)
    return dict(zip(LANDMARK_COLUMNS, values, strict=True))
