"""What happened when: events from tables and annotations, brought to the clock of the timelines."""

from __future__ import annotations

import bisect
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vidfer.errors import DataError
from vidfer.learning.datasets.annotations import SUFFIXES, read_annotations
from vidfer.study.assignment import LeftOut
from vidfer.study.recordings import Recording
from vidfer.study.rows import read_rows
from vidfer.study.settings import EventsSection

EVERY_CLIP = frozenset({"", "*"})
NO_TYPE = "event"
_MILLISECONDS = 1000.0


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened.

    Attributes
    ----------
    clip, condition
        Whose it is; empty: of all clips, in all conditions.
    onset_seconds, duration_seconds
        As the file says, in seconds; ``clip_events`` brings them to the clock of the timelines.
    type
        What it was.
    where
        File and row, with the column of the onset.
    """

    clip: str
    condition: str
    onset_seconds: float
    duration_seconds: float
    type: str
    where: str


def read_events(settings: EventsSection, folder: Path, clips: Sequence[str]) -> list[Event]:
    """Read all event files of a study.

    A table without the column ``clip``, and rows where that is empty or ``*``, tell of all clips: those of one
    stimulus. So does an annotation file, but where its name is that of a clip.

    Raises
    ------
    DataError
        A file cannot be read, a row is wrong, or it names a clip that there is not.
    """
    events: list[Event] = []
    for name in settings.files:
        path = folder / name
        annotated = path.suffix.lower() in SUFFIXES
        events += _of_annotations(settings, path, clips) if annotated else _of_table(settings, path, clips)
    types = {event.type for event in events}
    for wanted in settings.types:
        if wanted not in types:
            raise DataError(f"[events] types: there is no event {wanted!r}; there are {', '.join(sorted(types))}")
    return [event for event in events if not settings.types or event.type in settings.types]


def clip_events(
    events: Sequence[Event],
    recordings: Sequence[Recording],
    settings: EventsSection,
    audio_start: Callable[[str], float],
) -> tuple[list[list[Event]], list[LeftOut]]:
    """Return for each recording its events, on its own clock; and those that lie outside every clip that they are of.

    Parameters
    ----------
    events
        As read.
    recordings
        One per part of a clip; an event is the part's that it begins in.
    settings
        Names the clock.
    audio_start
        Gives for a clip where its sound begins on the container's clock, in seconds.

    Raises
    ------
    DataError
        The times are milliseconds.
    """
    ends: dict[str, float] = {recording.part.clip: recording.clip_seconds for recording in recordings}
    shifts: dict[str, float] = {}
    for recording in recordings:
        if recording.part.clip not in shifts:
            shifts[recording.part.clip] = _shift(recording, settings, audio_start)
    _refuse_milliseconds(events, ends, settings)
    outside = {event.where: out for event in events if (out := _outside(event, ends, shifts))}
    of_clip: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda one: one.onset_seconds):
        of_clip.setdefault(event.clip, []).append(event)
    twice: dict[str, LeftOut] = {}
    found = [_of_recording(recording, of_clip, shifts[recording.part.clip], twice) for recording in recordings]
    told = {event.where for of_recording in found for event in of_recording} | set(twice) | set(outside)
    conditions = sorted({recording.part.condition for recording in recordings})
    missed = [_missed(event, conditions, ends) for event in events if event.where not in told]
    return found, [*outside.values(), *twice.values(), *missed]


def _missed(event: Event, conditions: Sequence[str], ends: Mapping[str, float]) -> LeftOut:
    """Return why an event is in no recording."""
    if event.condition and event.condition not in conditions:
        why = f"column condition: expected {' or '.join(conditions)}, got {event.condition!r}"
    elif event.clip and event.clip not in ends:
        why = f"nothing of {event.clip} is used"
    else:
        why = f"{event.onset_seconds:g} s lies in no part of a clip that is used"
    return LeftOut(what="event", name=event.type, reason=f"{event.where}: {why}")


def _of_recording(
    recording: Recording, of_clip: Mapping[str, Sequence[Event]], shift: float, twice: dict[str, LeftOut]
) -> list[Event]:
    """Return the events that begin in a recording; of those listed twice one, the others go into ``twice``."""
    part = recording.part
    low, high = max(0.0, part.start_seconds), min(part.end_seconds, recording.clip_seconds)
    found: dict[tuple[float, str], Event] = {}
    for events in (of_clip.get(part.clip, ()), of_clip.get("", ())):
        first = bisect.bisect_left(events, low - shift, key=lambda one: one.onset_seconds)
        stop = bisect.bisect_left(events, high - shift, key=lambda one: one.onset_seconds)
        for event in events[first:stop]:
            if event.condition not in ("", part.condition):
                continue
            onset = event.onset_seconds + shift
            same = found.setdefault((round(onset, 3), event.type), event)
            if same is not event:
                reason = f"{event.where}: {event.onset_seconds:g} s is there already ({same.where.rpartition(': ')[2]})"
                twice.setdefault(event.where, LeftOut(what="event", name=event.type, reason=reason))
    moved = [replace(one, clip=part.clip, onset_seconds=one.onset_seconds + shift) for one in found.values()]
    return sorted(moved, key=lambda one: (one.onset_seconds, one.type))


def _outside(event: Event, ends: Mapping[str, float], shifts: Mapping[str, float]) -> LeftOut | None:
    """Return what is to be said of an event that begins before or after clips that it is of."""
    clips = [event.clip] if event.clip else sorted(ends)
    outside = [
        f"{event.onset_seconds + shifts[clip]:g} s lies outside {clip} (0 to {ends[clip]:g} s from its first frame)"
        for clip in clips
        if clip in ends and not 0 <= event.onset_seconds + shifts[clip] < ends[clip]
    ]
    more = f" and {len(outside) - 1} of {len(clips) - 1} other clips" if len(outside) > 1 else ""
    reason = f"{event.where}: {outside[0]}{more}" if outside else ""
    return LeftOut(what="event", name=event.type, reason=reason) if outside else None


def _shift(recording: Recording, settings: EventsSection, audio_start: Callable[[str], float]) -> float:
    """Return what brings a time of the events' clock to that of the timeline: seconds from the first frame."""
    if settings.clock == "first_frame":
        return 0.0
    return (audio_start(recording.part.clip) if settings.clock == "audio" else 0.0) - recording.start_seconds


def _refuse_milliseconds(events: Sequence[Event], ends: Mapping[str, float], settings: EventsSection) -> None:
    longest = max(ends.values(), default=0.0)
    known = [(event, ends.get(event.clip, longest if not event.clip else 0.0)) for event in events]
    outside = [event for event, end in known if event.onset_seconds > end > 0]
    fitting = [event for event, end in known if event.onset_seconds / _MILLISECONDS <= end]
    if len(outside) > len(events) / 2 and len(fitting) == len(events) and settings.unit == "seconds":
        raise DataError(
            f"{outside[0].where}: {outside[0].onset_seconds:g} s is after the end, as {len(outside)} of {len(events)} "
            'onsets are; as milliseconds all would fit: set [events] unit = "milliseconds"'
        )
    endless = [event for event, end in known if event.duration_seconds > end > 0]
    if len(endless) > len(events) / 2:
        raise DataError(
            f"{endless[0].where.replace('onset', 'duration')}: {endless[0].duration_seconds:g} s is longer than the "
            f"clip, as {len(endless)} of {len(events)} are: are durations in milliseconds?"
        )


def _of_table(settings: EventsSection, path: Path, clips: Sequence[str]) -> list[Event]:
    optional = ("clip", "duration", "type", "trial_type", "condition")
    scale = _MILLISECONDS if settings.unit == "milliseconds" else 1.0
    events = []
    for row in read_rows(path, ("onset",), optional):
        onset, duration = row.number("onset"), row.number("duration") or 0.0
        if onset is None:
            raise DataError(f"{row.where}, column onset: empty")
        if duration < 0:
            raise DataError(f"{row.where}, column duration: expected 0 or more, got {duration:g}")
        clip = row.text("clip")
        if clip not in EVERY_CLIP and clip not in clips:
            near = difflib.get_close_matches(clip, clips, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{row.where}, column clip: there are no results of {clip!r}{hint}")
        events.append(
            Event(
                clip="" if clip in EVERY_CLIP else clip,
                condition=row.text("condition"),
                onset_seconds=onset / scale,
                duration_seconds=duration / scale,
                type=row.text("type") or row.text("trial_type") or NO_TYPE,
                where=f"{row.where}, column onset",
            )
        )
    return events


def _of_annotations(settings: EventsSection, path: Path, clips: Sequence[str]) -> list[Event]:
    annotations = read_annotations(path)
    tiers = {one.tier for one in annotations}
    if settings.tiers and not tiers & set(settings.tiers):
        raise DataError(
            f"{path}: no tier {' or '.join(settings.tiers)}; there are {', '.join(sorted(tiers)) or 'none'}"
        )
    named = [clip for clip in clips if Path(clip).name == path.stem]
    if len(named) > 1:
        raise DataError(f"{path}: several clips are called {path.stem}: {', '.join(named)}; use a table with clip")
    return [
        Event(
            clip=named[0] if named else "",
            condition="",
            onset_seconds=one.start_seconds,
            duration_seconds=one.end_seconds - one.start_seconds,
            type=one.text,
            where=one.where,
        )
        for one in annotations
        if not settings.tiers or one.tier in settings.tiers
    ]
