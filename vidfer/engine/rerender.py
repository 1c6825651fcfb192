"""Write the files of finished clips again from what is cached: no video is opened, nothing is decoded."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidfer.config import PipelineConfig
from vidfer.engine.apexes import chart_options
from vidfer.engine.batch import Align, exported_files, records_of_batch, write_batch_files, write_batch_pictures
from vidfer.engine.clip import journal_summary
from vidfer.engine.events import ClipDone, ClipRead, EventCallback, ignore
from vidfer.engine.people import merge_people, read_edits, who_is_who
from vidfer.engine.plan import EDITS, NUMBERS, OUTPUTS, PROBE, KeyPlan, stage_keys
from vidfer.engine.status import config_of_last_run
from vidfer.errors import CacheError, OutputError
from vidfer.executors import EXECUTORS, plan_resources
from vidfer.executors.worker import emit
from vidfer.exporters import EXPORTERS, needs_video
from vidfer.people.table import Row
from vidfer.pipeline import stages_of
from vidfer.registry import unknown_name
from vidfer.report.chart_options import ChartSize, ChartStyle
from vidfer.store.cache import StageCache
from vidfer.store.journal import ClipRecord, Journal
from vidfer.store.layout import PEOPLE_PICTURE, cache_folder, clip_folder, journal_file, private_folder
from vidfer.store.lock import RunLock
from vidfer.store.outputs import FileStamp, write_outputs
from vidfer.types import ClipResult, VideoInfo


@dataclass(frozen=True, kw_only=True)
class RenderJob:
    """What a worker has to write again.

    Attributes
    ----------
    record
        The finished clip.
    out
        The results folder.
    config
        The settings that the clip was computed with.
    exports
        Names of the exporters to use.
    people
        The clip's rows of people.csv, where one is edited.
    """

    record: ClipRecord
    out: Path
    config: PipelineConfig
    exports: tuple[str, ...]
    people: tuple[Row, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RenderedClip:
    """What a worker gives back.

    Attributes
    ----------
    files
        Stamps of its files.
    summary
        The clip's numbers for the journal.
    edits
        Digest of what people.csv says of it.
    note
        What charts lack.
    misfits
        What does not fit in people.csv.
    """

    files: dict[str, FileStamp]
    summary: dict[str, Any]
    edits: str
    note: str = ""
    misfits: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RerenderReport:
    """What became of a rerender.

    Attributes
    ----------
    out
        The results folder.
    records
        Every clip that the folder knows, by id.
    rendered
        Ids of the clips whose files were written.
    moved
        Those of them whose video is no longer where it was: their pages show all but the video.
    problems
        Why a finished clip could not be rendered, by id.
    notes
        What the charts of a rendered clip lack and why, and what does not fit in people.csv, by id.
    people_notes
        What users should know of people.csv as a whole, one line each.
    """

    out: Path
    records: tuple[ClipRecord, ...]
    rendered: tuple[str, ...]
    moved: tuple[str, ...]
    problems: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    people_notes: tuple[str, ...] = ()


def rerender(
    out: Path,
    *,
    exports: Sequence[str] = (),
    clips: Sequence[str] = (),
    align: Align = "start",
    chart: ChartStyle | None = None,
    chart_size: ChartSize | None = None,
    thumbnails: bool | None = None,
    people: Path | None = None,
    on_event: EventCallback = ignore,
) -> RerenderReport:
    """Write files of finished clips, and the batch's own, from the cache.

    Parameters
    ----------
    out
        A results folder.
    exports
        Exporters to use; none = those of the last run, but for videos, which need decoding: those only by name.
        Files of others stay as they are.
    clips
        Ids, or patterns as in ``interviews/*``; none = all finished clips.
    align
        How the batch's average lays clips over each other: all from their start, or stretched to one length.
    chart, chart_size, thumbnails
        Instead of ``[output]`` of the last run: how charts are drawn, at which size, and whether they show faces at
        the peaks of episodes. For those the video is opened; where it has gone the charts are drawn without and say so.
    people
        A table such as a page saves: its rows are taken into people.csv, and unless ``clips`` or ``exports`` say else,
        only the clips that change by it are written.
    on_event
        As in ``engine.runner.run``.

    Raises
    ------
    OutputError
        The folder holds no results that this version can read, no clip is called so, or a file cannot be written.
    ConfigError
        An exporter does not exist.
    """
    config = _with_output(config_of_last_run(out), chart=chart, chart_size=chart_size, thumbnails=thumbnails)
    names = tuple(dict.fromkeys(exports)) or _without_videos(config.exports)
    for name in names:
        EXPORTERS.get(name)
    with RunLock(private_folder(out)), Journal(journal_file(out)) as journal:
        chosen = _chosen(out, journal.records, clips)
        _, people_notes = merge_people(out, people, journal.records) if people else ((), ())
        edits = read_edits(out, journal.records)
        if people and not clips and not exports:
            chosen = [record for record in chosen if record.keys.get(EDITS, "") != edits.digest(record.clip_id)]
        problems = {record.clip_id: _STALE for record in chosen if not _is_current(record, config)}
        jobs = [
            RenderJob(
                record=record, out=out.absolute(), config=config, exports=names, people=edits.rows(record.clip_id)
            )
            for record in chosen
            if record.clip_id not in problems
        ]
        notes: dict[str, str] = {}
        rendered = _render(jobs, journal, problems, notes, on_event=on_event)
        records = tuple(record for _, record in sorted(journal.records.items()))
        listed = records_of_batch(out, journal.records, config)
        write_batch_pictures(out, listed, align=align, size=config.output.chart_size)
        people_notes += write_batch_files(out, listed, config, exports=[*config.exports, *names])
    moved = tuple(name for name in rendered if not Path(journal.records[name].path).is_file())
    return RerenderReport(
        out=out,
        records=records,
        rendered=rendered,
        moved=moved,
        problems=problems,
        notes=notes,
        people_notes=tuple(dict.fromkeys(people_notes)),
    )


def render_clip(job: RenderJob) -> RenderedClip:
    """Write one clip's files from its cached tables; raises CacheError if one has gone."""
    clip = load_clip(StageCache(cache_folder(job.out)), job.record, job.config)
    clip, edits, misfits = who_is_who(clip, job.people, job.config)
    options = chart_options(clip, job.config.output, job.exports, checked=False)
    files = write_outputs(
        clip,
        clip_folder(job.out, clip.clip_id),
        job.exports,
        options=options,
        on_progress=lambda: emit(ClipRead(clip_id=clip.clip_id)),
    )
    return RenderedClip(
        files=files, summary=journal_summary(clip, job.people), edits=edits, note=options.note, misfits=misfits
    )


def load_clip(cache: StageCache, record: ClipRecord, config: PipelineConfig) -> ClipResult:
    """Return everything that is known about a finished clip, from the cache alone; raises CacheError."""
    from vidfer.engine.clip_tables import load_clip_result

    probed = cache.load(PROBE, record.keys[PROBE])
    if probed is None:
        raise CacheError(f"{cache.path(PROBE, record.keys[PROBE])} has gone: run vidfer process again")
    info = VideoInfo(path=record.path, fingerprint=record.fingerprint, **probed.attributes["info"])
    return load_clip_result(cache, record.keys, config, clip_id=record.clip_id, info=info)


def _with_output(config: PipelineConfig, **wishes: str | bool | None) -> PipelineConfig:
    """Return the settings with those of ``[output]`` that are wished for."""
    given = {name: wish for name, wish in wishes.items() if wish is not None}
    return config.model_copy(update={"output": config.output.model_copy(update=given)})


def _without_videos(exports: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in exports if not needs_video(name))


_STALE = "made with other settings, weights or another version than the last run's: run vidfer process again"


def _chosen(out: Path, records: Mapping[str, ClipRecord], patterns: Sequence[str]) -> list[ClipRecord]:
    """Return the finished clips that the patterns name."""
    finished = {name: record for name, record in sorted(records.items()) if record.status == "ok"}
    if not finished:
        raise OutputError(f"{out}: no finished clip that this version can read: run vidfer process again")
    for pattern in patterns:
        if pattern not in finished and not fnmatch.filter(finished, pattern):
            raise OutputError(f"{out}: {unknown_name('clip', pattern, list(finished))}")
    return [
        record
        for name, record in finished.items()
        if not patterns or any(name == pattern or fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]


def _is_current(record: ClipRecord, config: PipelineConfig) -> bool:
    """Return whether the clip's tables are those that these settings and this version would give."""
    keys = stage_keys(record.fingerprint, record.reader, config, clip_id=record.clip_id)
    return all(record.keys.get(name) == keys[name] for name in (PROBE, *(stage.name for stage in stages_of(config))))


def _render(
    jobs: list[RenderJob],
    journal: Journal,
    problems: dict[str, str],
    notes: dict[str, str],
    *,
    on_event: EventCallback,
) -> tuple[str, ...]:
    """Run the jobs, remember what they wrote, and return the ids of the clips that were rendered."""
    if not jobs:
        return ()
    config, rendered = jobs[0].config, []
    outcomes = EXECUTORS.get("local")().run(
        render_clip,
        jobs,
        resources=plan_resources(config.run.jobs, items=len(jobs)),
        timeout=config.run.timeout_seconds,
        retries=config.run.retries,
    )
    for done, outcome in enumerate(outcomes, start=1):
        record, value = outcome.item.record, outcome.value
        message = ""
        if value is not None:
            journal.add(_updated(record, value, outcome.item))
            rendered.append(record.clip_id)
            if value.note or value.misfits:
                notes[record.clip_id] = "; ".join(filter(None, (value.note, *value.misfits)))
        else:
            message = problems[record.clip_id] = outcome.error.message if outcome.error else outcome.status
        status = "ok" if value is not None else "failed"
        on_event(ClipDone(clip_id=record.clip_id, status=status, message=message, done=done, total=len(jobs)))  # type: ignore[arg-type]
    return tuple(sorted(rendered))


def _updated(record: ClipRecord, value: RenderedClip, job: RenderJob) -> ClipRecord:
    """Return the journal's record after a render.

    Only files of the run's own exports are watched there: an extra one may be deleted later.
    """
    wanted = {*exported_files(job.config), *((PEOPLE_PICTURE,) if job.config.output.thumbnails else ())}
    files = {name: stamp for name, stamp in {**record.files, **value.files}.items() if name in wanted}
    keys = {name: key for name, key in record.keys.items() if name != OUTPUTS or not value.note}
    plan = KeyPlan(job.config, record.reader)
    now = plan.keys(record.fingerprint, record.clip_id, value.edits)
    keys |= {name: now[name] for name in (NUMBERS, EDITS)}
    if not value.note and set(_without_videos(job.config.exports)) <= set(job.exports):
        keys[OUTPUTS] = now[OUTPUTS]
    made_by = plan.made_by(value.edits) if keys == now else ""
    return replace(record, files=files, keys=keys, made_by=made_by, summary=value.summary)
