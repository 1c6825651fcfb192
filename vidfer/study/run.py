"""Writes what a study found: tables, pictures, the page, the paragraph for the methods section, further formats."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vidfer.errors import OutputError
from vidfer.spreadsheet import table_csv
from vidfer.store.outputs import write_if_changed
from vidfer.study.analysis import Study, analyse
from vidfer.study.bids import bids_files
from vidfer.study.measures import MEANINGS, OF_EMOTIONS, words_of
from vidfer.study.methods import methods_text
from vidfer.study.page import render_page
from vidfer.study.pictures import (
    estimate_picture,
    heat_picture,
    participant_time_courses,
    saved,
    share_picture,
    time_course_picture,
)
from vidfer.study.recordings import find_clips
from vidfer.study.settings import load_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PARQUET_ONLY = frozenset({"aligned", "event_courses"})
_PAGE_MM = 180  # of the pictures in study.html: the widest
_MAX_TYPES = 12  # of events that are drawn
_NOT_ALWAYS = ("events", "event_courses", "clusters", "mixed_models")  # tables
_PICTURE = re.compile(r"(share|estimates_\w+|courses|event_\d+|participants)_\d+mm\.\w+")


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
    written = set()
    for name, data in _files(found, results, out):
        write_if_changed(out / name, data)
        written.add(out / name)
    if "bids" in exports:
        for name, data in bids_files(found).items():
            write_if_changed(out / "bids" / name, data)
            written.add(out / "bids" / name)
    for path in _of_runs_before(out, bids="bids" in exports) - written:
        path.unlink()
    return found


def _of_runs_before(out: Path, *, bids: bool) -> set[Path]:
    """Return what not every study writes and lies in the folder: who was left out since shall not stay there."""
    tables = [name for name in _NOT_ALWAYS if (out / f"{name}.parquet").is_file()]  # a table alone is a user's own
    found = {out / f"{name}{suffix}" for name in tables for suffix in (".csv", ".parquet")}
    found |= {path for path in (out / "pictures").glob("*mm.*") if _PICTURE.fullmatch(path.name)}
    if bids:
        found |= set((out / "bids").glob("sub-*/beh/sub-*"))
    return {path for path in found if path.is_file()}


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
    stacks = [participant_time_courses(tables["aligned"], name) for name in conditions]
    yield (
        "courses",
        f"Course per condition: mean over participants, bootstrap band ({1 - alpha:.0%})",
        partial(time_course_picture, stacks, conditions, emotions, seed=seed, alpha=alpha),
    )
    events = tables.get("event_courses", tables["aligned"].head(0))
    for place, (kind, of_type) in enumerate(events.groupby("type", sort=True) if len(events) else ()):
        if place < _MAX_TYPES:
            around = [participant_time_courses(of_type, name) for name in conditions]
            clusters = tables["clusters"][tables["clusters"]["type"] == kind]
            yield (
                f"event_{place + 1}",
                f"Around {kind}: change from before, mean over participants; bar: p < {alpha:g}",
                partial(time_course_picture, around, conditions, emotions, seed=seed, alpha=alpha, clusters=clusters),
            )
    yield "participants", "Every participant over time", partial(heat_picture, stacks, conditions, emotions)
