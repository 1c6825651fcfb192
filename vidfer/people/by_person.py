"""A clip by person instead of by track: what charts, pages and averages are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vidfer.types import ClipMovements, ClipResult, Roster


def people_of_segments(clip: ClipResult) -> list[int]:
    """Return the person of each of the clip's episodes; without a roster, its track."""
    return people_at(clip, [(segment.track_id, segment.peak_seconds) for segment in clip.segments])


def people_at(clip: ClipResult, moments: Sequence[tuple[int, float]]) -> list[int]:
    """Return whose each track is at a time in seconds; without a roster, the track."""
    if clip.roster is None:
        return [track for track, _ in moments]
    order = np.argsort(clip.timeline.track_id, kind="stable")  # of each track in order of time
    tracks = clip.timeline.track_id[order]
    seconds = clip.frames.pts_seconds[clip.timeline.frame_row[order]]
    people = []
    for track, moment in moments:
        first, stop = np.searchsorted(tracks, [track, track + 1])
        row = first + np.searchsorted(seconds[first:stop], moment - 1e-6)
        people.append(int(clip.roster.person_id[order[min(row, stop - 1)]]))
    return people


def by_person(clip: ClipResult) -> ClipResult:
    """Return the clip with people where its timeline and episodes have tracks; who does not count is left out.

    Parameters
    ----------
    clip
        A finished clip. Without a roster each track is a person, and it is returned as it is.
    """
    roster = clip.roster
    if roster is None:
        return clip
    person_id = np.where(roster.included, roster.person_id, -1).astype(np.int32)
    people = zip(clip.segments, people_of_segments(clip), strict=True)
    segments = [replace(of, track_id=number) for of, number in people if roster.by_number[number].include]
    return replace(
        clip,
        timeline=replace(clip.timeline, track_id=person_id),
        segments=tuple(sorted(segments, key=lambda segment: (segment.track_id, segment.start_seconds))),
        movements=_movements_by_person(clip.movements, clip, roster) if clip.movements is not None else None,
    )


def _movements_by_person(movements: ClipMovements, clip: ClipResult, roster: Roster) -> ClipMovements:
    """Return the movements with people where blinks have tracks, but for how far blinks could be counted."""
    people = people_at(clip, [(blink.track_id, blink.closed_seconds) for blink in movements.blinks])
    found = zip(movements.blinks, people, strict=True)
    blinks = [replace(blink, track_id=number) for blink, number in found if roster.by_number[number].include]
    blinks.sort(key=lambda blink: (blink.track_id, blink.start_seconds))
    return replace(movements, blinks=tuple(blinks), counts=None)
