"""Which clip, or which part of it, shows which participant in which condition."""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from vidfer.errors import DataError
from vidfer.study.rows import Row, read_rows
from vidfer.study.settings import StudySettings

ONLY_CONDITION = "all"  # where the study has none
CLIP_COLUMNS = ("person", "condition", "start_seconds", "end_seconds")
MAX_NAMED = 5  # problems in one message


@dataclass(frozen=True, kw_only=True)
class Part:
    """A clip, or a stretch [start, end) of it, that shows one participant in one condition.

    Attributes
    ----------
    clip, participant, condition
        Names; ``person`` is whom of the clip it is about (a number or a name of people.csv), empty: see ``person.py``.
    start_seconds, end_seconds
        From the clip's first frame; 0 and infinity: the whole clip.
    covariates
        Of participant and clip, as text.
    where
        The row that says so, empty where the clip's name does.
    """

    clip: str
    participant: str
    condition: str
    person: str = ""
    start_seconds: float = 0.0
    end_seconds: float = float("inf")
    covariates: dict[str, str] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What does not enter, as in left_out.csv: ``what`` it is (clip, participant, event, ...), its name, and why."""

    what: str
    name: str
    reason: str


def assign(settings: StudySettings, clips: Sequence[str], folder: Path) -> tuple[list[Part], list[LeftOut]]:
    """Say for each clip whom it shows in which condition.

    Parameters
    ----------
    settings, folder
        The study file, and the folder that its paths start from.
    clips
        Names of the finished clips.

    Returns
    -------
    The parts, ordered by participant, condition and clip; and what does not fit: clips without a participant, rows
    without a clip, participants without a clip.

    Raises
    ------
    DataError
        Conditions that overlap in a clip, a participant in both arms of an unpaired design, a table that is wrong.
    """
    wanted = [clip for clip in clips if not any(fnmatch.fnmatchcase(clip, one) for one in settings.clips.exclude)]
    left = [
        LeftOut(what="clip", name=clip, reason="excluded in the study file") for clip in clips if clip not in wanted
    ]
    left += [
        LeftOut(what="pattern", name=one, reason="[clips] exclude: it fits no clip")
        for one in settings.clips.exclude
        if not any(fnmatch.fnmatchcase(clip, one) for clip in clips)
    ]
    parts = _by_table(settings, folder) if settings.clips.table else _by_pattern(settings, wanted)
    known = set(clips)
    unknown = [part for part in parts if part.clip not in known]
    left += [LeftOut(what="clip", name=one.clip, reason=f"{one.where}: there are no results of it") for one in unknown]
    parts = [part for part in parts if part.clip in set(wanted)]
    shown = {part.clip for part in parts}
    how = "the table has no row for it" if settings.clips.table else "the pattern does not fit its name"
    left += [LeftOut(what="clip", name=clip, reason=f"no participant: {how}") for clip in wanted if clip not in shown]
    parts, unseen = _with_participants(settings, parts, folder)
    left += unseen
    order = settings.analysis.conditions
    if order:
        found = {part.condition for part in parts}
        missing = [name for name in order if name not in found]
        if missing:
            raise DataError(
                f"[analysis] conditions: no clip is in {', '.join(missing)}; found: {', '.join(sorted(found))}"
            )
        other = [part for part in parts if part.condition not in order]
        left += [LeftOut(what="clip", name=p.clip, reason=f"condition {p.condition} is not compared") for p in other]
        parts = [part for part in parts if part.condition in order]
    _check_overlaps(parts)
    if settings.analysis.design == "unpaired":
        _check_arms(parts)
    return sorted(parts, key=lambda p: (p.participant, p.condition, p.clip, p.start_seconds)), left


def conditions_of(settings: StudySettings, parts: Sequence[Part]) -> tuple[str, ...]:
    """Return the conditions in the order of the study file, or sorted; the first is the reference."""
    return settings.analysis.conditions or tuple(sorted({part.condition for part in parts}))


def _by_pattern(settings: StudySettings, clips: Sequence[str]) -> list[Part]:
    pattern = re.compile(settings.clips.pattern)
    parts = []
    for clip in clips:
        match = pattern.fullmatch(clip)
        if match and match["participant"]:
            condition = match.groupdict().get("condition") or ONLY_CONDITION
            parts.append(Part(clip=clip, participant=match["participant"], condition=condition))
    return parts


def _by_table(settings: StudySettings, folder: Path) -> list[Part]:
    rows = read_rows(folder / settings.clips.table, ("clip", "participant"), CLIP_COLUMNS)
    _check_columns(settings, rows, folder)
    parts = []
    has_conditions = any(row.text("condition") for row in rows)
    for row in rows:
        if has_conditions and not row.text("condition"):
            raise DataError(f"{row.where}, column condition: empty, where other rows have one")
        start, end = row.number("start_seconds") or 0.0, row.number("end_seconds")
        if start < 0 or (end is not None and end <= start):
            raise DataError(f"{row.where}, column end_seconds: expected 0 <= start < end, got {start:g} to {end}")
        for column in ("clip", "participant"):
            if not row.text(column):
                raise DataError(f"{row.where}, column {column}: empty")
        parts.append(
            Part(
                clip=row.text("clip"),
                participant=row.text("participant"),
                condition=row.text("condition") or ONLY_CONDITION,
                person=row.text("person"),
                start_seconds=start,
                end_seconds=float("inf") if end is None else end,
                covariates={name: row.text(name) for name in settings.clips.covariates if name in row.cells},
                where=row.where,
            )
        )
    return parts


def _check_columns(settings: StudySettings, rows: Sequence[Row], folder: Path) -> None:
    columns = set(rows[0].cells) if rows else set()
    if settings.clips.participants:
        known = read_rows(folder / settings.clips.participants, ("participant",))
        columns |= set(known[0].cells) if known else set()
    for name in settings.clips.covariates:
        if name not in columns:
            raise DataError(
                f"[clips] covariates: no table has a column {name!r}; there are {', '.join(sorted(columns))}"
            )


def _with_participants(
    settings: StudySettings, parts: Sequence[Part], folder: Path
) -> tuple[list[Part], list[LeftOut]]:
    """Add what the table of participants says of each, and condition where that is one between participants."""
    if not settings.clips.participants:
        return list(parts), []
    rows = read_rows(folder / settings.clips.participants, ("participant",), ("condition",))
    of = {}
    for row in rows:
        if row.text("participant") in of:
            raise DataError(f"{row.where}, column participant: {row.text('participant')!r} is there already")
        of[row.text("participant")] = row
    if not settings.clips.table:
        _check_columns(settings, [], folder)
    left, known = [], []
    for part in parts:
        if (said := of.get(part.participant)) is None:
            reason = f"participant {part.participant} is not in {settings.clips.participants}"
            left.append(LeftOut(what="clip", name=part.clip, reason=reason))
            continue
        named = {name: said.text(name) for name in settings.clips.covariates if name in said.cells}
        between = said.text("condition")
        if between and part.condition not in (ONLY_CONDITION, between) and "condition" not in settings.clips.covariates:
            raise DataError(
                f"{said.where}, column condition: expected {part.condition!r}, which {part.clip} has, or nothing, "
                f"got {between!r}"
            )
        condition = between if between and part.condition == ONLY_CONDITION else part.condition
        known.append(replace(part, condition=condition, covariates={**named, **part.covariates}))
    seen = {part.participant for part in parts}
    left += [
        LeftOut(what="participant", name=name, reason=f"{row.where}: no clip shows this participant")
        for name, row in of.items()
        if name not in seen
    ]
    return known, left


def _check_overlaps(parts: Sequence[Part]) -> None:
    of_clip: dict[tuple[str, str], list[Part]] = defaultdict(list)
    for part in parts:
        of_clip[part.clip, part.person].append(part)
    problems = []
    for group in of_clip.values():
        group.sort(key=lambda part: part.start_seconds)
        for one, other in pairwise(group):
            if (other.start_seconds, other.end_seconds) == (one.start_seconds, one.end_seconds):
                problems.append(
                    f"{other.where}, column clip: {other.clip} is there twice ({one.where.rpartition(': ')[2]}), for "
                    f"{one.participant} in {one.condition} and {other.participant} in {other.condition}; two people of "
                    "one clip need the column person"
                )
            elif other.start_seconds < one.end_seconds:
                problems.append(
                    f"{other.where}, column start_seconds: {other.condition} begins at {other.start_seconds:g} s of "
                    f"{other.clip}, before {one.condition} ends ({one.where.rpartition(': ')[2]})"
                )
    _raise(problems, "conditions overlap; a moment belongs to one of them")


def _check_arms(parts: Sequence[Part]) -> None:
    arms: dict[str, dict[str, Part]] = defaultdict(dict)
    for part in parts:
        arms[part.participant].setdefault(part.condition, part)
    problems = [
        f"{participant} is in " + " and ".join(f"{name} ({p.where or p.clip})" for name, p in sorted(found.items()))
        for participant, found in sorted(arms.items())
        if len(found) > 1
    ]
    _raise(problems, 'column condition: in an unpaired design nobody is in two arms; is it design = "paired"?')


def _raise(problems: Sequence[str], what_to_do: str) -> None:
    if problems:
        more = f"; and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        raise DataError(f"{'; '.join(problems[:MAX_NAMED])}{more}: {what_to_do}")
