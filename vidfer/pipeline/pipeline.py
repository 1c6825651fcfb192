"""A pipeline in memory: one object that is called with pictures and gives faces, or with a video and gives a clip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property, lru_cache
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidfer.config import PipelineConfig, load_pipeline, with_settings
from vidfer.device import num_threads, pick_device
from vidfer.errors import BadVideo, ConfigError, DataError
from vidfer.pipeline import StageDeclaration, stages_of
from vidfer.pipeline.chunk import Relay, chunk_frames
from vidfer.pipeline.clip import Clip, Faces
from vidfer.pipeline.embeddings import EmbeddingsStage
from vidfer.pipeline.emotions import EmotionsStage, prior_log_ratio
from vidfer.pipeline.exported_files import exported_settings
from vidfer.pipeline.faces import FacesStage
from vidfer.pipeline.frame_stages import FrameStages
from vidfer.pipeline.identity import IdentityStage
from vidfer.pipeline.provenance import provenance
from vidfer.pipeline.regroup import regrouped
from vidfer.pipeline.result import clip_result
from vidfer.pipeline.stage import ClipStage, FrameStage
from vidfer.pipeline.stream import STREAMED, Stream, check_picture
from vidfer.pipeline.tables import EmbeddingsTable, Table, faces_in
from vidfer.temporal.prior import shifted
from vidfer.temporal.probabilities import softmax
from vidfer.types import DecodeReport, FrameBatch, VideoInfo

if TYPE_CHECKING:
    from vidfer.backbones.load import EmotionNetwork
    from vidfer.faces.detectors import FaceDetector
    from vidfer.faces.landmarks import FaceLandmarker
    from vidfer.identity import IdentityNetwork
    from vidfer.temporal import TemporalModel
    from vidfer.video.probe import VideoProbe
    from vidfer.video.reader import DecoderName, FrameReader

GIVEN = "given"  # instead of a reader's name: the frames were given as arrays


class Pipeline:
    """From pictures to faces and expressions. Networks are loaded on first use, and kept.

    Parameters
    ----------
    pipeline
        Name of a pipeline that comes with vidfer, path of a .toml file, or a PipelineConfig.
    settings
        ``section.key=value`` strings that override it, e.g. ``["faces.min_score=0.6"]``.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; None = what the pipeline says.
    detector, landmarks, backbone, temporal, identity
        Components of your own, used instead of those that the settings name. ``process`` cannot be given them: its
        workers find components by name, see CONTRIBUTING.md.

    Raises
    ------
    ConfigError
        There is no such pipeline, setting or device.

    Examples
    --------
    >>> pipeline = Pipeline("default", device="cpu")
    >>> faces = pipeline.image("portrait.jpg")
    >>> clip = pipeline.video("interview.mp4")
    >>> clip.to_dataframe()
    """

    def __init__(
        self,
        pipeline: str | Path | PipelineConfig = "default",
        *,
        settings: Sequence[str] = (),
        device: str | None = None,
        detector: FaceDetector | None = None,
        landmarks: FaceLandmarker | None = None,
        backbone: EmotionNetwork | None = None,
        temporal: TemporalModel | None = None,
        identity: IdentityNetwork | None = None,
    ) -> None:
        config = pipeline if isinstance(pipeline, PipelineConfig) else load_pipeline(str(pipeline))
        if device is not None:
            settings = [*settings, f"run.device={device}"]
        self.config = with_settings(config, settings) if settings else config
        in_torch = self.config.networks.runtime == "torch"
        self.device = pick_device(self.config.run.device) if in_torch else None
        self._declared = {stage.name: stage for stage in stages_of(self.config)}
        given = {
            "detector": detector,
            "landmarks": landmarks,
            "backbone": backbone,
            "temporal": temporal,
            "identity": identity,
        }
        self._given = {name: type(component).__qualname__ for name, component in given.items() if component}
        if not in_torch and self._given.keys() - {"temporal"}:
            raise ConfigError(
                "networks.runtime = 'onnx' has arrays for components, not tensors: expected none but a temporal model, "
                f"got {', '.join(self._given)}"
            )
        where = {"device": str(self.device or "cpu")}
        used = self._used = exported_settings(self.config)
        self._made: dict[str, Any] = {
            "faces": FacesStage(used.faces, **where, detector=detector, landmarks=landmarks),
            "embeddings": EmbeddingsStage(used.backbone, **where, network=backbone),
            "identity": IdentityStage(used.people, **where, network=identity),
            "emotions": EmotionsStage(
                used.temporal,
                **where,
                emotions=used.emotions,
                backbone=used.backbone,
                model=temporal,
            ),
        }

    def image(self, picture: np.ndarray | str | Path) -> Faces:
        """Return the faces of one picture, with what the per-frame network says of each.

        Parameters
        ----------
        picture
            (H, W, 3) uint8 RGB, or the path of a picture.

        Raises
        ------
        DataError
            It is no such array, or the file cannot be decoded.
        """
        if isinstance(picture, str | Path):
            from vidfer.video.pictures import read_picture

            picture = read_picture(Path(picture))
        check_picture(picture, "picture")
        batch = FrameBatch(images=picture[None], frame_index=np.zeros(1, np.int64), pts_seconds=np.zeros(1))
        tables = self.frame_stages.process(batch, ("embeddings",))
        embeddings = tables["embeddings"]
        assert isinstance(embeddings, EmbeddingsTable)
        found = faces_in(tables).detections()
        ratio = prior_log_ratio(self._used.emotions, self._used.backbone)
        return Faces(
            detections=found,
            probabilities=shifted(softmax(embeddings.logits), ratio),
            face_id=np.arange(len(found), dtype=np.int32),
        )

    def frames(
        self,
        images: Iterable[np.ndarray],
        pts_seconds: Iterable[float] | None = None,
        *,
        fps: float | None = None,
        name: str = "frames",
    ) -> Clip:
        """Return the clip that consecutive pictures make; nothing is written.

        Parameters
        ----------
        images
            Pictures (H, W, 3) uint8 RGB of one size: an array (F, H, W, 3), a list, a generator. All of them are
            looked at, whatever ``video.fps`` says.
        pts_seconds
            When each is shown, strictly rising; counted from the first.
        fps
            Instead of ``pts_seconds``: pictures a second.
        name
            What the clip is called.

        Raises
        ------
        DataError
            A picture has another shape or type, times do not rise, or there are fewer times than pictures.
        """
        source = _GivenFrames(images, pts_seconds, fps)
        first = source.first()
        tables = self._frame_tables(source.batches(chunk_frames(first.nbytes)), first.nbytes)
        seen = faces_in(tables).frames()
        duration = float(seen.pts_seconds[-1] + seen.durations_seconds[-1])
        info = VideoInfo(
            path="",
            width=first.shape[1],
            height=first.shape[0],
            duration_seconds=duration,
            average_fps=len(seen) / duration,
            codec="",
            rotation_degrees=0,
            num_frames=len(seen),
            fingerprint="",
        )
        decode = DecodeReport(reader=GIVEN, expected_frames=info.num_frames, decoded_frames=info.num_frames)
        return self._clip(name, info, decode, tables)

    def video(self, path: str | Path, *, name: str | None = None) -> Clip:
        """Return the clip that a video file makes, decoded as ``vidfer process`` does; nothing is written.

        Parameters
        ----------
        path
            The file.
        name
            What the clip is called; None = the file's name without suffix.

        Raises
        ------
        BadVideo
            The file cannot give frames; or it is damaged, and ``video.strict`` is set.
        """
        video, tables, decode = self._of_file(path)
        return self._clip(Path(path).stem if name is None else name, video.info, decode, tables)

    def tables(self, path: str | Path) -> dict[str, Table]:
        """Return what every stage makes of a video file, by stage, the backbone's vectors included.

        Raises
        ------
        BadVideo
            As ``video``.
        """
        return self._completed(self._of_file(path)[1])

    def _of_file(self, path: str | Path) -> tuple[VideoProbe, dict[str, Table], DecodeReport]:
        """Decode a file; return it with the tables of the frame stages."""
        from vidfer.video.probe import probe
        from vidfer.video.reader import DecoderFailed, choose_reader

        video = self.turned(probe(path, stream=self.config.video.stream))
        reader = choose_reader(video, self.config.video.reader)
        try:
            tables, decode = self._decoded(video, reader)
        except DecoderFailed:
            if reader == "pyav" or self.config.video.reader != "auto":
                raise
            tables, decode = self._decoded(video, "pyav")
        if self.config.video.strict and decode.truncated:
            raise BadVideo(path, "truncated", f"{'; '.join(decode.warnings)} (refused by video.strict)")
        return video, tables, decode

    def stream(self) -> Stream:
        """Return a stream: frames go in one by one, as they come, and their faces come out at once.

        Networks are loaded now. Streams of one pipeline share them, so push from one thread at a time.

        Raises
        ------
        ConfigError
            A stage needs frames that are still to come: use the pipeline ``live``, or set ``temporal.causal=true``. Or
            vectors are to be kept (``people.keep_vectors``).

        Examples
        --------
        >>> with Pipeline("live").stream() as stream:
        ...     for rgb, seconds in camera:
        ...         for face in stream.push(rgb, seconds):
        ...             print(face.face_id, face.emotion)
        """
        if self.config.people.keep_vectors:
            raise ConfigError(
                "people.keep_vectors: a stream keeps no vectors by which faces are compared: expected false (and "
                "people.across none), got true"
            )
        for stage in self.clip_stages:
            if stage.name not in STREAMED:
                raise ConfigError(
                    f"the stage {stage.name!r} needs the whole clip, so a stream cannot have it: "
                    f"set {stage.section}.{stage.switched_by}=false"
                )
        clip_stages = {stage.name: self.stage(stage.name) for stage in self.clip_stages}
        return Stream(self.config, frame_stages=self.frame_stages, clip_stages=clip_stages)

    def turned(self, video: VideoProbe, degrees: int | None = None) -> VideoProbe:
        """Return a probed video turned as the settings say, or as its faces stand.

        Parameters
        ----------
        video
            As its file says that it is shown.
        degrees
            What an earlier look at its faces has found; None = look.
        """
        from vidfer.pipeline.orientation import find_turn, turn_warning
        from vidfer.video.probe import turned

        if self.config.video.rotation != "auto":
            return turned(video, self.config.video.rotation)
        degrees = find_turn(video, self.stage("faces")) if degrees is None else degrees
        return turned(video, degrees, warning=turn_warning(degrees))

    def config_for_workers(self) -> PipelineConfig:
        """Return the settings, from which workers make the same pipeline; raises ConfigError where they could not."""
        if self._given:
            given = ", ".join(f"{name} {of}" for name, of in self._given.items())
            raise ConfigError(
                f"this pipeline has components of its own ({given}), which workers cannot be given: name them by entry "
                f"points (CONTRIBUTING.md), or use pipeline.video"
            )
        return self.config

    def stage(self, name: str) -> Any:
        """Return a stage, made at the first call."""
        if name not in self._made:
            self._made[name] = self._declared[name].make(self._used, device=str(self.device or "cpu"))
        return self._made[name]

    @property
    def clip_stages(self) -> tuple[StageDeclaration, ...]:
        """The stages that map whole tables, each after those that it reads."""
        return tuple(stage for stage in self._declared.values() if not stage.sees_frames)

    @cached_property
    def frame_stages(self) -> FrameStages:
        """The stages that see frames."""
        names = [name for name, stage in self._declared.items() if stage.sees_frames]
        stages: dict[str, FrameStage] = {name: self.stage(name) for name in names}
        inputs = {name: self._declared[name].inputs for name in names}
        return FrameStages(stages, inputs=inputs, device=self.device)

    def clip_stage(self, name: str) -> ClipStage:
        """Return a stage that maps whole tables."""
        stage: ClipStage = self.stage(name)
        return stage

    def opened(self, video: VideoProbe, reader: DecoderName) -> tuple[FrameReader, np.ndarray]:
        """Return a video's reader, and which of its frames are looked at, (S,) int64."""
        from vidfer.video.probe import frame_times_seconds
        from vidfer.video.reader import open_reader
        from vidfer.video.sampling import sample_indices

        # Not a thread per core: other workers use them, and each holds frames.
        opened = open_reader(video, decoder=reader, num_threads=max(2, num_threads(self.device)))
        return opened, sample_indices(frame_times_seconds(video), self.config.video.fps)

    def _decoded(self, video: VideoProbe, reader: DecoderName) -> tuple[dict[str, Table], DecodeReport]:
        opened, indices = self.opened(video, reader)
        frame_bytes = video.info.frame_bytes
        size = chunk_frames(frame_bytes)
        chunks = (batch for _, batch in regrouped(opened.read(indices, batch_size=size), indices, size))
        return self._frame_tables(chunks, frame_bytes), opened.report()

    def _frame_tables(self, chunks: Iterator[FrameBatch], frame_bytes: int) -> dict[str, Table]:
        """Return the tables of the frame stages over a clip's chunks."""
        stages = self.frame_stages
        parts: dict[str, list[Table]] = {name: [] for name in stages.stages}

        def linked() -> Iterator[tuple[FrameBatch, Relay]]:
            relay = Relay()
            for batch in chunks:
                yield batch, relay
                relay = relay.next()

        def compute(piece: tuple[FrameBatch, Relay]) -> dict[str, Table]:
            return stages.process(piece[0], parts, relay=piece[1])

        chunk_bytes = chunk_frames(frame_bytes) * frame_bytes
        with closing(stages.map(compute, linked(), todo=parts, chunk_bytes=chunk_bytes)) as results:
            for tables in results:
                for name, table in tables.items():
                    parts[name].append(table)
        return {name: type(found[0]).stack(found) if found else stages[name].empty() for name, found in parts.items()}

    def _completed(self, tables: Mapping[str, Table]) -> dict[str, Table]:
        """Return the tables of all stages, given those of the frame stages."""
        found = dict(tables)
        for stage in self._declared.values():
            if not stage.sees_frames:
                found[stage.name] = self.clip_stage(stage.name).process(found)
        return found

    def _clip(self, name: str, info: VideoInfo, decode: DecodeReport, tables: Mapping[str, Table]) -> Clip:
        found = self._completed(tables)
        made_by = provenance(self.config, reader=decode.reader)
        if self._given:
            made_by["given"] = self._given
        return Clip(clip_result(name, info, decode, found, config=self.config, provenance=made_by), self.config.output)


@lru_cache(maxsize=1)
def pipeline_of(config: PipelineConfig) -> Pipeline:
    """Return the pipeline, the same for all clips of a worker, so that its networks are loaded once."""
    return Pipeline(config)


class _GivenFrames:
    """Pictures and times as a user gives them, checked one by one."""

    def __init__(self, images: Iterable[np.ndarray], pts_seconds: Iterable[float] | None, fps: float | None) -> None:
        if (pts_seconds is None) == (fps is None):
            raise DataError("frames: expected either pts_seconds, the time of each picture, or fps")
        if fps is not None and not (np.isfinite(fps) and fps > 0):
            raise DataError(f"frames: expected fps above 0, got {fps}")
        self._images: Iterator[np.ndarray] = iter(images)
        self._times = iter(pts_seconds) if pts_seconds is not None else (k / float(fps or 1) for k in count())
        self._number = 0
        self._start = self._last = 0.0

    def first(self) -> np.ndarray:
        """Return the first picture, which is still to come in the batches."""
        picture = next(self._images, None)
        if picture is None:
            raise DataError("frames: expected at least one picture, got none")
        check_picture(picture, "picture 0")
        self._images = chain([picture], self._images)
        self._shape = picture.shape
        return picture

    def batches(self, size: int) -> Iterator[FrameBatch]:
        """Yield the pictures, ``size`` at a time."""
        while True:
            start = self._number
            pictures = [self._checked(picture) for picture in islice(self._images, size)]
            if not pictures:
                return
            times = [self._next_time(start + k) for k in range(len(pictures))]
            yield FrameBatch(
                images=np.stack(pictures),
                frame_index=np.arange(start, start + len(pictures), dtype=np.int64),
                pts_seconds=np.array(times, np.float64),
            )

    def _checked(self, picture: np.ndarray) -> np.ndarray:
        check_picture(picture, f"picture {self._number}")
        if picture.shape != self._shape:
            raise DataError(f"picture {self._number}: expected {self._shape} as the first, got {picture.shape}")
        self._number += 1
        return picture

    def _next_time(self, number: int) -> float:
        time = next(self._times, None)
        if time is None:
            raise DataError(f"pts_seconds: expected one time for each picture, got {number}")
        time = float(time)
        if number == 0:
            self._start = time
        elif not time > self._last:
            raise DataError(f"pts_seconds: expected rising times, got {time:g} after {self._last:g} (picture {number})")
        self._last = time
        return time - self._start
