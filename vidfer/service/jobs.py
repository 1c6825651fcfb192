"""The jobs of a service: a folder each, so that they outlive the process, worked on by the engine one after the other.

A job's folder holds ``job.json``, ``video`` (sent, or a link to one below the root) and ``results``, the results folder
of an ordinary run. A job that was in work when the process ended goes on where its run had come to.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import BaseModel, Field, ValidationError

from vidfer.config import PipelineConfig, with_settings
from vidfer.engine.events import ClipStarted, Event, FramesDone, StageDone
from vidfer.engine.runner import run
from vidfer.errors import OutputError, VidferError
from vidfer.executors.local import LocalExecutor
from vidfer.store.atomic import reported_as_output_error, write_text
from vidfer.store.layout import private_folder
from vidfer.store.lock import RunLock
from vidfer.video.find import FoundVideo

logger = logging.getLogger(__name__)

JOB, VIDEO, RESULTS, CLIP = "job.json", "video", "results", "clip"
SHOWN = (CLIP, "assets")  # folders of the results that clients may have
_LOOK_SECONDS = 60.0  # from one look for old jobs to the next
MAX_NAME = 200  # characters of what a client calls a video

State = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL: tuple[State, ...] = ("done", "failed", "cancelled")


class Failure(BaseModel):
    """Why a job failed: a short code and a sentence."""

    reason: str
    message: str


class Job(BaseModel):
    """A video that is to be worked on, and how far that has come."""

    id: str = Field(pattern="^[0-9a-f]{32}$")
    name: str = Field("", max_length=MAX_NAME, description="what the client calls the video")
    state: State = "queued"
    created: datetime
    finished: datetime | None = None
    stage: str = Field("", description="the last stage that was finished")
    frames_done: int = 0
    frames_total: int = Field(0, description="0: not known yet")
    error: Failure | None = None
    files: list[str] = Field([], description="what GET /jobs/{id}/results/{file} has, once the job is done")


class QueueFull(VidferError):
    """As many videos wait as may."""


class NoSuchJob(VidferError):
    """There is no job of this id, or no longer."""


class NoSuchVideo(VidferError):
    """There is no such video below the root, or it leads out of it."""


class TookTooLong(VidferError):
    """A job was not over after ``serve.max_job_seconds``."""

    reason = "took_too_long"


class _Stopped(Exception):
    """A run is to end: its job was cancelled, or the process ends."""


class Jobs:
    """Takes jobs, works on them and keeps them; use as a context manager. Methods may be called from any thread.

    Parameters
    ----------
    out
        The folder of all jobs; one service at a time uses it.
    config
        The settings of all jobs; ``[serve]`` has the limits.
    root
        Clients may name videos below it; None: they may not.
    keep_videos
        Keep what was sent, and what the engine keeps for later runs, when a job is done.

    Raises
    ------
    OutputError
        On entering: ``out`` cannot be written, or another service uses it.
    """

    def __init__(
        self, out: Path, config: PipelineConfig, *, root: Path | None = None, keep_videos: bool = False
    ) -> None:
        self.out, self._limits = out.absolute(), config.serve
        self._config = with_settings(
            config, [f"run.longest_seconds={config.serve.max_video_seconds}", f"run.jobs={config.serve.jobs}"]
        )
        self._root, self._keep_videos = root.resolve() if root else None, keep_videos
        self._aside = private_folder(self.out) / "aside"  # what is not a job yet, or no longer
        self._lock = RunLock(private_folder(self.out))
        self._changed = threading.Condition()
        self._jobs: dict[str, Job] = {}
        self._queue: deque[str] = deque()
        self._cancelled: set[str] = set()
        self._being_sent = 0
        self._closing = False
        self._threads = [threading.Thread(target=self._work, name="vidfer-job") for _ in range(config.serve.jobs)]
        if config.serve.keep_hours:
            self._threads.append(threading.Thread(target=self._remove_old, name="vidfer-old-jobs"))

    def __enter__(self) -> Self:
        self._lock.__enter__()
        try:
            with reported_as_output_error(self._aside):
                shutil.rmtree(self._aside, ignore_errors=True)
                self._aside.mkdir()
            self._load()
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._lock.__exit__(kind, error, at)

    @contextmanager
    def place(self) -> Iterator[Path]:
        """Give an empty folder for a video that is to come, for `add`; what is left there in the end is removed.

        Raises
        ------
        QueueFull
            As many videos wait, or are being sent, as may.
        """
        with self._changed:
            if len(self._queue) + self._being_sent >= self._limits.max_queue:
                raise QueueFull(f"{self._limits.max_queue} videos are waiting, as many as may: try again later")
            self._being_sent += 1
        folder = self._aside / secrets.token_hex(16)
        try:
            with reported_as_output_error(folder):
                folder.mkdir()
            yield folder
        finally:
            with self._changed:
                self._being_sent -= 1
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, folder: Path, name: str) -> Job:
        """Make a job of the folder that `place` gave, with its ``video``; raises OutputError."""
        printable = "".join(character for character in name if character.isprintable())
        job = Job(id=folder.name, name=printable[:MAX_NAME], created=_now())
        with reported_as_output_error(folder / VIDEO):
            write_text(folder / JOB, job.model_dump_json())
            folder.rename(self._folder(job.id))
        with self._changed:
            self._jobs[job.id] = job
            self._queue.append(job.id)
            self._changed.notify_all()
            return job.model_copy()

    def add_from_root(self, path: str, name: str) -> Job:
        """Make a job of a video below the root; raises NoSuchVideo, QueueFull or OutputError."""
        found = self._below_root(path)
        with self.place() as folder:
            (folder / VIDEO).symlink_to(found)
            return self.add(folder, name)

    def get(self, job_id: str) -> Job:
        """Return a job as it stands; raises NoSuchJob."""
        with self._changed:
            return self._known(job_id).model_copy()

    def newest(self, count: int) -> list[Job]:
        """Return the jobs as they stand, the newest first."""
        with self._changed:
            return [job.model_copy() for job in list(self._jobs.values())[: -count - 1 : -1]]

    def cancel(self, job_id: str) -> Job:
        """End a job that is not over; raises NoSuchJob. One in work is over in less than a second."""
        with self._changed:
            job = self._known(job_id)
            is_waiting = job_id in self._queue
            if is_waiting:
                self._queue.remove(job_id)
            elif job.state == "running":
                self._cancelled.add(job_id)
        if is_waiting:
            self._end(job, "cancelled")
        return self.get(job_id)

    def delete(self, job_id: str) -> None:
        """Remove a job with all its data, ending it first; raises NoSuchJob."""
        self.cancel(job_id)
        with self._changed:
            self._changed.wait_for(lambda: job_id not in self._jobs or self._jobs[job_id].state in FINAL)
            self._known(job_id)  # nobody else has removed it meanwhile
            del self._jobs[job_id]
        gone = self._aside / secrets.token_hex(16)
        with reported_as_output_error(self._folder(job_id)):
            self._folder(job_id).rename(gone)  # at once, also where removing takes its time
        shutil.rmtree(gone, ignore_errors=True)

    def results(self, job_id: str) -> dict[str, Path]:
        """Return the files that clients may have, by their paths below the results; raises NoSuchJob."""
        self.get(job_id)
        folder = self._folder(job_id) / RESULTS
        found = (path for part in SHOWN for path in (folder / part).rglob("*"))
        return {path.relative_to(folder).as_posix(): path for path in found if path.is_file()}

    def video(self, job_id: str) -> Path:
        """Return where a job's video is, or was; raises NoSuchJob."""
        self.get(job_id)
        return self._folder(job_id) / VIDEO

    def _known(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise NoSuchJob("there is no such job")
        return self._jobs[job_id]

    def _folder(self, job_id: str) -> Path:
        return self.out / job_id

    def _below_root(self, path: str) -> Path:
        problem = NoSuchVideo("there is no such video below the root")
        if self._root is None:
            raise NoSuchVideo("this service takes no paths: it was started without --root")
        try:
            found = (self._root / path).resolve(strict=True)
            if not found.is_relative_to(self._root) or found.is_relative_to(self.out.resolve()) or not found.is_file():
                raise problem
        except (OSError, ValueError, RuntimeError):  # no such file; a NUL; links in a circle
            raise problem from None
        return found

    def _load(self) -> None:
        """Take up the jobs of earlier processes; those that were not over go on."""
        for path in self.out.glob(f"*/{JOB}"):
            try:
                job = Job.model_validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                logger.warning("a job cannot be read (%s), so it is left alone", type(error).__name__)
                continue
            if job.id == path.parent.name:
                self._jobs[job.id] = job
        self._jobs = dict(sorted(self._jobs.items(), key=lambda item: item[1].created))
        for job in self._jobs.values():
            if job.state in FINAL:
                self._tidy(job)  # it was killed in between, perhaps
            else:
                job.state = "queued"
                self._queue.append(job.id)

    def _work(self) -> None:
        job: Job | None = None
        started = 0.0

        def look_up() -> None:
            assert job is not None
            if self._closing or job.id in self._cancelled:
                raise _Stopped
            if time.monotonic() - started > self._limits.max_job_seconds:
                raise TookTooLong(
                    f"the job took longer than the {self._limits.max_job_seconds:g} s that are allowed here"
                )

        with closing(LocalExecutor(keep_workers=True, on_wait=look_up)) as executor:
            while (job := self._next()) is not None:
                started = time.monotonic()
                try:
                    self._process(job, executor)
                except Exception as error:  # the next job is not to suffer
                    logger.error("a job could not be ended: %s", type(error).__name__)

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if self._closing:
                return None
            job = self._jobs[self._queue.popleft()]
            job.state = "running"
            return job

    def _remove_old(self) -> None:
        """Delete jobs that have been over for ``serve.keep_hours``, for as long as the service runs."""
        age = timedelta(hours=self._limits.keep_hours)
        while True:
            with self._changed:
                old = [job.id for job in self._jobs.values() if job.finished and _now() - job.finished > age]
            for job_id in old:
                try:
                    self.delete(job_id)
                except NoSuchJob:  # a client was first
                    pass
                except OutputError:
                    logger.error("an old job cannot be removed: is the disk full?")
            with self._changed:
                if self._changed.wait_for(lambda: self._closing, _LOOK_SECONDS):
                    return

    def _process(self, job: Job, executor: LocalExecutor) -> None:
        video = FoundVideo(self.video(job.id), Path(CLIP))  # not by its name: results shall not tell it
        try:
            report = run(
                [video],
                self._folder(job.id) / RESULTS,
                self._config,
                on_event=lambda event: self._note(job, event),
                executor=executor,
            )
        except _Stopped:
            if job.id in self._cancelled:
                self._end(job, "cancelled")
        except Exception as error:  # whatever it is, the next job is not to suffer
            self._end(job, "failed", self._failure(job, getattr(error, "reason", type(error).__name__), str(error)))
        else:
            for record in report.failed:
                failure = self._failure(job, record.failure["reason"], record.failure["message"])
                self._end(job, "failed", failure)
                return
            self._end(job, "done")

    def _note(self, job: Job, event: Event) -> None:
        with self._changed:
            if isinstance(event, ClipStarted):
                job.stage, job.frames_done = "", 0
            elif isinstance(event, FramesDone):
                job.frames_done, job.frames_total = event.done, event.total
            elif isinstance(event, StageDone):
                job.stage = event.stage

    def _failure(self, job: Job, reason: str, message: str) -> Failure:
        """Return a failure that does not say where things lie on this machine."""
        message = message.removeprefix(f"{self.video(job.id)}: ").removeprefix(f"{reason}: ")
        message = message.replace(f"{self._folder(job.id)}{os.sep}", "")
        return Failure(reason=reason, message=message.replace(f"{self.out}{os.sep}", ""))

    def _end(self, job: Job, state: State, error: Failure | None = None) -> None:
        """Write down what became of a job, then let go of what is no longer needed, then tell."""
        over = job.model_copy(update={"state": state, "finished": _now(), "error": error})
        if state == "done":
            over.files = sorted(name for name in self.results(job.id) if name.startswith(f"{CLIP}/"))
        is_written = self._write(over)
        self._tidy(over)
        if not is_written and not self._write(over):  # a full disk may have room now
            logger.error("what became of a job cannot be written: is the disk full?")
        with self._changed:
            self._jobs[job.id] = over
            self._cancelled.discard(job.id)
            self._changed.notify_all()

    def _write(self, job: Job) -> bool:
        with suppress(OutputError):
            write_text(self._folder(job.id) / JOB, job.model_dump_json())
            return True
        return False

    def _tidy(self, job: Job) -> None:
        folder = self._folder(job.id)
        if job.state != "done":
            shutil.rmtree(folder / RESULTS, ignore_errors=True)
        if not self._keep_videos:
            shutil.rmtree(private_folder(folder / RESULTS), ignore_errors=True)
            with suppress(OSError):
                (folder / VIDEO).unlink()


def _now() -> datetime:
    return datetime.now(UTC)
