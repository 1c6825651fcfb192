"""Run a study over saved results: tables, comparisons, pictures, page and methods, the same bytes every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vidfer.engine.people import read_edits
from vidfer.errors import ConfigError, DataError
from vidfer.registry import unknown_name
from vidfer.store.journal import Records
from vidfer.store.layout import journal_file
from vidfer.study.assignment import LeftOut, Part, assign, conditions_of
from vidfer.study.comparisons import compare, compare_time_courses, mixed_models
from vidfer.study.events import Event, clip_events, read_events
from vidfer.study.measures import clip_table, participant_table
from vidfer.study.recordings import Recording, find_clips, read_recordings
from vidfer.study.settings import StudySettings
from vidfer.study.windows import aligned_table, event_tables

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a study found.

    Attributes
    ----------
    settings, conditions
        The study file, and the conditions in order.
    recordings
        One per participant and part of a clip.
    tables
        By name; columns are in columns.csv.
    left
        What did not enter, and why.
    notes
        What a reader must know.
    compared_courses
        How many comparisons of courses around events were made.
    """

    settings: StudySettings
    conditions: tuple[str, ...]
    recordings: tuple[Recording, ...]
    tables: Mapping[str, pd.DataFrame]
    left: tuple[LeftOut, ...]
    notes: tuple[str, ...] = field(default=())
    compared_courses: int = 0


def analyse(results: Path, settings: StudySettings, *, folder: Path) -> Study:
    """Return tables and comparisons without writing anything; ``folder`` is where the study file's paths start."""
    clips = find_clips(results)
    parts, left = assign(settings, sorted(clips), folder)
    if not parts:
        raise DataError(
            f"[clips] fits none of {len(clips)} clips, e.g. {next(iter(clips))!r}: correct pattern or table"
        )
    conditions = conditions_of(settings, parts)
    people = read_edits(results, clips, keep=clips)
    events = read_events(settings.events, folder, sorted(clips)) if settings.events.files else []
    recordings = tuple(read_recordings(settings, clips, parts, people, left))
    if not recordings:
        raise DataError(f"no clip is left: {left[-1].name}: {left[-1].reason}")
    left += _incomplete(settings, conditions, parts, recordings)
    analysis, seed = settings.analysis, settings.study.seed
    participants = participant_table(recordings)
    _check_measures(participants, analysis.measures)
    tables = {"participants": participants, "clips": clip_table(recordings)}
    tables["aligned"] = aligned_table(recordings, hz=analysis.hz)
    dependent = _dependent(recordings)
    tables["comparisons"] = compare(participants, conditions, analysis, seed=seed, dependent=dependent)
    notes = [*people.table.problems, *sorted({note for recording in recordings for note in recording.notes})]
    notes += [dependent] if dependent else []
    compared = 0
    if events:
        of_recording, outside = clip_events(events, recordings, settings.events, _audio_start(results))
        left += outside
        more, compared = _event_tables(settings, recordings, of_recording, conditions, notes)
        tables |= more
    if analysis.mixed_model:
        clip_measures = participant_table(recordings, by_clip=True)
        tables["mixed_models"] = mixed_models(clip_measures, analysis, settings.clips.covariates)
    return Study(
        settings=settings,
        conditions=conditions,
        recordings=recordings,
        tables=tables,
        left=tuple(left),
        notes=tuple(notes),
        compared_courses=compared,
    )


def _incomplete(
    settings: StudySettings, conditions: Sequence[str], parts: Sequence[Part], recordings: Sequence[Recording]
) -> Iterator[LeftOut]:
    """Yield the participants of whom nothing is left, and in a paired design those who lack a condition."""
    of: dict[str, set[str]] = {part.participant: set() for part in parts}
    for recording in recordings:
        of[recording.part.participant].add(recording.part.condition)
    for name, seen in sorted(of.items()):
        missing = [condition for condition in conditions if condition not in seen]
        if not seen:
            yield LeftOut(what="participant", name=name, reason="no clip of this participant is left")
        elif missing and settings.analysis.design == "paired":
            reason = f"not in {', '.join(missing)}: no part of paired comparisons with it"
            yield LeftOut(what="participant", name=name, reason=reason)


def _check_measures(participants: pd.DataFrame, measures: Sequence[str]) -> None:
    known = [*participants.columns[participants.columns.get_loc("emotion") + 1 :]]
    for name in measures:
        if name not in known:
            hint = "" if "blinks_per_minute" in known else "; movements and blinks: set movements.enabled=true, process"
            raise ConfigError(f"[analysis] {unknown_name('measure', name, known)}{hint}")


def _event_tables(
    settings: StudySettings,
    recordings: Sequence[Recording],
    events: Sequence[Sequence[Event]],
    conditions: Sequence[str],
    notes: list[str],
) -> tuple[dict[str, pd.DataFrame], int]:
    """Return the tables, and how many courses were compared."""
    of_events, time_courses = event_tables(recordings, events, settings.events, hz=settings.analysis.hz)
    clusters, compared, why_not = compare_time_courses(
        time_courses, conditions, settings.analysis, seed=settings.study.seed
    )
    notes += why_not
    return {"events": of_events, "event_courses": time_courses, "clusters": clusters}, compared


def _dependent(recordings: Sequence[Recording]) -> str:
    """Return which observations are of one video, as if copies or pieces of it were samples; empty for none."""
    of: dict[str, list[Part]] = {}
    for recording in recordings:
        if digest := recording.summary.get("fingerprint"):
            of.setdefault(str(digest), []).append(recording.part)
    for parts in of.values():
        clips = sorted({part.clip for part in parts})
        if len(clips) > 1:
            return f"{', '.join(clips[:3])}{' ...' if len(clips) > 3 else ''} are the same video: it counts once"
        names = sorted({part.participant for part in parts if not part.person})
        if len(names) > 1:
            shown = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
            return f"the same video counts for {len(names)} participants ({shown}): they are not independent"
    return ""


def _audio_start(results: Path) -> Callable[[str], float]:
    """Return what gives, for a clip, where its sound begins on the container's clock."""
    records = Records(journal_file(results))

    @cache
    def start(clip: str) -> float:
        from vidfer.video.probe import first_audio_seconds

        if clip not in records:
            raise DataError(f'[events] clock "audio": {results} does not tell where the video of {clip} is')
        return first_audio_seconds(Path(records[clip].path))

    return start
