"""Chunks computed by several threads: the same bytes, and networks that cannot be shared never are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.face_clips import draw_portrait
from fixtures.numbered_clips import make_clip
from torch import Tensor

from vidfer.config import load_pipeline
from vidfer.engine.events import Event, FramesDone
from vidfer.engine.frames import FramePass
from vidfer.faces.detectors import DETECTORS
from vidfer.faces.pose import MEAN_FACE
from vidfer.pipeline import STAGES
from vidfer.pipeline.chunk import CHUNK_FRAMES, MAX_CHUNK_BYTES, chunk_frames
from vidfer.pipeline.embeddings import EmbeddingsStage
from vidfer.pipeline.faces import FacesStage
from vidfer.pipeline.frame_stages import HELD_BYTES, FrameStages, chunks_at_once
from vidfer.store.cache import StageCache
from vidfer.store.cache_key import key_for
from vidfer.types import FaceBoxes
from vidfer.video.probe import VideoProbe, probe
from vidfer.video.reader import open_reader

FACES, EMBEDDINGS = "faces", "embeddings"
DECLARED = {stage.name: stage for stage in STAGES}
NUM_FRAMES = 5 * CHUNK_FRAMES + 3
KEYS = {name: key_for(name, version=1, config={}) for name in (FACES, EMBEDDINGS)}
CONFIG = load_pipeline("default", ["faces.long_side=96"])
EMBEDDER = EmbeddingsStage(CONFIG.backbone, device="cpu")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoProbe:
    path = tmp_path_factory.mktemp("video") / "face.mp4"
    return probe(make_clip(path, num_frames=NUM_FRAMES, width=320, height=240, draw=draw_portrait))


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def compute(
    root: Path,
    video: VideoProbe,
    *,
    threads: int,
    faces: FacesStage | None = None,
    segment_frames: int = 32,
    stop_at: int = 0,
) -> tuple[dict[str, bytes], list[Event]]:
    """Return the files of the cache, and the events; with ``stop_at`` it is interrupted after so many frames."""
    torch.set_num_threads(threads)
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, FramesDone) and event.done == stop_at:
            raise KeyboardInterrupt

    stages = {FACES: faces or FacesStage(CONFIG.faces, device="cpu"), EMBEDDINGS: EMBEDDER}
    inputs = {name: DECLARED[name].inputs for name in stages}
    frame_pass = FramePass(
        clip_id="a", cache=StageCache(root), keys=KEYS, declared=DECLARED, segment_frames=segment_frames,
        stages=FrameStages(stages, inputs=inputs, device=torch.device("cpu")), emit=emit,
    )  # fmt: skip
    frame_pass.run(open_reader(video), np.arange(NUM_FRAMES), (FACES, EMBEDDINGS))
    assert torch.get_num_threads() == threads
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}, events


@pytest.mark.usefixtures("threads")
def test_the_number_of_threads_changes_no_byte_and_no_order(video: VideoProbe, tmp_path: Path) -> None:
    alone, _ = compute(tmp_path / "1", video, threads=1)
    for count in (2, 5):
        shared, events = compute(tmp_path / str(count), video, threads=count)
        assert shared == alone
        done = [event.done for event in events if isinstance(event, FramesDone)]
        assert done == [*range(CHUNK_FRAMES, NUM_FRAMES, CHUNK_FRAMES), NUM_FRAMES]
    table = StageCache(tmp_path / "1").load(FACES, KEYS[FACES])
    assert table is not None
    assert len(table.arrays["score"]) == NUM_FRAMES  # it is about real faces


class OneAtATime:
    """The embedded detector, as one that does not say that threads may share it; notes who calls it when."""

    def __init__(self, **options: object) -> None:
        self._detector = DETECTORS.get("embedded")(**options)
        self._busy = threading.Lock()
        self.callers: set[int] = set()

    def detect(self, images: Tensor) -> FaceBoxes:
        assert self._busy.acquire(blocking=False), "two threads at once"
        try:
            self.callers.add(threading.get_ident())
            return self._detector.detect(images)
        finally:
            self._busy.release()


@pytest.mark.usefixtures("threads")
def test_a_detector_that_does_not_say_so_is_not_shared(video: VideoProbe, tmp_path: Path) -> None:
    stage = FacesStage(CONFIG.faces, device="cpu")
    stage.load()
    assert stage._networks is not None
    detector = OneAtATime(device="cpu", min_score=CONFIG.faces.min_score, long_side=96)
    stage._networks = detector, stage._networks[1]
    compute(tmp_path, video, threads=3, faces=stage)
    assert detector.callers == {threading.get_ident()}


class Crowd:
    """25 people who stand still; whom the detector is surest of hangs on the picture alone."""

    is_thread_safe = True
    CORNERS = np.stack(np.meshgrid(np.arange(5) * 60.0, np.arange(5) * 45.0), -1).reshape(25, 2)

    def detect(self, images: Tensor) -> FaceBoxes:
        orders = [np.random.default_rng(int(image.sum())).permutation(25) for image in images]
        xyxy = np.concatenate([np.concatenate([self.CORNERS, self.CORNERS + 40], 1)[order] for order in orders])
        return FaceBoxes(
            image_row=np.repeat(np.arange(len(images)), 25),
            xyxy=xyxy.astype(np.float32),
            score=np.tile(np.linspace(0.99, 0.6, 25, dtype=np.float32), len(images)),
            points5=np.zeros((25 * len(images), 5, 2), np.float32),
        )

    def locate(self, images: Tensor, image_row: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        del images, image_row
        points = MEAN_FACE[:, :2] / 160 * 40 + (xyxy[:, None, :2] + xyxy[:, None, 2:]) / 2
        return points.astype(np.float32), np.ones(len(xyxy), np.float32)


@pytest.mark.usefixtures("threads")
def test_who_is_followed_among_too_many_stays_whatever_the_threads_and_interruptions(
    video: VideoProbe, tmp_path: Path
) -> None:
    def crowd() -> FacesStage:
        config = CONFIG.faces.model_copy(update={"max_faces": 3})
        return FacesStage(config, device="cpu", detector=Crowd(), landmarks=Crowd())

    alone, _ = compute(tmp_path / "1", video, threads=1, faces=crowd())
    table = StageCache(tmp_path / "1").load(FACES, KEYS[FACES])
    assert table is not None
    assert table.arrays["num_faces"].tolist() == [3] * NUM_FRAMES
    assert len(np.unique(table.arrays["xyxy"].round(), axis=0)) == 3  # of 25, through six chunks and three segments
    assert compute(tmp_path / "5", video, threads=5, faces=crowd())[0] == alone
    with pytest.raises(KeyboardInterrupt):
        compute(tmp_path / "killed", video, threads=2, faces=crowd(), stop_at=48)  # in the second segment
    again, events = compute(tmp_path / "killed", video, threads=2, faces=crowd())
    assert again == alone
    assert min(event.done for event in events if isinstance(event, FramesDone)) == 48  # it went on behind the first


@pytest.mark.parametrize(
    ("width", "height", "frames"), [(512, 512, 16), (1920, 1080, 16), (2560, 1440, 8), (3840, 2160, 4), (7680, 4320, 1)]
)
def test_large_frames_come_in_small_chunks_of_which_several_fit(width: int, height: int, frames: int) -> None:
    frame_bytes = 3 * width * height
    assert chunk_frames(frame_bytes) == frames
    assert frames * frame_bytes <= MAX_CHUNK_BYTES
    assert 2 <= chunks_at_once(16, frames * frame_bytes) <= 16
    assert (chunks_at_once(16, frames * frame_bytes) + 4) * frames * frame_bytes <= HELD_BYTES


def test_every_chunk_length_divides_the_segments() -> None:
    lengths = {chunk_frames(size) for size in range(1 << 20, 3 << 27, 1 << 20)}
    assert lengths == {1, 2, 4, 8, CHUNK_FRAMES}
    assert chunks_at_once(8, 1 << 30) == 1  # nothing fits: one after the other
