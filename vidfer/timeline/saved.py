"""A clip's results read back from the files in its folder, as far as charts need them: no cache, no video."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.errors import OutputError
from vidfer.labels import EMOTIONS, NUM_EMOTIONS
from vidfer.people.face_ids import SLACK_SECONDS, parse_face_ids
from vidfer.spreadsheet import unguarded
from vidfer.timeline.summary import SUMMARY_COLUMNS
from vidfer.types import (
    NUM_LANDMARKS,
    ClipMovements,
    ClipResult,
    DecodeReport,
    EmotionSegment,
    EmotionTimeline,
    FaceDetections,
    FaceEmbeddings,
    FacePeople,
    FaceTracks,
    Person,
    Roster,
    SampledFrames,
    VideoInfo,
)

_TEXT = ("clip", "video", "codec", "fingerprint", "warnings")  # columns of summary.csv that may say NA or None

if TYPE_CHECKING:
    import pandas as pd


_FIRST_MOVEMENT, _LAST_MOVEMENT = "eye_open_left", "movement_quality"  # in the timeline


def read_table(path: Path) -> pd.DataFrame:
    """Return a clip's timeline from its folder, or from its timeline.parquet or timeline.csv; raises OutputError."""
    import pandas as pd

    candidates = [path / "timeline.parquet", path / "timeline.csv"] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return _read_parquet(candidate) if candidate.suffix == ".parquet" else pd.read_csv(candidate)
    raise OutputError(f"{path}: no timeline.parquet or timeline.csv here: expected the results folder of one clip")


def _read_parquet(path: Path) -> pd.DataFrame:
    """Read one file as itself: ``pandas.read_parquet`` looks for a data set, which takes ten times as long."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        table: pd.DataFrame = file.read(use_threads=False).to_pandas()
    return table


def read_episodes(folder: Path) -> pd.DataFrame:
    """Return ``segments.csv`` of a clip's folder; raises OutputError where it is missing."""
    import pandas as pd

    path = folder / "segments.csv"
    if not path.is_file():
        raise OutputError(f"{path} is missing: write it with vidfer report RESULTS --export segments")
    return pd.read_csv(path)


def read_clips(path: Path) -> pd.DataFrame:
    """Return ``summary.csv`` of a results folder, or the file itself, with the names that clips have on disk.

    Raises OutputError where it is missing or another table.
    """
    import pandas as pd

    path = path / "summary.csv" if path.is_dir() else path
    if not path.is_file():
        raise OutputError(f"{path} is missing: expected the results folder of vidfer process")
    empty = {name: [""] for name in SUMMARY_COLUMNS if name not in _TEXT}
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(_TEXT, str), keep_default_na=False, na_values=empty)
    except (ValueError, pd.errors.EmptyDataError) as error:
        raise OutputError(f"{path}: not a table of vidfer's: {error}") from error
    if "clip" not in table:
        raise OutputError(f"{path}: no column 'clip': expected summary.csv of a results folder")
    for name in table.columns.intersection(_TEXT):
        table[name] = table[name].map(unguarded)
    return table


def read_summary(folder: Path) -> dict[str, Any]:
    """Return ``summary.json`` of a clip's folder, empty where there is none."""
    path = folder / "summary.json"
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise OutputError(f"{path}: not a summary of vidfer's: {error}") from error
    return summary


def clip_of_tables(
    table: pd.DataFrame, episodes: pd.DataFrame, summary: Mapping[str, Any], *, clip_id: str
) -> ClipResult:
    """Put together what tables hold of a clip; what they do not hold (landmarks, vectors) is NaN or empty.

    Parameters
    ----------
    table, episodes
        As in timeline.csv and segments.csv.
    summary
        As in summary.json; may be empty.
    clip_id
        Its name, where the summary tells none.

    Raises
    ------
    OutputError
        A column is missing.
    """
    try:
        frames, frame_row = _frames(table)
        seen = (table["success"] == 1).to_numpy()
        faces = table[seen]
        frame_row = frame_row[seen]
        track_id = faces["face_id"].to_numpy(np.int32)
        probabilities = faces[list(EMOTIONS)].to_numpy(np.float32)
        detections = _detections(faces, frame_row)
        segments = tuple(_segment(episode) for episode in episodes.to_dict("records"))
    except KeyError as error:
        raise OutputError(
            f"{clip_id}: no column {error}: expected the columns of timeline.csv and segments.csv"
        ) from error
    last = float(frames.pts_seconds[-1] + frames.durations_seconds[-1]) if len(frames) else 0.0
    decode = summary.get("decode", {"reader": "", "expected_frames": len(frames), "decoded_frames": len(frames)})
    info = _info(summary, len(frames), last)
    clip = ClipResult(
        clip_id=str(summary.get("clip", clip_id)),
        info=info,
        decode=DecodeReport(
            **decode, truncated=bool(summary.get("truncated")), warnings=tuple(summary.get("warnings", ()))
        ),
        frames=frames.of_clip(info.duration_seconds),
        faces=detections,
        tracks=FaceTracks(track_id=track_id),
        embeddings=FaceEmbeddings(
            vectors=np.empty((len(faces), 0), np.float16),
            logits=np.full((len(faces), NUM_EMOTIONS), np.nan, np.float32),
        ),
        timeline=EmotionTimeline(track_id=track_id, frame_row=frame_row, probabilities=probabilities, labels=EMOTIONS),
        segments=segments,
        provenance=summary.get("provenance", {}),
        movements=_movements(faces),
        people=_people(faces, summary),
    )
    return replace(clip, roster=_roster(clip, summary["people"])) if "people" in summary else clip


def _people(faces: pd.DataFrame, summary: Mapping[str, Any]) -> FacePeople | None:
    """Return whose each face is; None where people were not linked."""
    if "person_id" not in faces:
        return None
    sure = {face["face_id"]: face.get("link_confidence") for face in summary.get("faces", ())}
    unsure = summary.get("unsure_links", ())
    return FacePeople(
        person_id=faces["person_id"].to_numpy(np.int32),
        confidence=faces["face_id"].map(sure).to_numpy(np.float32),
        unsure=np.array([link["people"] for link in unsure], np.int32).reshape(-1, 2),
        unsure_confidence=np.array([link["confidence"] for link in unsure], np.float32),
    )


def _roster(clip: ClipResult, people: Sequence[Mapping[str, Any]]) -> Roster:
    """Return who is who, as the ``people`` of a summary say."""
    seconds = clip.frames.pts_seconds[clip.timeline.frame_row]
    person_id = np.full(len(seconds), -1, np.int32)
    parts = sorted((part, person["person"]) for person in people for part in parse_face_ids(person["face_ids"]))
    for part, number in parts:  # of each track in order of time: the later ones go over the earlier
        of_track = clip.timeline.track_id == part.face_id
        person_id[of_track & (seconds >= part.start_seconds - SLACK_SECONDS)] = number
    names = [field.name for field in fields(Person) if field.name != "number"]
    unknown: Any = np.nan
    known = tuple(
        Person(number=one["person"], **{name: unknown if one[name] is None else one[name] for name in names})
        for one in people
    )
    return Roster(person_id=person_id, people=known, rows=())


def _movements(faces: pd.DataFrame) -> ClipMovements | None:
    """Return the movements that a timeline holds, without blinks; None where it holds none."""
    names = list(faces.columns)
    if _LAST_MOVEMENT not in names:
        return None
    first = names.index(_FIRST_MOVEMENT)
    own = names[first : names.index(_LAST_MOVEMENT) + 1]
    own += [name for name in names if name.endswith("_change")]
    columns = {name: faces[name].to_numpy(np.float32) for name in own}
    return ClipMovements(columns=columns, iris=np.full((len(faces), 2, 2), np.nan, np.float32))


def _frames(table: pd.DataFrame) -> tuple[SampledFrames, np.ndarray]:
    """Return the sampled frames, and the row of each of the table's rows in them."""
    numbers, first, frame_row = np.unique(table["frame"].to_numpy(np.int64), return_index=True, return_inverse=True)
    frames = SampledFrames(
        frame_index=numbers - 1,
        pts_seconds=table["timestamp"].to_numpy(np.float64)[first],
        is_cut=np.zeros(len(numbers), np.bool_),
    )
    return frames, frame_row.astype(np.int64)


def _detections(faces: pd.DataFrame, frame_row: np.ndarray) -> FaceDetections:
    def column(*names: str) -> np.ndarray:
        return faces[list(names)].to_numpy(np.float32)

    corner, size = column("x", "y"), column("width", "height")
    unknown = np.float32(np.nan)
    return FaceDetections(
        frame_row=frame_row,
        xyxy=np.concatenate([corner, corner + size], axis=1),
        score=np.full(len(faces), unknown),
        landmarks=np.broadcast_to(unknown, (len(faces), NUM_LANDMARKS, 2)),
        landmark_score=column("confidence")[:, 0],
        transform=np.broadcast_to(unknown, (len(faces), 2, 3)),
        pose=column("pitch", "yaw", "roll"),
        quality=column("quality")[:, 0],
    )


def _segment(episode: Mapping[str, Any]) -> EmotionSegment:
    return EmotionSegment(
        track_id=int(episode["face_id"]),
        emotion=str(episode["emotion"]),
        start_seconds=float(episode["start_seconds"]),
        end_seconds=float(episode["end_seconds"]),
        peak_seconds=float(episode["peak_seconds"]),
        mean_probability=float(episode["mean_probability"]),
        peak_probability=float(episode["peak_probability"]),
    )


def _info(summary: Mapping[str, Any], num_frames: int, last_seconds: float) -> VideoInfo:
    duration = summary.get("duration_seconds") or last_seconds
    return VideoInfo(
        path=str(summary.get("video", "")),
        width=int(summary.get("width", 0)),
        height=int(summary.get("height", 0)),
        duration_seconds=float(duration),
        average_fps=float(summary.get("average_fps") or (num_frames / duration if duration else 0.0)),
        codec=str(summary.get("codec", "")),
        rotation_degrees=int(summary.get("rotation_degrees", 0)),
        turned_degrees=int(summary.get("turned_degrees", 0)),
        num_frames=num_frames,
        fingerprint=str(summary.get("fingerprint", "")),
        stream=int(summary.get("stream") or 0),
        start_seconds=float(summary.get("start_seconds") or 0.0),
    )
