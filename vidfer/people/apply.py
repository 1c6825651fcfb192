"""From what was found and what a user decided to who is who in a clip: its roster, and its rows of people.csv."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vidfer.config import PeopleConfig
from vidfer.people.face_ids import SLACK_SECONDS, FacePart, format_face_ids
from vidfer.people.figures import Figures, figures_of, sightings_of
from vidfer.people.following import Cut, follow
from vidfer.people.roles import Verdict, propose
from vidfer.people.table import Proposal, Row, proposal_cell, sightings_cell
from vidfer.types import ClipResult, EmotionSegment, EmotionTimeline, Person, Roster, SampledFrames
from vidfer.types.validation import rows_by_number

FindSegments = Callable[[EmotionTimeline, SampledFrames], tuple[EmotionSegment, ...]]
GONE = "fits nobody in this clip"


@dataclass(kw_only=True)
class _Group:
    """Faces that stand in one row of the table."""

    row: Row | None
    parts: list[FacePart] = field(default_factory=list)
    faces: list[np.ndarray] = field(default_factory=list)  # rows of the clip's faces
    linked: set[int] = field(default_factory=set)  # people that tracks were linked to
    number: int = -1

    @property
    def name(self) -> str:
        return self.row.name if self.row else ""


def with_roster(
    clip: ClipResult,
    rows: Sequence[Row] = (),
    *,
    config: PeopleConfig,
    find_segments: FindSegments,
    picture: str = "",
) -> tuple[ClipResult, tuple[str, ...]]:
    """Return a clip that knows its people, and what does not fit in the user's rows, one line each.

    Parameters
    ----------
    clip
        As the stages gave it.
    rows
        Its rows of people.csv; none: as proposed.
    config
        Who counts where nobody has said.
    find_segments
        Finds the episodes of tracks that are cut.
    picture
        What the table says of the file with the people's pictures.
    """
    linked = clip.people.person_id if clip.people is not None else clip.timeline.track_id
    followed = follow(clip, rows)
    problems = [_problem(rows[number], *what) for number, what in followed.problems.items()]
    groups = _groups(clip, rows, followed.cuts, linked)
    people, clashes = _people(clip, groups)
    problems += clashes
    figures = {number: figures_of(clip, _rows(of)) for number, of in people.items()}
    verdicts = propose(figures, config)
    person_id = np.full(len(linked), -1, np.int32)
    roster_people = []
    for number, of in people.items():
        person_id[_rows(of)] = number
        person, contradictions = _person(number, of, figures[number], verdicts[number], linked=clip.people is not None)
        roster_people.append(person)
        problems += contradictions
    roster_people = _told_apart(roster_people)
    by_number = {person.number: person for person in roster_people}
    whole = _whole_parts(clip, linked)
    cells = [
        _cells(clip, group, by_number[number], verdicts[number], whole.get(group.number, ()), picture)
        for number, of in people.items()
        for group in of
    ]
    owned = {id(group.row) for group in groups}
    cells += [
        {**row.cells, "clip": clip.clip_id, "reason": GONE}
        for row in rows
        if row.says_something and id(row) not in owned
    ]
    roster = Roster(person_id=person_id, people=tuple(roster_people), rows=tuple(cells))
    return replace(
        clip,
        roster=roster,
        people=replace(clip.people, person_id=person_id) if clip.people is not None else None,
        segments=_cut_segments(clip, followed.cuts, find_segments),
    ), tuple(problems)


def _problem(row: Row, column: str, text: str) -> str:
    return f"people.csv: row {row.line}, column {column}: {text}"


def _groups(
    clip: ClipResult, rows: Sequence[Row], cuts: Mapping[int, tuple[Cut, ...]], linked: np.ndarray
) -> list[_Group]:
    """Divide the clip's faces: what rows claim, then by person what is left; numbered."""
    claimed: dict[int, _Group] = {}
    left: dict[int, list[tuple[FacePart, np.ndarray]]] = defaultdict(list)  # by linked person
    for track, faces in rows_by_number(clip.timeline.track_id):
        seconds = clip.frames.pts_seconds[clip.timeline.frame_row[faces]]
        of_track = cuts.get(track, (Cut(start_seconds=0.0, row=-1),))
        edges = np.searchsorted(seconds, [cut.start_seconds - SLACK_SECONDS for cut in of_track])
        for cut, mine in zip(of_track, np.split(faces, edges[1:]), strict=True):
            part = FacePart(track, cut.start_seconds)
            if not len(mine):
                continue
            if cut.row < 0:
                left[int(linked[mine[0]])].append((part, mine))
                continue
            group = claimed.setdefault(cut.row, _Group(row=rows[cut.row]))
            group.parts.append(part)
            group.faces.append(mine)
            group.linked.add(int(linked[mine[0]]))
    groups = list(claimed.values())
    for person, pieces in left.items():
        kept = [g for g in claimed.values() if person in g.linked and g.row is not None and not g.row.is_regrouped]
        group = kept[0] if len(kept) == 1 and all(part.start_seconds == 0 for part, _ in pieces) else _Group(row=None)
        if group.row is None:
            groups.append(group)
        group.parts += [part for part, _ in pieces]
        group.faces += [mine for _, mine in pieces]
        group.linked.add(person)
    for group in groups:
        group.parts.sort()
    _number(groups, first_free=int(linked.max(initial=-1)) + 1)
    return groups


def _number(groups: list[_Group], *, first_free: int) -> None:
    """Give each group the number of its linked person, as far as that is free; order the groups by it."""
    taken: set[int] = set()
    groups.sort(key=lambda group: (min(int(faces[0]) for faces in group.faces), group.parts))
    for group in groups:
        number = min(group.linked - taken, default=-1)
        if number < 0:
            number, first_free = first_free, first_free + 1
        group.number = number
        taken.add(number)
    groups.sort(key=lambda group: group.number)


def _rows(groups: Sequence[_Group]) -> np.ndarray:
    return np.sort(np.concatenate([faces for group in groups for faces in group.faces]))


def _people(clip: ClipResult, groups: Sequence[_Group]) -> tuple[dict[int, list[_Group]], list[str]]:
    """Join groups of one name to people by number; two that are seen in one frame are two."""
    people: dict[int, list[_Group]] = {}
    named: dict[str, int] = {}
    problems = []
    for group in groups:
        number = named.get(group.name, -1) if group.name else -1
        if number >= 0:
            mine, theirs = (clip.timeline.frame_row[_rows(of)] for of in ([group], people[number]))
            both = np.intersect1d(mine, theirs)
            if len(both):
                assert group.row is not None
                at = float(clip.frames.pts_seconds[both[0]])
                others = format_face_ids(part for of in people[number] for part in of.parts)
                text = f"{group.name!r} is face {others}, too, and both are seen at {at:.2f} s: they stay two people"
                problems.append(_problem(group.row, "name", text))
                number = -1
        if number >= 0:
            people[number].append(group)
        else:
            people[group.number] = [group]
            if group.name:
                named.setdefault(group.name, group.number)
    return people, problems


def _person(
    number: int, groups: Sequence[_Group], figures: Figures, verdict: Verdict, *, linked: bool
) -> tuple[Person, list[str]]:
    rows = [group.row for group in groups if group.row is not None]
    roles = [row.edited_role for row in rows if row.edited_role is not None]
    said = [(row, row.edited_include) for row in rows if row.edited_include is not None]
    include = any(yes for _, yes in said) if said else verdict.include
    problems = [
        _problem(row, "include", f"another row of {row.name!r} says {'yes' if include else 'no'}, which counts")
        for row, yes in said
        if yes != include
    ]
    face_ids = format_face_ids(sorted(part for group in groups for part in group.parts))
    name = next((group.name for group in groups if group.name), "")
    plain = f"face {number}" if not linked and face_ids == str(number) else f"person {number}"
    return Person(
        number=number,
        label=name or plain,
        name=name,
        role=roles[0] if roles else verdict.role,
        include=include,
        reason=verdict.reason if not include and not said else "",
        face_ids=face_ids,
        median_size_px=figures.median_size_px,
        still_share=figures.still_share,
    ), problems


def _told_apart(people: Sequence[Person]) -> list[Person]:
    """Give people of one name, who are two, labels that differ."""
    used = Counter(person.label for person in people)
    return [
        replace(person, label=f"{person.label} ({person.number})") if used[person.label] > 1 else person
        for person in people
    ]


def _whole_parts(clip: ClipResult, linked: np.ndarray) -> dict[int, tuple[FacePart, ...]]:
    """Return the tracks of each linked person."""
    kept = np.flatnonzero(clip.timeline.track_id >= 0)
    pairs = np.unique(np.stack([linked[kept], clip.timeline.track_id[kept]], axis=1), axis=0)
    whole: dict[int, tuple[FacePart, ...]] = defaultdict(tuple)
    for person, track in pairs.tolist():
        whole[person] += (FacePart(track, 0.0),)
    return dict(whole)


def _cells(
    clip: ClipResult, group: _Group, person: Person, verdict: Verdict, whole: tuple[FacePart, ...], picture: str
) -> dict[str, str]:
    """Return a group's row of people.csv."""
    figures, row = figures_of(clip, _rows([group])), group.row
    quality = figures.mean_quality
    cells = {
        "clip": clip.clip_id,
        "person": str(person.number),
        "face_ids": format_face_ids(group.parts),
        "name": group.name,
        "role": person.role,
        "include": "yes" if person.include else "no",
        "reason": person.reason,
        "first_seconds": f"{figures.first_seconds:.2f}",
        "last_seconds": f"{figures.last_seconds:.2f}",
        "seconds_on_screen": f"{figures.seconds_on_screen:.2f}",
        "frames": str(figures.frames),
        "median_size_px": f"{figures.median_size_px:.0f}",
        "mean_quality": "" if np.isnan(quality) else f"{quality:.2f}",
        "still_share": f"{figures.still_share:.2f}",
        "picture": picture,
        "proposed": proposal_cell(Proposal(verdict.include, verdict.role, whole)),
        "seen_at": sightings_cell(sightings_of(clip, _rows([group]))),
    }
    if row is not None:
        cells |= row.further_cells | {column: row.cells[column] for column in row.unread}
    return cells


def _cut_segments(
    clip: ClipResult, cuts: Mapping[int, tuple[Cut, ...]], find_segments: FindSegments
) -> tuple[EmotionSegment, ...]:
    """Return the clip's episodes, found anew in tracks of which one part is one person's, another another's."""
    divided = {track: of for track, of in cuts.items() if len(of) > 1}
    if not divided:
        return clip.segments
    seconds = clip.frames.pts_seconds[clip.timeline.frame_row]
    track_of: list[int] = []
    piece_id = np.full(len(seconds), -1, np.int32)
    for track, of in divided.items():
        for cut in of:  # the later ones go over the earlier
            piece_id[(clip.timeline.track_id == track) & (seconds >= cut.start_seconds - SLACK_SECONDS)] = len(track_of)
            track_of.append(track)
    found = find_segments(replace(clip.timeline, track_id=piece_id), clip.frames)
    segments = [segment for segment in clip.segments if segment.track_id not in divided]
    segments += [replace(segment, track_id=track_of[segment.track_id]) for segment in found]
    return tuple(sorted(segments, key=lambda segment: (segment.track_id, segment.start_seconds)))
