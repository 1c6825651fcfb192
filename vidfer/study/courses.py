"""What the saved results say of one participant in one part of a clip: read back, limited by quality, baseline off."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vidfer.errors import DataError, OutputError
from vidfer.labels import EMOTION_INDEX, EMOTIONS, NUM_EMOTIONS, UNSURE_LABEL
from vidfer.study.assignment import LeftOut, Part
from vidfer.study.person import rows_of_person
from vidfer.study.rows import Row
from vidfer.study.settings import StudySettings
from vidfer.timeline.saved import read_episodes, read_summary, read_table

if TYPE_CHECKING:
    import pandas as pd

_ROUNDING_SECONDS = 1e-6  # of times in segments.csv
_OWN_COLUMNS: Final = frozenset(
    {
        *("frame", "timestamp", "face_id", "person_id", "success", "confidence", "x", "y", "width", "height"),
        *("quality", "emotion", "emotion_confidence", *EMOTIONS),
    }
)


@dataclass(frozen=True, kw_only=True)
class Course:
    """One participant over one part of a clip: T rows in which the face is seen well enough.

    Attributes
    ----------
    part
        Clip, participant, condition, stretch.
    seconds, step
        (T,) float64: time from the clip's first frame, and how long each row stands for.
    probabilities, raw
        (T, K) float64, with and without the baseline taken off.
    held
        (T,) int64: the label of the episode that each row lies in, ``UNSURE_LABEL`` in none.
    episodes
        (E, 4) float64: label, start, end and peak in seconds, of those with a row here; ``strength`` (E,) their peaks'
        probability, ``face`` (E,) whose they are.
    further
        (T,) of each column that the timeline has beyond emotions: head pose, movements. NaN where not measured.
    blinks
        How many begin here; None where they were not measured.
    num_frames, num_seen, num_rows
        Sampled frames of the part, those that show this face, and those kept.
    clip_seconds
        How long the whole clip is.
    start_seconds
        How much later the clip's first frame is on the container's clock.
    baseline
        What was taken off, for the table of clips.
    summary
        What summary.json says.
    """

    part: Part
    seconds: np.ndarray
    step: np.ndarray
    probabilities: np.ndarray
    raw: np.ndarray
    held: np.ndarray
    episodes: np.ndarray
    strength: np.ndarray
    face: np.ndarray
    further: Mapping[str, np.ndarray]
    blinks: int | None
    num_frames: int
    num_seen: int
    num_rows: int
    clip_seconds: float
    start_seconds: float
    baseline: str
    summary: Mapping[str, Any]

    @property
    def face_share(self) -> float:
        """Share of the part's frames that show the face well enough."""
        return self.num_rows / self.num_frames if self.num_frames else 0.0


def find_clips(results: Path) -> dict[str, Path]:
    """Return the folder of each clip in a results folder, by the clip's name; raises OutputError if there is none."""
    found = {}
    for folder, folders, files in os.walk(results):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if "timeline.parquet" in files or "timeline.csv" in files:
            found[Path(folder).relative_to(results).as_posix()] = Path(folder)
    if not found:
        raise OutputError(
            f"{results}: no timeline below it: expected a folder that was given to vidfer process as --out"
        )
    return found


def read_courses(
    settings: StudySettings,
    clips: Mapping[str, Path],
    parts: Sequence[Part],
    people: Mapping[str, Sequence[Row]],
    left: list[LeftOut],
) -> Iterator[Course]:
    """Yield the course of each part, each clip read once; what cannot be used is added to ``left`` with its reason."""
    of_clip: dict[str, list[Part]] = {}
    for part in parts:
        of_clip.setdefault(part.clip, []).append(part)
    for clip, group in of_clip.items():
        try:
            saved = _Saved(clips[clip])
        except OutputError as error:
            left.append(LeftOut(what="clip", name=clip, reason=str(error)))
            continue
        for part in group:
            try:
                course = saved.course(part, people.get(clip, ()), settings)
            except DataError as error:
                left.append(LeftOut(what="clip", name=clip, reason=str(error)))
                continue
            least = settings.quality.min_face_share
            if course.num_rows == 0 or course.face_share < least:
                share = f"{course.face_share:.1%} of its {course.num_frames} frames show the face"
                limit = f" with quality {settings.quality.min_quality:g} or more; least: {least:.0%}"
                left.append(LeftOut(what="clip", name=clip, reason=f"{part.condition}: {share}{limit}"))
                continue
            yield course


class _Saved:
    """A clip's folder, read once; raises OutputError where a file is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = read_table(folder)
        self.summary = read_summary(folder)
        self.episodes = read_episodes(folder)
        if not self.summary:
            raise OutputError(f"{folder / 'summary.json'} is missing: write it with vidfer report --export summary")
        missing = [name for name in ("timestamp", "face_id", "success", "quality", *EMOTIONS) if name not in self.table]
        if missing:
            raise OutputError(f"{folder}: its timeline has no column {missing[0]}")
        frames, row = np.unique(self.table["timestamp"].to_numpy(np.float64), return_inverse=True)
        steps = np.diff(frames)
        last = float(np.median(steps)) if len(steps) else 1 / 25  # as summary.json counts it
        self.frames, self.step = frames, np.append(steps, last)[row]
        self.clip_seconds = float(frames[-1] + last) if len(frames) else 0.0

    def course(self, part: Part, people: Sequence[Row], settings: StudySettings) -> Course:
        table, seconds = self.table, self.table["timestamp"].to_numpy(np.float64)
        mine = rows_of_person(table, self.step, people, part.person)
        inside = (seconds >= part.start_seconds) & (seconds < part.end_seconds)
        good = np.nan_to_num(table["quality"].to_numpy(np.float64)) >= settings.quality.min_quality
        rows = np.flatnonzero(mine & inside & good)
        raw = table[list(EMOTIONS)].to_numpy(np.float64)[rows]
        baseline, off = self._baseline(settings, np.flatnonzero(mine & good))
        faces = np.unique(table["face_id"].to_numpy()[mine])
        held, kept, order = self._episodes(seconds[rows], table["face_id"].to_numpy()[rows], faces)
        named = [name for name in table.columns if name not in _OWN_COLUMNS and table[name].dtype.kind in "fiu"]
        return Course(
            part=part,
            seconds=seconds[rows],
            step=self.step[rows],
            probabilities=raw - off,
            raw=raw,
            held=held,
            episodes=kept,
            strength=self.episodes["peak_probability"].to_numpy(np.float64)[order],
            face=self.episodes["face_id"].to_numpy()[order],
            further={name: table[name].to_numpy(np.float64)[rows] for name in named},
            blinks=self._blinks(part, faces),
            num_frames=int(((self.frames >= part.start_seconds) & (self.frames < part.end_seconds)).sum()),
            num_seen=int((mine & inside).sum()),
            num_rows=len(rows),
            clip_seconds=self.clip_seconds,
            start_seconds=float(self.summary.get("start_seconds") or 0.0),
            baseline=baseline,
            summary=self.summary,
        )

    def _episodes(
        self, seconds: np.ndarray, face: np.ndarray, faces: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the label of each row, and which episodes hold one: as (E, 4) and by their place in the table."""
        held = np.full(len(seconds), UNSURE_LABEL)
        columns = ["start_seconds", "end_seconds", "peak_seconds"]
        times, labels, kept = self.episodes[columns].to_numpy(np.float64), [], []
        of = self.episodes["face_id"].to_numpy()
        for place in np.flatnonzero(np.isin(of, faces)).tolist():
            first, stop = np.searchsorted(seconds, times[place, :2] - _ROUNDING_SECONDS)
            rows = np.arange(first, stop)[face[first:stop] == of[place]]
            if len(rows):
                label = EMOTION_INDEX[str(self.episodes["emotion"].iat[place])]
                held[rows] = label
                labels.append(label)
                kept.append(place)
        order = np.array(kept, np.int64)
        return held, np.column_stack([np.array(labels, np.float64), times[order]]), order

    def _baseline(self, settings: StudySettings, rows: np.ndarray) -> tuple[str, np.ndarray]:
        """Return in words what is to be taken off, and it, (K,)."""
        kind, nothing = settings.baseline.kind, np.zeros(NUM_EMOTIONS)
        if kind not in ("stretch", "median"):
            return kind, nothing
        if taken := processed_baseline(self.summary):
            return f"none: processing has taken off {taken} already", nothing
        values = self.table[list(EMOTIONS)].to_numpy(np.float64)[rows]
        if kind == "median":
            return kind, np.median(values, axis=0) if len(rows) else nothing
        start, end = settings.baseline.stretch
        seconds = self.table["timestamp"].to_numpy(np.float64)[rows]
        inside = (seconds >= start) & (seconds < end)
        if not inside.any():
            raise DataError(f"the face is not seen in the baseline stretch from {start:g} to {end:g} s")
        return f"{start:g} to {end:g} s", np.average(values[inside], axis=0, weights=self.step[rows][inside])

    def _blinks(self, part: Part, faces: np.ndarray) -> int | None:
        path = self.folder / "blinks.csv"
        if not path.is_file():
            return None
        import pandas as pd

        blinks: pd.DataFrame = pd.read_csv(path)
        start = blinks["start_seconds"]
        mine = blinks["face_id"].isin(faces) & (start >= part.start_seconds) & (start < part.end_seconds)
        return int(mine.sum())


def processed_baseline(summary: Mapping[str, Any]) -> str:
    """Return the baseline (``emotions.baseline``) that processing has subtracted from a clip, empty for none."""
    stage = summary.get("provenance", {}).get("stages", {}).get("emotions", {}).get("settings", {})
    taken = stage.get("emotions", {}).get("baseline", "none")
    return "" if taken in ("none", None, "") else str(taken)
