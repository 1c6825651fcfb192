"""A clip by person instead of by track: what charts, pages and averages are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vidfer.types import ClipResult


def people_of_segments(clip: ClipResult) -> list[int]:
    """Return the person of each of the clip's episodes; without a roster, its track."""
    if clip.roster is None:
        return [segment.track_id for segment in clip.segments]
    order = np.argsort(clip.timeline.track_id, kind="stable")  # of each track in order of time
    tracks = clip.timeline.track_id[order]
    seconds = clip.frames.pts_seconds[clip.timeline.frame_row[order]]
    people = []
    for segment in clip.segments:
        first, stop = np.searchsorted(tracks, [segment.track_id, segment.track_id + 1])
        row = first + np.searchsorted(seconds[first:stop], segment.peak_seconds - 1e-6)
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
    )
