"""Run a study over saved results: tables, comparisons, pictures, page and methods, the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from vidfer.engine.people import read_edits
from vidfer.errors import ConfigError, DataError, OutputError
from vidfer.registry import unknown_name
from vidfer.spreadsheet import guarded
from vidfer.store.journal import Records
from vidfer.store.layout import journal_file
from vidfer.store.outputs import write_if_changed
from vidfer.study.assignment import LeftOut, Part, assign, conditions_of
from vidfer.study.comparisons import compare, compare_courses, mixed_models
from vidfer.study.courses import Course, find_clips, read_courses
from vidfer.study.events import Event, clip_events, read_events
from vidfer.study.measures import MEANINGS, OF_EMOTIONS, clip_table, participant_table, words_of
from vidfer.study.methods import methods_text
from vidfer.study.page import render_page
from vidfer.study.pictures import (
    course_picture,
    estimate_picture,
    heat_picture,
    participant_courses,
    saved,
    share_picture,
)
from vidfer.study.settings import StudySettings, load_study
from vidfer.study.windows import aligned_table, event_tables

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_PARQUET_ONLY = frozenset({"aligned", "event_courses"})
_PAGE_MM = 180  # of the pictures in study.html: the widest
_MOST_TYPES = 12  # of events that are drawn


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a study found.

    Attributes
    ----------
    settings, conditions
        The study file, and the conditions in order.
    courses
        One per participant and part of a clip.
    tables
        By name; columns are in columns.csv.
    left
        What did not enter, and why.
    notes
        What a reader must know.
    """

    settings: StudySettings
    conditions: tuple[str, ...]
    courses: tuple[Course, ...]
    tables: Mapping[str, pd.DataFrame]
    left: tuple[LeftOut, ...]
    notes: tuple[str, ...] = field(default=())


def run_study(
    results: str | Path, study: str | Path, *, out: str | Path | None = None, exports: Sequence[str] = ()
) -> Study:
    """Do what ``vidfer study run`` does.

    Parameters
    ----------
    results
        A results folder of ``vidfer process``; only its tables are read.
    study
        The study file.
    out
        Where tables, pictures, study.html and methods.md go; by default ``study`` in the results folder.
    exports
        Further formats: ``bids``.

    Raises
    ------
    ConfigError, DataError
        The study file, or a table or event file that it names, is wrong; with row and column.
    OutputError
        There are no results, or a file cannot be written.
    """
    results, settings = Path(results), load_study(study)
    out = Path(out) if out else results / "study"
    if (out / "segments.csv").is_file() or (out / "timeline.csv").is_file():
        raise OutputError(f"{out} holds the results of a clip: choose another --out")
    found = analyse(results, settings, folder=Path(study).parent)
    for name, data in _files(found, results, out):
        write_if_changed(out / name, data)
    if "bids" in exports:
        from vidfer.study.bids import bids_files

        for name, data in bids_files(found).items():
            write_if_changed(out / "bids" / name, data)
    return found


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
    courses = tuple(read_courses(settings, clips, parts, people, left))
    if not courses:
        raise DataError(f"no clip is left: {left[-1].name}: {left[-1].reason}")
    left += _incomplete(settings, conditions, parts, courses)
    analysis, seed = settings.analysis, settings.study.seed
    participants = participant_table(courses)
    _check_measures(participants, analysis.measures)
    tables = {"participants": participants, "clips": clip_table(courses)}
    tables["aligned"] = aligned_table(courses, hz=analysis.hz)
    dependent = _dependent(courses)
    tables["comparisons"] = compare(participants, conditions, analysis, seed=seed, dependent=dependent)
    notes = [*people.table.problems, *sorted({note for course in courses for note in course.notes})]
    notes += [dependent] if dependent else []
    if events:
        of_course, outside = clip_events(events, courses, settings.events, _audio_start(results))
        left += outside
        tables |= _event_tables(settings, courses, of_course, conditions, notes)
    if analysis.mixed_model:
        clip_measures = participant_table(courses, by_clip=True)
        tables["mixed_models"] = mixed_models(clip_measures, analysis, settings.clips.covariates)
    return Study(
        settings=settings,
        conditions=conditions,
        courses=courses,
        tables=tables,
        left=tuple(left),
        notes=tuple(notes),
    )


def _incomplete(
    settings: StudySettings, conditions: Sequence[str], parts: Sequence[Part], courses: Sequence[Course]
) -> Iterator[LeftOut]:
    """Yield the participants of whom nothing is left, and in a paired design those who lack a condition."""
    of: dict[str, set[str]] = {part.participant: set() for part in parts}
    for course in courses:
        of[course.part.participant].add(course.part.condition)
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
    courses: Sequence[Course],
    events: Sequence[Sequence[Event]],
    conditions: Sequence[str],
    notes: list[str],
) -> dict[str, pd.DataFrame]:
    of_events, event_courses = event_tables(courses, events, settings.events, hz=settings.analysis.hz)
    clusters, why_not = compare_courses(event_courses, conditions, settings.analysis, seed=settings.study.seed)
    notes += why_not
    return {"events": of_events, "event_courses": event_courses, "clusters": clusters}


def _dependent(courses: Sequence[Course]) -> str:
    """Return which observations are of one video, as if copies or pieces of it were samples; empty for none."""
    of: dict[str, list[Part]] = {}
    for course in courses:
        if digest := course.summary.get("fingerprint"):
            of.setdefault(str(digest), []).append(course.part)
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


def _files(study: Study, results: Path, out: Path) -> Iterator[tuple[str, bytes]]:
    import pandas as pd

    left = [{"what": one.what, "name": one.name, "reason": one.reason} for one in study.left]
    tables = {**study.tables, "left_out": pd.DataFrame(left, columns=["what", "name", "reason"])}
    for name, table in tables.items():
        if name not in _PARQUET_ONLY:
            yield f"{name}.csv", table_csv(table)
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        yield f"{name}.parquet", buffer.getvalue()
    meanings = pd.read_csv(Path(__file__).with_name("columns.csv"))
    measures = pd.DataFrame({"table": "participants", "column": MEANINGS.keys(), "meaning": MEANINGS.values()})
    meanings = pd.concat([meanings, measures[measures["column"].isin(study.tables["participants"].columns)]])
    yield "columns.csv", table_csv(meanings[meanings["table"].isin(tables)])
    shown, pictures = {}, study.settings.pictures
    for name, heading, draw in _pictures(study):
        for width in sorted({*pictures.widths_mm, _PAGE_MM}):
            wanted = pictures.formats if width in pictures.widths_mm else ()
            files = saved(draw(width), {*wanted, *(["svg"] if width == _PAGE_MM else [])})
            for suffix in wanted:
                yield f"pictures/{name}_{width}mm.{suffix}", files[suffix]
        shown[name] = (heading, files["svg"])
    yield "study.html", render_page(study, shown, folders=find_clips(results), out=out)
    yield "methods.md", methods_text(study, results)


def table_csv(table: pd.DataFrame) -> bytes:
    """Return a table as CSV: UTF-8, six significant digits, names that no spreadsheet takes for formulas."""
    text = [name for name in table.columns if table[name].dtype.kind not in "fiub"]
    table = table.assign(**{name: table[name].map(guarded) for name in text})
    written: str = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return written.encode(errors="backslashreplace")


def _pictures(study: Study) -> Iterator[tuple[str, str, Callable[[int], Figure]]]:
    """Yield name, heading and what draws the picture in a width."""
    settings, conditions, tables = study.settings, study.conditions, study.tables
    emotions, seed, alpha = settings.analysis.emotions, settings.study.seed, settings.analysis.alpha
    yield "share", "Share of time per condition", lambda mm: share_picture(tables["participants"], conditions, mm)
    measures = settings.analysis.measures
    panels = {
        f"estimates_{name}": [(name, emotion) for emotion in emotions] for name in measures if name in OF_EMOTIONS
    }
    panels["estimates_people"] = [(name, "") for name in measures if name not in OF_EMOTIONS]
    for name, of in panels.items():
        if of:
            what = words_of(of[0][0]) if of[0][1] else ", ".join(words_of(measure) for measure, _ in of)
            yield (
                name,
                f"Every participant: {what}",
                partial(
                    estimate_picture, tables["participants"], tables["comparisons"], of, conditions,
                    paired=settings.analysis.design == "paired",
                ),
            )  # fmt: skip
    stacks = [participant_courses(tables["aligned"], name) for name in conditions]
    yield (
        "courses",
        f"Course per condition: mean over participants, bootstrap band ({1 - alpha:.0%})",
        partial(course_picture, stacks, conditions, emotions, seed=seed, alpha=alpha),
    )
    events = tables.get("event_courses", tables["aligned"].head(0))
    for place, (kind, of_type) in enumerate(events.groupby("type", sort=True) if len(events) else ()):
        if place < _MOST_TYPES:
            around = [participant_courses(of_type, name) for name in conditions]
            clusters = tables["clusters"][tables["clusters"]["type"] == kind]
            yield (
                f"event_{place + 1}",
                f"Around {kind}: change from before, mean over participants; bar: p < {alpha:g}",
                partial(course_picture, around, conditions, emotions, seed=seed, alpha=alpha, clusters=clusters),
            )
    yield "participants", "Every participant over time", partial(heat_picture, stacks, conditions, emotions)
