"""Which faces each edited row of people.csv is about, also where tracks have been numbered anew since."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidfer.people.face_ids import FacePart
from vidfer.people.table import Row, Sighting
from vidfer.types import ClipResult

_MIN_IOU = 0.3  # of a box with where the face was: another detector frames it differently
_MAX_SECONDS = 0.5  # to the nearest sampled frame: another frame rate samples others


@dataclass(frozen=True, kw_only=True)
class Cut:
    """From a moment on a track belongs to a row, given by its number; -1: to none."""

    start_seconds: float
    row: int


@dataclass(frozen=True, kw_only=True)
class Followed:
    """Whose the tracks of a clip are.

    Attributes
    ----------
    cuts
        By track, in order of time, the first at 0; tracks that no row claims are not among them.
    problems
        What does not fit, by number of the row: column and text.
    """

    cuts: Mapping[int, tuple[Cut, ...]]
    problems: Mapping[int, tuple[str, str]]


def follow(clip: ClipResult, rows: Sequence[Row]) -> Followed:
    """Find the faces that the edited ones among a clip's rows are about.

    A row's faces are looked for where and when they were seen as it was written. Where they are there under the same
    numbers the row is taken at its word, else each track goes to the row of which it shows most.
    """
    places = _Places(clip)
    everywhere = _by_face(sighting for row in rows for sighting in row.seen_at)
    starts = defaultdict(set)
    for part in (part for row in rows for part in row.parts):
        starts[part.face_id].add(part.start_seconds)
    claims: dict[int, list[tuple[float, int, int]]] = defaultdict(list)  # by track: start, row, sightings that say so
    problems: dict[int, tuple[str, str]] = {}
    for number, row in enumerate(rows):
        mine = _by_face(row.seen_at)  # not those of other rows, which may have been written later, by other numbers
        for part in row.parts if row.says_something else ():
            sightings = mine.get(part.face_id) or everywhere.get(part.face_id, [])
            found = [(sighting.seconds, places.track_at(sighting)) for sighting in sightings]
            if any(track != part.face_id for _, track in found):
                for track, votes in _moved(part, found, starts[part.face_id]).items():
                    claims[track].append((part.start_seconds, number, votes))
            elif part.face_id in places.last_seconds:
                if part.start_seconds > places.last_seconds[part.face_id]:
                    last = places.last_seconds[part.face_id]
                    text = f"face {part.face_id} is last seen at {last:.1f} s: nothing of it comes later"
                    problems[number] = ("face_ids", text)
                else:
                    claims[part.face_id].append((part.start_seconds, number, 0))
            else:
                known = ", ".join(map(str, sorted(places.last_seconds)[:20])) or "none"
                problems[number] = ("face_ids", f"the clip has no face {part.face_id}: it has {known}")
    cuts = {track: _cuts(track, of, rows, problems) for track, of in claims.items()}
    owners = {cut.row for of in cuts.values() for cut in of}
    for number, row in enumerate(rows):
        if row.says_something and number not in owners and number not in problems and row.parts:
            problems[number] = ("face_ids", "nobody is found where and when this person was seen")
    return Followed(cuts=cuts, problems=problems)


def _by_face(sightings: Iterable[Sighting]) -> dict[int, list[Sighting]]:
    by_face: dict[int, list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        by_face[sighting.face_id].append(sighting)
    return by_face


def _moved(part: FacePart, found: Sequence[tuple[float, int | None]], starts: set[float]) -> Counter[int]:
    """Return the tracks that now show what a part of a track showed, and how many sightings say so."""
    end = min((start for start in starts if start > part.start_seconds), default=float("inf"))
    inside = [track for seconds, track in found if part.start_seconds <= seconds < end]
    return Counter(track for track in inside if track is not None)


def _cuts(
    track: int, claims: Sequence[tuple[float, int, int]], rows: Sequence[Row], problems: dict[int, tuple[str, str]]
) -> tuple[Cut, ...]:
    """Return whose a track is from when on; of several rows that claim the same, the one seen most, then the first."""
    cuts = [] if any(start == 0 for start, _, _ in claims) else [Cut(start_seconds=0.0, row=-1)]
    for start in sorted({start for start, _, _ in claims}):
        rivals = sorted((-votes, rows[row].line, row) for at, row, votes in claims if at == start)
        winner = rivals[0][2]
        for votes, _, row in rivals[1:]:
            if votes == rivals[0][0] and row != winner:
                problems[row] = ("face_ids", f"face {track} stands in row {rows[winner].line}, too, which counts")
        if not cuts or cuts[-1].row != winner:
            cuts.append(Cut(start_seconds=start, row=winner))
    return tuple(cuts)


class _Places:
    """Looks up which track was at a place at a time."""

    def __init__(self, clip: ClipResult) -> None:
        self._pts = clip.frames.pts_seconds
        self._kept = np.flatnonzero(clip.timeline.track_id >= 0)
        self._frame_row = clip.timeline.frame_row[self._kept]
        self._tracks = clip.timeline.track_id[self._kept]
        self._xyxy = clip.faces.xyxy
        order = np.lexsort((self._frame_row, self._tracks))
        tracks, first = np.unique(self._tracks[order], return_index=True)
        last = np.append(first[1:], len(order)) - 1
        seconds = self._pts[self._frame_row[order[last]]] if len(order) else np.empty(0)
        self.last_seconds: dict[int, float] = dict(zip(tracks.tolist(), seconds.tolist(), strict=True))

    def track_at(self, sighting: Sighting) -> int | None:
        """Return the track whose box was there; None where there is none."""
        if not len(self._pts):
            return None
        frame = int(np.abs(self._pts - sighting.seconds).argmin())
        if abs(float(self._pts[frame]) - sighting.seconds) > _MAX_SECONDS:
            return None
        rows = slice(*np.searchsorted(self._frame_row, [frame, frame + 1]))
        left, top, width, height = sighting.box
        boxes = self._xyxy[self._kept[rows]].astype(np.float64)  # (n, 4)
        here = np.array([left, top, left + width, top + height], np.float64)
        sides = np.minimum(boxes[:, 2:], here[2:]) - np.maximum(boxes[:, :2], here[:2])
        shared = sides.clip(0).prod(axis=1)
        iou = shared / ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + width * height - shared).clip(1e-9)
        best = int(iou.argmax()) if len(iou) else -1
        return int(self._tracks[rows][best]) if best >= 0 and iou[best] >= _MIN_IOU else None
