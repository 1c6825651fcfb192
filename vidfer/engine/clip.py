"""Everything that is done for one clip, in a worker process: from its file to its tables and charts.

What is slow to import (torch, scipy, PyAV) is imported where it is needed: a clip whose tables are all in the cache
never needs torch, and the parent process needs none of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidfer.config import PipelineConfig
from vidfer.engine.apexes import chart_options
from vidfer.engine.events import ClipRead, ClipStarted, Event, FramesDone, StageDone
from vidfer.engine.needed import missing_frame_tables
from vidfer.engine.people import PEOPLE_READ, PEOPLE_ROWS, edits_digest, who_is_who
from vidfer.engine.plan import DECODE, OUTPUTS, PROBE, probe_key, stage_keys
from vidfer.errors import BadVideo, CacheError, VideoTooLong, blamed_on
from vidfer.executors.worker import emit
from vidfer.memory import give_back_free_memory, keep_memory_at_hand
from vidfer.people.by_person import by_person
from vidfer.people.table import Row
from vidfer.pipeline import dependents, stages_of
from vidfer.store.cache import StageCache
from vidfer.store.fingerprint import fingerprint_file
from vidfer.store.journal import ClipRecord
from vidfer.store.layout import cache_folder, clip_folder
from vidfer.store.outputs import write_outputs
from vidfer.timeline.summary import summarise
from vidfer.timeline.time_course import time_course
from vidfer.types import ClipResult, VideoInfo

if TYPE_CHECKING:
    from vidfer.video.probe import VideoProbe
    from vidfer.video.reader import DecoderName

READERS = ("decord", "pyav")  # `vidfer.video.reader.DecoderName`, which is not to be imported for a cached clip
CACHE_TRIES = 2  # a cache file may be set aside or removed between two looks at it; then the clip is gone through again


@dataclass(frozen=True, kw_only=True)
class ClipJob:
    """What a worker has to do.

    Attributes
    ----------
    clip_id
        Where its results go below ``out``.
    path
        The video file.
    out
        The results folder.
    config
        The pipeline, ``[run]`` included.
    force
        The stage whose cached tables are not to be used (nor those of the stages that read it); None = use all.
    retry_failed
        Try again what is known to fail.
    people
        The clip's rows of people.csv, where one is edited.
    """

    clip_id: str
    path: Path
    out: Path
    config: PipelineConfig
    force: str | None = None
    retry_failed: bool = False
    people: tuple[Row, ...] = ()


def process_clip(job: ClipJob) -> ClipRecord:
    """Bring a clip's tables and files up to date and return its record, which is small; arrays stay in the cache.

    Raises
    ------
    BadVideo
        The file cannot give frames, now or as an earlier run found.
    VideoTooLong
        It lasts longer than ``run.longest_seconds``.
    VidferError
        Weights are missing, results cannot be written, ...
    """
    started = time.monotonic()
    keep_memory_at_hand()
    emit(ClipStarted(clip_id=job.clip_id))
    work = _ClipWork(job)
    for attempt in range(1, CACHE_TRIES + 1):
        try:
            return replace(work.run(), seconds=time.monotonic() - started)
        except CacheError:
            if attempt == CACHE_TRIES:
                raise
    raise AssertionError("unreachable")


class _ClipWork:
    """The steps of one clip, in order."""

    def __init__(self, job: ClipJob) -> None:
        self.job, self.config = job, job.config
        self.cache = StageCache(cache_folder(job.out))
        self.stages = {stage.name: stage for stage in stages_of(job.config)}
        self.forced = set(dependents(job.force, self.stages.values())) if job.force else set()
        self.computed_frames = 0
        self.notes: list[str] = []
        self._video: VideoProbe | None = None

    def run(self) -> ClipRecord:
        clip_folder(self.job.out, self.job.clip_id)  # before hours of work, and again before anything is written
        fingerprint = fingerprint_file(self.job.path, on_progress=lambda: emit(ClipRead(clip_id=self.job.clip_id)))
        with blamed_on(DECODE):
            info, reader = self._probed(fingerprint.sha256)
            longest = self.config.run.longest_seconds
            if longest and info.duration_seconds > longest:
                took = f"{info.duration_seconds:.0f} s"
                raise VideoTooLong(f"{self.job.path}: the video lasts {took}: at most {longest:g} s are allowed here")
            keys, reader = self._frame_tables(info, reader)
        clip = self._clip(info, keys)
        self._forget(keys)
        if self.config.video.strict and clip.decode.truncated:
            raise BadVideo(self.job.path, "truncated", f"{'; '.join(clip.decode.warnings)} (refused by --strict)")
        clip, edits, misfits = who_is_who(clip, self.job.people, self.config)
        keys = stage_keys(info.fingerprint, reader, self.config, clip_id=self.job.clip_id, edits=edits)
        exports = self.config.exports
        with blamed_on(OUTPUTS):
            files = write_outputs(
                clip,
                clip_folder(self.job.out, self.job.clip_id),
                exports,
                options=chart_options(clip, self.config.output, exports, checked=True),
                on_progress=lambda: emit(ClipRead(clip_id=self.job.clip_id)),
            )
        emit(StageDone(clip_id=self.job.clip_id, stage=OUTPUTS, status="computed"))
        return ClipRecord(
            clip_id=self.job.clip_id,
            path=str(self.job.path),
            fingerprint=fingerprint.sha256,
            status="ok",
            video=fingerprint.stamp,
            reader=reader,
            keys=dict(keys),
            files=files,
            summary=journal_summary(clip, self.job.people),
            problems=(*self.notes, *(str(problem) for problem in self.cache.problems), *misfits),
            computed_frames=self.computed_frames,
        )

    def _probed(self, fingerprint: str) -> tuple[VideoInfo, DecoderName]:
        """Return what the file is and which reader to use, from the cache where it is known."""
        key = probe_key(fingerprint, self.config)
        if self.job.retry_failed:
            self.cache.remove_failure(PROBE, key)
        failure = self.cache.load_failure(PROBE, key)
        if failure is not None:
            raise BadVideo(self.job.path, failure["reason"], failure["detail"])
        table = self.cache.load(PROBE, key)
        if table is not None and table.attributes.get("reader") in READERS:
            info = VideoInfo(path=str(self.job.path), fingerprint=fingerprint, **table.attributes["info"])
            return info, table.attributes["reader"]
        from vidfer.video.reader import choose_reader

        video = self._turned(self._open(fingerprint))
        reader = choose_reader(video, self.config.video.reader)
        self._store_probe(video.info, reader)
        return video.info, reader

    def _turned(self, video: VideoProbe, degrees: int | None = None) -> VideoProbe:
        """Return the video as it is to be looked at; ``degrees`` where an earlier look has found them."""
        from vidfer.pipeline.pipeline import pipeline_of

        return pipeline_of(self.config).turned(video, degrees)

    def _store_probe(self, info: VideoInfo, reader: DecoderName) -> None:
        known = asdict(info)
        del known["path"], known["fingerprint"]  # the same video under another name is the same
        self.cache.store(PROBE, probe_key(info.fingerprint, self.config), {}, {"info": known, "reader": reader})

    def _open(self, fingerprint: str) -> VideoProbe:
        """Demux the file; only the first call does."""
        from vidfer.video.probe import probe

        if self._video is None:
            try:
                self._video = probe(
                    self.job.path,
                    fingerprint=fingerprint,
                    stream=self.config.video.stream,
                    on_progress=lambda: emit(ClipRead(clip_id=self.job.clip_id)),
                )
            except BadVideo as error:
                self._remember_failure(fingerprint, error)
                raise
        return self._video

    def _remember_failure(self, fingerprint: str, error: BadVideo) -> None:
        key = probe_key(fingerprint, self.config)
        self.cache.store_failure(PROBE, key, {"reason": error.reason, "detail": error.detail})

    def _frame_tables(self, info: VideoInfo, reader: DecoderName) -> tuple[Mapping[str, str], DecoderName]:
        """Bring the tables of the frame stages up to date; return all keys and the reader that was used in the end."""
        keys = stage_keys(info.fingerprint, reader, self.config, clip_id=self.job.clip_id)
        for name in self.forced:
            self.cache.remove(name, keys[name])
        self.forced.clear()
        frame_stages = [name for name, stage in self.stages.items() if stage.sees_frames]
        missing = missing_frame_tables(
            self.stages.values(), self.config, is_cached=lambda name: self._is_cached(name, keys[name])
        )
        if missing:
            self._note_why_decoded_again(missing)
            from vidfer.video.reader import DecoderFailed

            try:
                self._decode(info, reader, keys, missing)
            except DecoderFailed:
                if reader == "pyav" or self.config.video.reader != "auto":
                    raise
                self._store_probe(info, "pyav")  # from the first frame, now and in later runs
                return self._frame_tables(info, "pyav")
            except BadVideo as error:
                self._remember_failure(info.fingerprint, error)
                raise
        for name in frame_stages:
            self._stage_done(name, name in missing)
        return keys, reader

    def _note_why_decoded_again(self, missing: Sequence[str]) -> None:
        """Note that a video is looked at once more only for what is not kept, or was not."""
        if not all(self.stages[name].kept_if for name in missing):
            return
        if all(self.stages[name].is_kept(self.config) for name in missing):
            self.notes.append(f"looked at the video for what {', '.join(missing)} finds, which had not been kept")
        else:
            wanted = ", ".join(f"{self.stages[name].section}.{self.stages[name].kept_if}" for name in missing)
            self.notes.append(
                f"looked at the video again: what {', '.join(missing)} found was removed when the clip was complete "
                f"({wanted} = true would keep it)"
            )

    def _forget(self, keys: Mapping[str, str]) -> None:
        """Remove the tables that are not kept; all that read them are complete."""
        for name, stage in self.stages.items():
            if not stage.is_kept(self.config):
                self.cache.remove(name, keys[name])

    def _is_cached(self, name: str, key: str) -> bool:
        """Return whether a complete table is there; a damaged file is set aside and reported."""
        if self.cache.contains(name, key):
            return True
        return self.cache.path(name, key).exists() and self.cache.load(name, key) is not None

    def _decode(self, info: VideoInfo, reader: DecoderName, keys: Mapping[str, str], missing: Sequence[str]) -> None:
        from vidfer.engine.frames import FramePass
        from vidfer.pipeline.pipeline import pipeline_of

        pipeline = pipeline_of(self.config)
        opened, indices = pipeline.opened(self._turned(self._open(info.fingerprint), info.turned_degrees), reader)
        frame_pass = FramePass(
            clip_id=self.job.clip_id,
            cache=self.cache,
            keys=keys,
            stages=pipeline.frame_stages,
            declared=self.stages,
            segment_frames=self.config.run.segment_frames,
            emit=self._frames_done,
            frame_bytes=info.frame_bytes,
        )
        frame_pass.run(opened, indices, missing)
        give_back_free_memory()

    def _clip(self, info: VideoInfo, keys: Mapping[str, str]) -> ClipResult:
        """Bring the tables of the clip stages up to date, and put everything about the clip together."""
        from vidfer.engine.clip_tables import load_clip_result

        clip = load_clip_result(
            self.cache, keys, self.config, clip_id=self.job.clip_id, info=info, on_stage=self._stage_done
        )
        give_back_free_memory()
        return clip

    def _stage_done(self, name: str, computed: bool) -> None:
        emit(StageDone(clip_id=self.job.clip_id, stage=name, status="computed" if computed else "cached"))

    def _frames_done(self, event: Event) -> None:
        if isinstance(event, FramesDone):
            self.computed_frames += max(event.computed.values(), default=0)
        emit(event)


def journal_summary(clip: ClipResult, read: Sequence[Row]) -> dict[str, Any]:
    """Return what the journal keeps of a clip: its numbers but provenance, its time course, its rows of people.csv."""
    numbers = {name: value for name, value in summarise(clip).items() if name != "provenance"}
    rows = [dict(row) for row in clip.roster.rows] if clip.roster else []
    return {**numbers, "course": time_course(by_person(clip)), PEOPLE_ROWS: rows, PEOPLE_READ: edits_digest(read)}
