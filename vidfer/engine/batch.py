"""The files of a whole batch: summary.csv, failures.csv, index.html, and what the pages of all clips share."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import vidfer
from vidfer.config import PipelineConfig
from vidfer.engine.across import Across, people_across
from vidfer.engine.people import PEOPLE_READ, PEOPLE_ROWS, PeopleWriter
from vidfer.engine.plan import EDITS, NUMBERS, KeyPlans
from vidfer.exporters import EXPORTERS, Output
from vidfer.exporters.batch_tables import failures_csv, summary_csv, summary_people_csv
from vidfer.report.chart_options import ChartSize
from vidfer.report.index import render_index
from vidfer.report.page import CLIPS
from vidfer.report.report_data import script_json
from vidfer.store.atomic import write_bytes
from vidfer.store.journal import MANY_CLIPS, ClipRecord, Records, SomeRecords
from vidfer.store.layout import PEOPLE_FILE, batch_file, journal_file
from vidfer.store.outputs import write_if_changed

Align = Literal["start", "fraction"]
MAX_LISTED = 1000  # clips on the start page: 11 MB, which a browser still sorts at once
ROWS_PER_PIECE = 1000
PICTURES = ("batch_share.png", "batch_average.png")
FILES = ("summary.csv", "summary_people.csv", PEOPLE_FILE, "failures.csv", "index.html")
VERSION = 3  # bumped by hand when the files of the same clips change


def records_of_batch(
    out: Path, records: Records, config: PipelineConfig, *, named: Mapping[str, str] | None = None
) -> SomeRecords:
    """Return what the files of the batch tell of, by clip id: all that was done here, whichever command did it.

    A clip of another command counts as long as its folder is there and was made by these settings, or it failed and its
    video is there. A video counts once, as the last command called it; so does one that has moved.

    Parameters
    ----------
    out
        The results folder.
    records
        Everything that it knows.
    config
        The settings of this command.
    named
        The path of each clip that this command named; all of them count. None: it named no videos, which may be out of
        reach, so failures count as well.
    """
    videos_out_of_reach, named = named is None, named or {}
    others = [clip_id for clip_id in records.by_age() if clip_id not in named]
    if not others:
        return SomeRecords(records, tuple(sorted(named)))
    checks_files = len(others) <= MANY_CLIPS
    plans, paths_named = KeyPlans(config), set(named.values())

    def counts(record: ClipRecord) -> bool:
        if record.path in paths_named:
            return False
        if record.status == "failed":
            return videos_out_of_reach or not checks_files or os.path.isfile(record.path)
        same_figures = record.keys.get(NUMBERS) == plans.keys_now(record)[NUMBERS]
        return same_figures and (not checks_files or not record.files or os.path.isdir(out / record.clip_id))

    heads = (records.head(clip_id) for clip_id in others)
    last_at = {record.path: record for record in heads if record is not None and counts(record)}
    if checks_files:
        last_at = _without_moved(last_at, (records[clip_id].fingerprint for clip_id in named))
    return SomeRecords(records, tuple(sorted([*named, *(record.clip_id for record in last_at.values())])))


def _without_moved(by_path: dict[str, ClipRecord], elsewhere: Iterable[str]) -> dict[str, ClipRecord]:
    """Leave out videos that are no longer where they were and whose content is at another path, or ``elsewhere``."""
    here = {path for path in by_path if os.path.isfile(path)}
    if len(here) == len(by_path):
        return by_path
    contents = {*elsewhere, *(by_path[path].fingerprint for path in here)}
    return {path: record for path, record in by_path.items() if path in here or record.fingerprint not in contents}


def write_batch_files(
    out: Path, records: Sequence[ClipRecord], config: PipelineConfig, *, exports: Iterable[str]
) -> tuple[str, ...]:
    """Write what stands next to the clips' folders, leaving alone what has not changed; return notes on people.csv.

    Where neither the journal nor a file has been touched since they were written from it, no record is read.

    Parameters
    ----------
    out
        The results folder.
    records
        The clips that the files tell of, in order.
    config
        The settings of the clips; of them ``[people]`` counts here.
    exports
        Names of the exporters that were used: links and shared files depend on them.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    exporters = [EXPORTERS.get(name) for name in exports]
    shared = {name: data for exporter in exporters for name, data in exporter.shared_files().items()}
    shared_names = (*shared, CLIPS) if "report.html" in _filenames(exporters) else tuple(shared)
    files = [out / name for name in (*FILES, *shared_names)]
    made_by = [[exporter.name, exporter.version] for exporter in exporters]
    origin = _origin(out, records, [made_by, config.people.model_dump(mode="json")])
    if origin and _are_of(batch_file(out), origin, files):
        return ()
    listed: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    known = records.records if isinstance(records, SomeRecords) else {record.clip_id: record for record in records}
    across = people_across(out, records, config) if config.people.compares_clips else None
    people = PeopleWriter(out, known, across)
    people_rows = [summary_people_csv((), {} if across else None)]
    write_if_changed(
        out / "summary.csv", _summary_table(_summaries(records, listed, failures, people, people_rows, across))
    )
    write_if_changed(out / "summary_people.csv", b"".join(people_rows))
    write_if_changed(out / "failures.csv", failures_csv(failures))
    page = render_index(
        listed,
        failures[:MAX_LISTED],
        title=_title(len(records), len(listed), len(failures)),
        files=_filenames(exporters),
        pictures=[name for name in PICTURES if (out / name).is_file()],
    )
    write_if_changed(out / "index.html", page)
    for name, data in shared.items():
        write_if_changed(out / name, data)
    if CLIPS in shared_names:
        names = script_json([summary["clip"] for summary in listed])
        write_if_changed(out / CLIPS, f"window.vidferClips = {names};\n".encode(errors="backslashreplace"))
    notes = people.write()
    if origin and not notes:
        write_bytes(batch_file(out), json.dumps({"origin": origin, "files": _stamps(files)}).encode())
    return notes


def _filenames(exporters: Sequence[Output]) -> list[str]:
    return [name for exporter in exporters for name in exporter.filenames]


def _origin(out: Path, records: Sequence[ClipRecord], made_by: list[Any]) -> list[Any]:
    """Return what the files follow from, as far as it is known without reading a record; else empty."""
    journal = _stamps([journal_file(out)])
    if not isinstance(records, SomeRecords) or None in journal:
        return []
    clips = hashlib.sha256(json.dumps(records.clip_ids).encode()).hexdigest()
    pictures = [(out / name).is_file() for name in PICTURES]
    return [vidfer.__version__, VERSION, clips, journal, made_by, pictures]


def _are_of(note: Path, origin: list[Any], files: Sequence[Path]) -> bool:
    """Return whether the files are untouched since they were written from this origin."""
    with suppress(OSError, ValueError, RecursionError):
        known = json.loads(note.read_bytes())
        stamps = _stamps(files)
        return bool(None not in stamps and known == json.loads(json.dumps({"origin": origin, "files": stamps})))
    return False


def _stamps(files: Iterable[Path]) -> list[tuple[int, int] | None]:
    """Return size in bytes and mtime in nanoseconds of each file; None for one that is not there, or is a link."""
    stamps: list[tuple[int, int] | None] = []
    for path in files:
        stamps.append(None)
        with suppress(OSError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                stamps[-1] = (status.st_size, status.st_mtime_ns)
    return stamps


def _summary_table(summaries: Iterator[dict[str, Any]]) -> bytes:
    """Return summary.csv, put together from pieces, since one text of it would be in memory several times over."""
    pieces = [summary_csv(islice(summaries, ROWS_PER_PIECE))]
    while rows := summary_csv(islice(summaries, ROWS_PER_PIECE)).partition(b"\n")[2]:  # without its header
        pieces.append(rows)
    return b"".join(pieces)


def _summaries(
    records: Iterable[ClipRecord],
    listed: list[dict[str, Any]],
    failures: list[dict[str, Any]],
    people: PeopleWriter,
    people_rows: list[bytes],
    across: Across | None,
) -> Iterator[dict[str, Any]]:
    """Yield the summaries of finished clips one by one, keeping the first for the start page, failures and people."""
    for record in records:
        if record.status == "failed":
            failures.append(record.failure)
            continue
        if len(listed) < MAX_LISTED:
            listed.append(record.summary)
        summary = record.summary
        made_by = (record.keys.get(EDITS, ""), summary.get(PEOPLE_READ, ""))
        people.add(record.clip_id, summary.get(PEOPLE_ROWS, ()), made_by)
        same = across.cells.get(record.clip_id, {}) if across else None
        people_rows.append(summary_people_csv([summary], same).partition(b"\n")[2])
        yield summary


def _title(num_clips: int, num_listed: int, num_failed: int) -> str:
    if num_clips <= num_listed + min(num_failed, MAX_LISTED):
        return "vidfer results"
    return f"vidfer results: the first of {num_clips:,} clips, all of which are in summary.csv and failures.csv"


def write_batch_pictures(out: Path, records: Sequence[ClipRecord], *, align: Align, size: ChartSize) -> None:
    """Draw the clips side by side and averaged; for fewer than two finished clips nothing is written.

    Parameters
    ----------
    out, records
        As for ``write_batch_files``.
    align
        How clips are laid over each other: ``report.batch_chart.average_chart``.
    size
        For a screen or a paper.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    from vidfer.report.batch_chart import average_chart, share_chart

    done = [record.summary for record in records if record.status == "ok"]
    time_courses = [summary["course"] for summary in done]
    if len(time_courses) < 2:
        return
    write_if_changed(out / "batch_share.png", share_chart(done, size=size))
    write_if_changed(out / "batch_average.png", average_chart(time_courses, align=align, size=size))


def exported_files(config: PipelineConfig) -> list[str]:
    """Return the names of the files in each clip's folder; raises ConfigError for an exporter that does not exist."""
    return [name for export in config.exports for name in EXPORTERS.get(export).filenames]
