"""A whole run, in the parent process: which clips have work left, who does it, and what became of each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import vidfer
from vidfer.config import GroupResources, PipelineConfig
from vidfer.engine.batch import exported_files, records_of_batch, write_batch_files
from vidfer.engine.clip import ClipJob, process_clip
from vidfer.engine.events import ClipDone, ClipStarted, Event, EventCallback, StageDone, ignore
from vidfer.engine.needed import missing_frame_tables
from vidfer.engine.nodes import OnNode, check_engine, check_nodes, open_executor, required_of_nodes, resources_of
from vidfer.engine.people import read_edits
from vidfer.engine.plan import DECODE, EDITS, OUTPUTS, KeyPlans
from vidfer.engine.run_json import write_run_json
from vidfer.errors import BadVideo, BadVideoReason, VidferError
from vidfer.executors import Executor, Outcome, Resources, TaskError, plan_resources
from vidfer.pipeline import declared_stages, dependents, stages_of
from vidfer.pipeline.provenance import component_weights
from vidfer.store.atomic import remove_temporary_files
from vidfer.store.cache import StageCache
from vidfer.store.fingerprint import Fingerprint, fingerprint_file, is_unchanged
from vidfer.store.journal import ClipRecord, Journal, SomeRecords
from vidfer.store.layout import (
    cache_folder,
    clip_ids,
    journal_file,
    private_folder,
    settings_file,
)
from vidfer.store.lock import RunLock
from vidfer.store.outputs import is_untouched, write_if_changed
from vidfer.video.find import FoundVideo

# Of what a file's content makes fail; a file that is truncated gives results without --strict.
PERMANENT = frozenset(get_args(BadVideoReason)) - {"truncated"}
MAX_WORKER_BYTES = 8 << 30  # of a worker's memory: five times what embedded defaults take at any size of frame


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run treats what is already there.

    Attributes
    ----------
    force
        A stage whose cached tables are not to be used, for all clips; None = use everything.
    retry_failed
        Try clips again that are known to fail.
    executor
        Name of the executor.
    address
        Of the cluster, for an executor that has one (``ray``: see `executors.ray.RayExecutor`).
    """

    force: str | None = None
    retry_failed: bool = False
    executor: str = "local"
    address: str = ""


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What became of a run.

    Attributes
    ----------
    out
        The results folder.
    records
        One per clip, in the order of the inputs; read from the results folder when they are asked for.
    failed
        Those of the clips without results.
    cached
        Ids of the clips for which nothing was left to do.
    errors
        Tracebacks of failures by clip id, for ``-v``.
    notes
        What users should know of people.csv, one line each.
    """

    out: Path
    records: Sequence[ClipRecord]
    failed: Sequence[ClipRecord]
    cached: frozenset[str]
    errors: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def run(
    videos: Sequence[FoundVideo],
    out: Path,
    config: PipelineConfig,
    *,
    options: RunOptions | None = None,
    on_event: EventCallback = ignore,
    executor: Executor | None = None,
) -> RunReport:
    """Process the videos into ``out``, doing only what is not done yet.

    ``executor`` is one of this machine that the caller keeps from run to run, instead of ``options.executor``: other
    runs may work beside this one, so that ``run.jobs`` of them share the cores.

    Raises
    ------
    OutputError
        ``out`` cannot be written, or another run is using it.
    VidferError
        The pipeline names something that does not exist here, or a result cannot be written.
    """
    options = options or RunOptions()
    _check(config)
    check_engine(options.executor, options.address, config)
    with RunLock(private_folder(out)) as lock, Journal(journal_file(out)) as journal:
        if lock.predecessor_killed:
            remove_temporary_files(out)
            StageCache(cache_folder(out)).remove_leftovers()
        return _Run(videos, out, config, options, on_event, journal, lock, executor).run()


def _check(config: PipelineConfig) -> None:
    """Raise ConfigError or WeightsError for what can be seen to be wrong without importing torch."""
    exported_files(config)
    for stage in stages_of(config):
        component_weights(stage, config)


class _Run:
    """State of one run."""

    def __init__(
        self,
        videos: Sequence[FoundVideo],
        out: Path,
        config: PipelineConfig,
        options: RunOptions,
        on_event: EventCallback,
        journal: Journal,
        lock: RunLock,
        executor: Executor | None,
    ) -> None:
        self.lock, self.executor = lock, executor
        self.out, self.config, self.options, self.on_event, self.journal = out, config, options, on_event, journal
        folder = out.absolute()
        ids = clip_ids(videos)
        self.edits = read_edits(out, {*ids, *journal.records})
        self.jobs = [
            ClipJob(
                clip_id=clip_id,
                path=video.path.absolute(),
                out=folder,
                config=config,
                force=options.force,
                retry_failed=options.retry_failed,
                people=self.edits.rows(clip_id),
            )
            for video, clip_id in zip(videos, ids, strict=True)
        ]
        self.plans = KeyPlans(config)
        self.cached: set[str] = set()
        self.failed: set[str] = set()
        self.errors: dict[str, str] = {}
        self.stages_done: dict[str, str] = {}  # of clips in work, the last one
        self.finished = 0

    def run(self) -> RunReport:
        settings = json.dumps(self.config.model_dump(mode="json"), indent=1) + "\n"
        write_if_changed(settings_file(self.out), settings.encode())  # for vidfer status
        todo: list[ClipJob] = []
        for job in self.jobs:
            record = self._settled(job)
            if record is None:
                todo.append(job)
            else:
                self.cached.add(job.clip_id)
                self._announce(record, "cached" if record.status == "ok" else "failed")
        lost = 0
        try:
            with closing(self._outcomes(todo)) as outcomes:
                for outcome in outcomes:
                    self.lock.check()
                    lost += outcome.attempts > 1 or outcome.status in ("crashed", "timeout")
                    self._finish(outcome)
        except BaseException:
            lost += 1
            raise
        finally:
            if lost and not self.lock.lost:
                remove_temporary_files(self.out)  # a worker was killed, perhaps while it wrote
        self._forget()
        clips = tuple(job.clip_id for job in self.jobs)
        report = RunReport(
            out=self.out,
            records=SomeRecords(self.journal.records, clips),
            failed=SomeRecords(self.journal.records, tuple(clip for clip in clips if clip in self.failed)),
            cached=frozenset(self.cached),
            errors=self.errors,
        )
        return replace(report, notes=self._write_batch_files(report, changed=bool(todo)))

    def _settled(self, job: ClipJob) -> ClipRecord | None:
        """Return the record of a clip for which nothing is left to do, without opening video or cache."""
        record = self.journal.records.head(job.clip_id)
        if record is None or self.options.force is not None or record.path != str(job.path):
            return None
        if not (is_unchanged(job.path, record.video) or self._has_same_content(record)):
            return None
        if record.status == "failed":
            known = record.failure.get("permanent") and record.failure.get("vidfer") == vidfer.__version__
            return record if known and not self.options.retry_failed and not self.config.video.strict else None
        keys = self.plans.keys_now(record, self.edits.digest(job.clip_id))
        if record.keys.get(OUTPUTS) != keys[OUTPUTS] or not is_untouched(self.out / job.clip_id, record.files):
            return None
        return record

    def _has_same_content(self, record: ClipRecord) -> bool:
        """Return whether a video that was touched is the same; then its new stamp is remembered."""
        found = _fingerprint(record.path)
        if found is None or found.sha256 != record.fingerprint:
            return False
        if found.stamp is not None:
            self.journal.add(replace(self.journal.records[record.clip_id], video=found.stamp))
        return True

    def _forget(self) -> None:
        """Remove what is not to be kept, whichever run has left it; a run that is stopped leaves what it needs."""
        cache = StageCache(cache_folder(self.out))
        for stage in declared_stages():
            if not stage.is_kept(self.config):
                for key in cache.keys(stage.name):
                    cache.remove(stage.name, key)

    def _outcomes(self, todo: Sequence[ClipJob]) -> Generator[Outcome[ClipJob, ClipRecord], None, None]:
        if not todo:
            return
        if self.executor is not None:
            yield from self._run_on(self.executor, process_clip, todo, self._local_resources(None))
            return
        with closing(open_executor(self.options.executor, self.options.address, self.out)) as executor:
            if self.options.executor == "local":
                yield from self._run_on(executor, process_clip, todo, self._local_resources(len(todo)))
                return
            with required_of_nodes(self.out, self.config, [job.path for job in todo]) as requirements:
                check_nodes(executor, requirements)
                for needs, jobs in self._by_resources(todo):
                    resources = resources_of(needs, jobs=self.config.run.jobs)
                    yield from self._run_on(executor, OnNode(requirements), jobs, resources)

    def _local_resources(self, items: int | None) -> Resources:
        resources = plan_resources(self.config.run.jobs, items=items)
        most = min(resources.max_rss_bytes, MAX_WORKER_BYTES)  # one worker's share may be the whole machine
        return replace(resources, max_rss_bytes=most)

    def _run_on(
        self,
        executor: Executor,
        fn: Callable[[ClipJob], ClipRecord],
        jobs: Sequence[ClipJob],
        resources: Resources,
    ) -> Iterator[Outcome[ClipJob, ClipRecord]]:
        yield from executor.run(
            fn,
            jobs,
            resources=resources,
            timeout=self.config.run.timeout_seconds,
            retries=self.config.run.retries,
            on_event=lambda _job, event: self._take_event(event),
        )

    def _take_event(self, event: Event) -> None:
        """Pass an event on, noting how far the clip has come: a worker that dies cannot say it any more."""
        if isinstance(event, ClipStarted):
            self.stages_done.pop(event.clip_id, None)
        elif isinstance(event, StageDone):
            self.stages_done[event.clip_id] = event.stage
        self.on_event(event)

    def _stage_after(self, clip_id: str) -> str:
        """Return the stage after the last that a clip has finished; decode before any, whatever the work on frames."""
        names = [stage.name for stage in stages_of(self.config) if not stage.sees_frames] + [OUTPUTS]
        last = self.stages_done.get(clip_id, "")
        if last in names:
            return names[min(names.index(last) + 1, len(names) - 1)]
        return names[0] if last else DECODE

    def _by_resources(self, todo: Sequence[ClipJob]) -> list[tuple[GroupResources, list[ClipJob]]]:
        """Part the clips by what they need: those whose frames are all cached touch no pixel, and need no GPU."""
        needs = self.config.resources
        if needs.frames == needs.clips:
            return [(needs.frames, list(todo))]
        parts: dict[bool, list[ClipJob]] = {True: [], False: []}
        for job in todo:
            parts[self._sees_frames(job)].append(job)
        groups = ((needs.frames, parts[True]), (needs.clips, parts[False]))
        return [(group, jobs) for group, jobs in groups if jobs]

    def _sees_frames(self, job: ClipJob) -> bool:
        record = self.journal.records.get(job.clip_id)
        if record is None or not record.reader or record.path != str(job.path):
            return True
        if not is_unchanged(job.path, record.video):
            return True
        cache, keys = StageCache(cache_folder(self.out)), self.plans.keys_now(record)
        stages = stages_of(self.config)
        forced = dependents(job.force, stages) if job.force else ()

        def is_cached(name: str) -> bool:
            return name not in forced and cache.contains(name, keys[name])

        return bool(missing_frame_tables(stages, self.config, is_cached=is_cached))

    def _finish(self, outcome: Outcome[ClipJob, ClipRecord]) -> None:
        job, value = outcome.item, outcome.value
        if outcome.error is not None and outcome.error.ends_run:
            raise VidferError(outcome.error.message)
        if value is not None:
            record = replace(
                value,
                made_by=self.plans.of(value.reader).made_by(value.keys[EDITS]),
                problems=(*self._replaced(value), *value.problems),
            )
        else:
            record = self._failure(job, outcome)
        self.stages_done.pop(job.clip_id, None)
        self.journal.add(record)
        self._announce(record, record.status)

    def _replaced(self, new: ClipRecord) -> tuple[str, ...]:
        """Return what is to be said if another video of the same name had its results where this one's are now."""
        old = self.journal.records.head(new.clip_id)
        if old is None or old.status != "ok" or old.path == new.path or old.fingerprint == new.fingerprint:
            return ()
        if not os.path.isfile(old.path):  # it was moved
            return ()
        return (f"replaces the results of {old.path}: to keep both, name the folder above them, or another --out",)

    def _failure(self, job: ClipJob, outcome: Outcome[ClipJob, ClipRecord]) -> ClipRecord:
        error = outcome.error or TaskError(kind="unknown", message="no reason was given")
        self.errors[job.clip_id] = error.traceback
        content = _fingerprint(job.path) if error.permanent else None
        return ClipRecord(
            clip_id=job.clip_id,
            path=str(job.path),
            fingerprint=content.sha256 if content else "",
            status="failed",
            video=content.stamp if content else None,
            failure={
                "clip": job.clip_id,
                "path": str(job.path),
                "stage": error.stage or self._stage_after(job.clip_id),
                "reason": error.reason or outcome.status,
                "message": error.message,
                "attempts": outcome.attempts,
                "permanent": error.reason in PERMANENT,
                "vidfer": vidfer.__version__,
            },
        )

    def _announce(self, record: ClipRecord, status: Any) -> None:
        self.finished += 1
        if record.status == "failed":
            self.failed.add(record.clip_id)
        message = record.failure.get("message", "") or "; ".join(record.problems)
        self.on_event(
            ClipDone(clip_id=record.clip_id, status=status, message=message, done=self.finished, total=len(self.jobs))
        )

    def _write_batch_files(self, report: RunReport, *, changed: bool) -> tuple[str, ...]:
        """Write what stands next to the clips' folders; run.json only if something was done. Returns notes."""
        named = {job.clip_id: str(job.path) for job in self.jobs}
        records = records_of_batch(self.out, self.journal.records, self.config, named=named)
        notes = write_batch_files(self.out, records, self.config, exports=self.config.exports)
        if changed or not (self.out / "run.json").is_file():
            write_run_json(self.out / "run.json", report.records, report.cached, self.config)
        return notes


def _fingerprint(path: str | Path) -> Fingerprint | None:
    try:
        return fingerprint_file(path)
    except BadVideo:
        return None  # it cannot even be read
