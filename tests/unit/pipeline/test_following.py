"""Faces that are followed between detections lie where detecting in every frame finds them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.benchmarks import load_benchmark

from vidfer.config import FacesConfig, TracksConfig
from vidfer.pipeline.chunk import CHUNK_FRAMES, FrameChunk
from vidfer.pipeline.faces import FacesStage
from vidfer.pipeline.following import FaceFollower
from vidfer.pipeline.tables import FacesTable
from vidfer.pipeline.tracks import TracksStage
from vidfer.types import FaceDetections, FrameBatch
from vidfer.video.probe import probe
from vidfer.video.reader import open_reader

following_error = load_benchmark("following").following_error
CLIPS = ("d0", "d11", "d14", "d19", "d20", "d6", "s13", "s18", "s20", "s29", "s32")


@pytest.fixture(scope="module")
def stages() -> tuple[FacesStage, FacesStage]:
    """One that detects in every frame, and the default, which follows."""
    return FacesStage(FacesConfig(detect_every=1), device="cpu"), FacesStage(FacesConfig(), device="cpu")


@pytest.fixture(scope="module")
def clip(stages, clips_folder, request) -> tuple[list[FrameBatch], FaceDetections]:
    """Thirty-two frames of a clip, and the faces of each as the detector finds them."""
    chunks = middle_of(clips_folder / f"{request.param}.mp4", 2)
    return chunks, processed(stages[0], chunks)


def processed(stage: FacesStage, chunks: list[FrameBatch]) -> FaceDetections:
    return tracked([stage.process(FrameChunk(chunk, torch.device("cpu"))) for chunk in chunks])


def tracked(tables: list[FacesTable]) -> FaceDetections:
    """Return the faces that belong to somebody: what a user gets to see."""
    table = FacesTable.stack(tables)
    faces = table.detections()
    kept = TracksStage(TracksConfig()).process({"faces": table}).track_id >= 0
    return faces.take(np.flatnonzero(kept))


def middle_of(clip: Path, num_chunks: int) -> list[FrameBatch]:
    video = probe(clip)
    first = (video.num_frames - num_chunks * CHUNK_FRAMES) // 2
    rows = np.arange(first, first + num_chunks * CHUNK_FRAMES)
    return list(open_reader(video).read(rows, batch_size=CHUNK_FRAMES))


@pytest.mark.parametrize("clip", CLIPS, indirect=True)
def test_following_equals_detecting_in_every_frame_within_a_hundredth_of_the_face(stages, clip):
    chunks, searched = clip
    error = following_error(searched, processed(stages[1], chunks))
    assert len(error.box) >= 2 * CHUNK_FRAMES
    assert error.missing == error.extra == 0
    for difference in (error.box, error.landmarks):
        assert np.median(difference) < 0.004
        assert np.quantile(difference, 0.95) < 0.01
        assert difference.max() < 0.025


def test_a_face_that_leaves_its_path_between_detections_is_found_where_it_is(stages):
    portrait = pytest.importorskip("skimage.data").astronaut()[:360, 60:420]
    aside = np.zeros(CHUNK_FRAMES, np.int64)
    aside[1:8], aside[9:15] = 9, -9  # px, of a face of 100; frames 0, 8 and 15 are searched
    images = np.stack([np.roll(portrait, step, axis=1) for step in aside])
    batch = FrameBatch(
        images=images, frame_index=np.arange(CHUNK_FRAMES), pts_seconds=np.arange(CHUNK_FRAMES, dtype=np.float64) / 30
    )
    error = following_error(*(processed(stage, [batch]) for stage in stages))
    assert len(error.box) == CHUNK_FRAMES
    assert error.box.max() < 0.012
    assert error.landmarks.max() < 0.006


def test_the_error_counts_moves_in_face_sizes_and_faces_that_one_way_misses():
    table = FacesStage(FacesConfig(), device="cpu").empty().detections()
    box = np.array([[0, 0, 100, 100], [300, 0, 400, 100]], np.float32)
    points = np.zeros((2, 68, 2), np.float32)
    both = replace(
        table,
        frame_row=np.zeros(2, np.int64),
        xyxy=box,
        score=np.ones(2, np.float32),
        landmarks=points,
        landmark_score=np.ones(2, np.float32),
        transform=np.zeros((2, 2, 3), np.float32),
        pose=np.zeros((2, 3), np.float32),
        quality=np.ones(2, np.float32),
    )
    one = replace(both, **{name: getattr(both, name)[:1] for name in vars(both)})
    one = replace(one, xyxy=box[:1] + np.array([0, 0, 4, 0], np.float32), landmarks=points[:1] + np.float32(3))
    error = following_error(both, one)
    assert error.box == pytest.approx([0.04])
    assert error.landmarks == pytest.approx([0.03 * np.sqrt(2)])
    assert (error.missing, error.extra) == (1, 0)


@pytest.mark.parametrize("clip", CLIPS, indirect=True)
def test_a_stream_that_knows_the_past_only_follows_as_well(stages, clip):
    chunks, searched = clip
    frames = [FrameChunk(one, torch.device("cpu")) for chunk in chunks for one in single_frames(chunk)]
    with ThreadPoolExecutor(1) as beside:
        follower = FaceFollower(stages[1], detect_every=FacesConfig().detect_every, beside=beside)
        error = following_error(searched, tracked([follower.push(frame)[0] for frame in frames]))
    assert len(error.box) >= 2 * CHUNK_FRAMES
    assert error.missing == error.extra == 0
    for difference in (error.box, error.landmarks):
        assert np.median(difference) < 0.005  # 0.0044 where networks compute in bfloat16
        assert np.quantile(difference, 0.95) < 0.01


def single_frames(batch: FrameBatch) -> list[FrameBatch]:
    return [
        FrameBatch(images=batch.images[k], frame_index=batch.frame_index[k], pts_seconds=batch.pts_seconds[k])
        for k in (slice(row, row + 1) for row in range(len(batch)))
    ]
