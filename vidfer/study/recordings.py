"""What the saved results say of one participant in one part of a clip: read back, limited by quality, baseline off."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from vidfer.engine.people import Edits
from vidfer.errors import DataError, OutputError
from vidfer.labels import EMOTION_INDEX, EMOTIONS, NUM_EMOTIONS, UNSURE_LABEL
from vidfer.movements import EYES, REPORTED
from vidfer.people.table import Row
from vidfer.study.assignment import LeftOut, Part
from vidfer.study.person import rows_of_person
from vidfer.study.settings import StudySettings
from vidfer.timeline.blinks import find_blinks
from vidfer.timeline.face_movements import mean
from vidfer.timeline.movements import CHANGE, own_median
from vidfer.timeline.saved import read_episodes, read_summary, read_table
from vidfer.types import SampledFrames
from vidfer.types.movements import BlinkCount

_ROUNDING_SECONDS = 1e-6  # of times in segments.csv
_OWN_COLUMNS: Final = frozenset(
    {
        *("frame", "timestamp", "face_id", "person_id", "success", "confidence", "x", "y", "width", "height"),
        *("quality", "emotion", "emotion_confidence", *EMOTIONS),
    }
)


@dataclass(frozen=True, kw_only=True)
class Recording:
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
        probability.
    further
        (T,) of each column that the timeline has beyond emotions: head pose, movements. NaN where not measured.
    blinks
        How many there are here; None where the timeline has no movements.
    num_frames, num_seen, num_rows
        Sampled frames of the part, those that show this face, and those kept.
    mean_quality
        Of the frames that show this face, by the time that each stands for; None where none does.
    clip_seconds
        How long the whole clip is.
    start_seconds
        How much later the clip's first frame is on the container's clock.
    baseline
        What was taken off, for the table of clips.
    notes
        What readers must know of it.
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
    further: Mapping[str, np.ndarray]
    blinks: BlinkCount | None
    num_frames: int
    num_seen: int
    num_rows: int
    mean_quality: float | None
    clip_seconds: float
    start_seconds: float
    baseline: str
    notes: tuple[str, ...]
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


def read_recordings(
    settings: StudySettings,
    clips: Mapping[str, Path],
    parts: Sequence[Part],
    people: Edits,
    left: list[LeftOut],
) -> Iterator[Recording]:
    """Yield each part's recording, each clip read once; what cannot be used is added to ``left`` with its reason."""
    of_clip: dict[str, list[Part]] = {}
    for part in parts:
        of_clip.setdefault(part.clip, []).append(part)
    for clip, group in of_clip.items():
        try:
            saved = _Saved(clips[clip])
        except (OutputError, ValueError, OSError) as error:  # missing, or not what vidfer wrote
            reason = str(error) if isinstance(error, OutputError) else f"{clips[clip]}: cannot be read: {error}"
            left.append(LeftOut(what="clip", name=clip, reason=reason))
            continue
        for part in group:
            try:
                recording = saved.recording(part, people.rows(clip), settings)
            except DataError as error:
                left.append(LeftOut(what="clip", name=clip, reason=str(error)))
                continue
            least = settings.quality.min_face_share
            if recording.num_rows == 0 or recording.face_share < least:
                share = f"{recording.face_share:.1%} of its {recording.num_frames} frames show the face"
                reason = f"{share} with quality {settings.quality.min_quality:g} or more; least: {least:.0%}"
                if not recording.num_seen and any(not row.include for row in people.rows(clip)):
                    reason = "people.csv leaves out whom it shows"
                left.append(LeftOut(what="clip", name=clip, reason=f"{part.condition}: {reason}"))
                continue
            yield recording


class _Saved:
    """A clip's folder, read once; raises OutputError where a file is missing."""

    def __init__(self, folder: Path) -> None:
        table = read_table(folder)
        self.columns = {str(name): values.to_numpy() for name, values in table.items()}
        self.summary = read_summary(folder)
        self.episodes = read_episodes(folder)
        if not self.summary:
            raise OutputError(f"{folder / 'summary.json'} is missing: write it with vidfer report --export summary")
        needed = ("timestamp", "face_id", "success", "quality", *EMOTIONS)
        missing = [name for name in needed if name not in self.columns]
        if missing:
            raise OutputError(f"{folder}: its timeline has no column {missing[0]}")
        self.values = table[list(EMOTIONS)].to_numpy(np.float64)  # (R, K)
        self.seconds = self.columns["timestamp"].astype(np.float64)
        self.frames, row = np.unique(self.seconds, return_inverse=True)
        count = len(self.frames)
        frames = SampledFrames(
            frame_index=np.arange(count),
            pts_seconds=self.frames,
            is_cut=np.zeros(count, np.bool_),
        ).of_clip(float(self.summary.get("duration_seconds") or np.inf))
        self.step = frames.durations_seconds[row]  # as summary.json counts it
        self.clip_seconds = float(self.frames[-1] + frames.durations_seconds[-1]) if count else 0.0

    def recording(self, part: Part, people: Sequence[Row], settings: StudySettings) -> Recording:
        seconds, faces = self.seconds, self.columns["face_id"]
        mine = rows_of_person(self.columns, self.step, people, part.person)
        inside = (seconds >= part.start_seconds) & (seconds < part.end_seconds)
        good = np.nan_to_num(self.columns["quality"].astype(np.float64)) >= settings.quality.min_quality
        rows = np.flatnonzero(mine & inside & good)
        further = {
            name: values.astype(np.float64)
            for name, values in self.columns.items()
            if name not in _OWN_COLUMNS and values.dtype.kind in "fiu"
        }
        baseline, off, notes = self._baseline(settings, np.flatnonzero(mine & good), further)
        held, episodes, strength = self._episodes(seconds[rows], faces[rows])
        return Recording(
            part=part,
            seconds=seconds[rows],
            step=self.step[rows],
            probabilities=self.values[rows] - off,
            raw=self.values[rows],
            held=held,
            episodes=episodes,
            strength=strength,
            further={name: values[rows] for name, values in further.items()},
            blinks=_blinks(seconds, further, np.flatnonzero(mine & inside)),
            num_frames=int(((self.frames >= part.start_seconds) & (self.frames < part.end_seconds)).sum()),
            num_seen=int((mine & inside).sum()),
            num_rows=len(rows),
            mean_quality=mean(self.columns["quality"][mine & inside], self.step[mine & inside]),
            clip_seconds=self.clip_seconds,
            start_seconds=float(self.summary.get("start_seconds") or 0.0),
            baseline=baseline,
            notes=notes,
            summary=self.summary,
        )

    def _episodes(self, seconds: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the label of each row, and the episodes that hold one, as (E, 4), with their peaks' probability."""
        held = np.full(len(seconds), UNSURE_LABEL)
        table = self.episodes[self.episodes["face_id"].isin(np.unique(faces))]
        times = table[["start_seconds", "end_seconds", "peak_seconds"]].to_numpy(np.float64)
        labels = table["emotion"].map(EMOTION_INDEX).to_numpy()
        edges = np.searchsorted(seconds, times[:, :2] - _ROUNDING_SECONDS)
        kept = np.zeros(len(table), np.bool_)
        for place, (face, (first, stop)) in enumerate(zip(table["face_id"].tolist(), edges.tolist(), strict=True)):
            mine = faces[first:stop] == face
            held[first:stop][mine] = labels[place]
            kept[place] = mine.any()
        episodes = np.column_stack([labels.astype(np.float64), times])[kept]
        return held, episodes, table["peak_probability"].to_numpy(np.float64)[kept]

    def _baseline(
        self, settings: StudySettings, rows: np.ndarray, further: dict[str, np.ndarray]
    ) -> tuple[str, np.ndarray, tuple[str, ...]]:
        """Return in words what is taken off, what it is of each emotion, (K,), and notes; add movements less theirs.

        What processing has taken off already (``emotions.baseline``, ``movements.baseline``) stays as it is.
        """
        kind, nothing = settings.baseline.kind, np.zeros(NUM_EMOTIONS)
        if kind not in ("stretch", "median"):
            return kind, nothing, ()
        words: str = kind
        if kind == "stretch":
            start, end = settings.baseline.stretch
            words = f"{start:g} to {end:g} s"
            rows = rows[(self.seconds[rows] >= start) & (self.seconds[rows] < end)]
            if not len(rows):
                raise DataError(f"the face is not seen in the baseline stretch from {start:g} to {end:g} s")
        notes = []
        moves = [name for name in REPORTED if name in further]
        if any(name + CHANGE in further for name in moves):
            notes.append("baseline of movements: none is taken off: processing has done so (movements.baseline)")
        else:
            further |= {name + CHANGE: further[name] - own_median(further[name][rows]) for name in moves}
        if taken := processed_baseline(self.summary):
            words = f"none: processing has taken off {taken} already"
            return words, nothing, (*notes, f"baseline of emotions: {words} (emotions.baseline)")
        values, weights = self.values[rows], self.step[rows]
        if not len(rows):
            return words, nothing, tuple(notes)
        off = np.median(values, axis=0) if kind == "median" else np.average(values, axis=0, weights=weights)
        return words, off, tuple(notes)


def _blinks(seconds: np.ndarray, further: Mapping[str, np.ndarray], rows: np.ndarray) -> BlinkCount | None:
    """Count the blinks in rows of one person, however bad their quality: closed eyes lower it."""
    if not all(name in further for name in EYES):
        return None
    return find_blinks(seconds[rows], np.stack([further[name][rows] for name in EYES], 1), track_id=0)[1]


def processed_baseline(summary: Mapping[str, Any]) -> str:
    """Return the baseline (``emotions.baseline``) that was asked for when a clip was processed, empty for none.

    ``auto`` is none: it helps to read faces, and a study may still compare them with its own baseline.
    """
    stage = summary.get("provenance", {}).get("stages", {}).get("emotions", {}).get("settings", {})
    taken = stage.get("emotions", {}).get("baseline", "none")
    return "" if taken in ("none", "auto", None, "") else str(taken)
