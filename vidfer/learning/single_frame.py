"""One frame of a video through the frame stages, without a cache: for looking at it closely."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vidfer.backbones.load import EmotionNetwork, configured_backbone
from vidfer.config import PipelineConfig
from vidfer.errors import BadVideo, VidferError
from vidfer.pipeline.chunk import FrameChunk
from vidfer.pipeline.emotions import of_clip, prior_log_ratio, track_rows, track_sequences
from vidfer.pipeline.pipeline import Pipeline
from vidfer.pipeline.tables import EmotionsTable
from vidfer.temporal import TrackSequence
from vidfer.types import FaceDetections
from vidfer.video.probe import probe
from vidfer.video.reader import open_reader

_NEAR_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class FrameFaces:
    """The faces of one frame, as the per-frame network sees them.

    Attributes
    ----------
    pts_seconds
        The frame's time.
    faces
        Detections, N rows.
    aligned
        (N, 3, S, S) float 0..1.
    logits
        (N, K) float32, calibrated, for the class shares that ``[emotions] prior`` says.
    network
        What saw them.
    """

    pts_seconds: float
    faces: FaceDetections
    aligned: torch.Tensor
    logits: np.ndarray
    network: EmotionNetwork


def look_at_frame(path: Path, frame_index: int, config: PipelineConfig) -> FrameFaces:
    """Detect, align and embed the faces of one frame (counted from 0).

    Raises
    ------
    BadVideo
        The file cannot give frames.
    VidferError
        The video has no such frame, or it cannot be decoded.
    """
    video = probe(path, stream=config.video.stream)
    if not 0 <= frame_index < video.num_frames:
        raise VidferError(f"{path}: expected a frame from 1 to {video.num_frames}, got {frame_index + 1}")
    pipeline = Pipeline(config)
    reader = open_reader(pipeline.turned(video), decoder=config.video.decoder)
    batch = next(iter(reader.read(np.array([frame_index]), batch_size=1)), None)
    if batch is None:
        raise BadVideo(path, "no_frames", f"frame {frame_index + 1} is damaged and cannot be decoded")
    chunk = FrameChunk(batch, pipeline.device)
    faces = pipeline.stage("faces").process(chunk).detections()
    network = configured_backbone(config.backbone, device=pipeline.device or "cpu")
    aligned = chunk.aligned_faces(faces.frame_row, faces.transform, network.input_spec.size)
    _, logits = network.embed(aligned)
    return FrameFaces(
        pts_seconds=float(batch.pts_seconds[0]),
        faces=faces,
        aligned=aligned,
        logits=(logits + prior_log_ratio(config.emotions, config.backbone)).astype(np.float32),
        network=network,
    )


@dataclass(frozen=True, kw_only=True)
class FollowedFace:
    """One person's track in a whole video, as the sequence model reads it.

    Attributes
    ----------
    face_id
        The track's number in the tables.
    track
        What the model reads.
    shift
        (8,) float32, what ``[emotions]`` adds to the log-probabilities that the model gives.
    """

    face_id: int
    track: TrackSequence
    shift: np.ndarray


def track_at(path: Path, pts_seconds: float, config: PipelineConfig) -> FollowedFace | None:
    """Run a whole video through the pipeline; return who is there at a time.

    Of several faces in the nearest frame it is the one of the highest score; None where nobody is followed within
    ``_NEAR_SECONDS``.
    """
    tables = Pipeline(config).tables(path)
    frames, faces, tracks, embeddings = of_clip(tables)
    emotions = tables["emotions"]
    assert isinstance(emotions, EmotionsTable)
    away = np.abs(frames.pts_seconds[faces.frame_row] - pts_seconds)  # (N,)
    near = np.flatnonzero((tracks.track_id >= 0) & (away <= _NEAR_SECONDS))
    if not len(near):
        return None
    best = near[np.lexsort((-faces.score[near], away[near]))[0]]
    rows = next(rows for rows in track_rows(tracks.track_id) if best in rows)
    return FollowedFace(
        face_id=int(tracks.track_id[best]),
        track=track_sequences([rows], frames, faces, embeddings)[0],
        shift=emotions.shift[best].astype(np.float32),
    )
