"""Two names for one content: their workers share cache files, and neither may be hurt by what the other tidies up."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.commands import cache_digests
from fixtures.numbered_clips import make_clip

from vidfer.config import load_pipeline
from vidfer.engine.clip import ClipJob, process_clip
from vidfer.engine.events import ignore
from vidfer.engine.frames import FramePass
from vidfer.errors import CacheError
from vidfer.executors import Resources
from vidfer.executors.local import LocalExecutor
from vidfer.pipeline import STAGES
from vidfer.pipeline.pipeline import pipeline_of
from vidfer.store.cache import CachedTable, StageCache
from vidfer.store.cache_key import key_for
from vidfer.video.probe import VideoProbe, probe
from vidfer.video.reader import open_reader

FACES, EMBEDDINGS = "faces", "embeddings"
SEGMENT_FRAMES = 16
NUM_FRAMES = 24
KEYS = {name: key_for(name, version=1, config={}) for name in (FACES, EMBEDDINGS)}
CONFIG = load_pipeline(
    "default", ["output.exports=['csv']", f"run.segment_frames={SEGMENT_FRAMES}", "faces.long_side=64"]
)
DECLARED = {stage.name: stage for stage in STAGES}


class Interrupted(StageCache):
    """A cache with whom another process finishes the same tables just before one chosen look at a file.

    Some looks later it takes away the embeddings, where ``forgets_after`` says so.
    """

    def __init__(
        self, root: Path, *, finished: Path, stages: tuple[str, ...], moment: int, forgets_after: int | None = None
    ) -> None:
        super().__init__(root)
        self._finished, self._stages, self._left = finished, stages, moment
        self._forgets_at = None if forgets_after is None else -1 - forgets_after

    @property
    def was_interrupted(self) -> bool:
        return self._left < 0

    def _look(self) -> None:
        self._left -= 1
        if self._left == -1:
            other = StageCache(self.root)
            for name in self._stages:
                shutil.copytree(self._finished / name, self.root / name, dirs_exist_ok=True)
                other.remove_parts(name, KEYS[name])
        if self._left == self._forgets_at:
            StageCache(self.root).remove(EMBEDDINGS, KEYS[EMBEDDINGS])

    def contains(self, stage: str, key: str) -> bool:
        self._look()
        return super().contains(stage, key)

    def store_part(self, *arguments: Any, **options: Any) -> None:
        self._look()
        super().store_part(*arguments, **options)

    def part_attributes(self, stage: str, key: str) -> list[dict[str, Any]]:
        self._look()
        return super().part_attributes(stage, key)

    def finish(self, *arguments: Any, **options: Any) -> None:
        self._look()
        super().finish(*arguments, **options)

    def iter_parts(self, stage: str, key: str) -> Iterator[CachedTable]:
        for part in super().iter_parts(stage, key):
            self._look()
            yield part


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoProbe:
    return probe(make_clip(tmp_path_factory.mktemp("video") / "a.mp4", num_frames=NUM_FRAMES))


def compute(cache: StageCache, video: VideoProbe, todo: tuple[str, ...] = (FACES, EMBEDDINGS)) -> None:
    frame_pass = FramePass(
        clip_id="a", cache=cache, keys=KEYS, stages=pipeline_of(CONFIG).frame_stages, declared=DECLARED,
        segment_frames=SEGMENT_FRAMES, emit=ignore,
    )  # fmt: skip
    frame_pass.run(open_reader(video), np.arange(NUM_FRAMES), todo)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def finished(video: VideoProbe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    compute(StageCache(root), video)
    return root


@pytest.mark.parametrize("stages", [(FACES, EMBEDDINGS), (FACES,)], ids=["both", "faces"])
@pytest.mark.parametrize("resumed", [False, True], ids=["fresh", "resumed"])
def test_another_worker_finishes_the_same_video_at_any_moment(
    video: VideoProbe, finished: Path, tmp_path: Path, stages: tuple[str, ...], resumed: bool
) -> None:
    begun = tmp_path / "begun"
    if resumed:  # two segments of faces, one of embeddings
        parts_of(finished, begun, {FACES: 2, EMBEDDINGS: 1})
    moments = 0
    while True:
        root = tmp_path / f"cache{moments}"
        root.mkdir()
        if resumed:
            shutil.copytree(begun, root, dirs_exist_ok=True)
        cache = Interrupted(root, finished=finished, stages=stages, moment=moments)
        compute(cache, video)
        assert files(root) == files(finished)
        assert cache.problems == []
        if not cache.was_interrupted:
            break
        moments += 1
    assert moments >= 8


@pytest.mark.parametrize("forgets_after", [0, 2, 4])
def test_another_worker_finishes_and_takes_away_what_it_does_not_keep(
    video: VideoProbe, finished: Path, tmp_path: Path, forgets_after: int
) -> None:
    """As identity's vectors go when a clip is complete: then this worker may fail, but leaves no parts behind."""
    moments = failures = 0
    while True:
        root = tmp_path / f"cache{moments}"
        root.mkdir()
        stages = (FACES, EMBEDDINGS)
        cache = Interrupted(root, finished=finished, stages=stages, moment=moments, forgets_after=forgets_after)
        try:
            compute(cache, video)
        except CacheError:
            failures += 1
        assert [name for name in files(root) if name.startswith(FACES) and ".part" in name] == []
        if not cache.was_interrupted:
            break
        moments += 1
    assert failures >= 3


def parts_of(finished: Path, begun: Path, counts: dict[str, int]) -> None:
    """Write the parts that a killed run would have left of finished tables; there is no face in this video."""
    source, target = StageCache(finished), StageCache(begun)
    for name, count in counts.items():
        table = source.load(name, KEYS[name])
        assert table is not None
        empty = {column: array[:0] for column, array in table.arrays.items()}
        for index in range(count):
            frames = slice(index * SEGMENT_FRAMES, (index + 1) * SEGMENT_FRAMES)
            rows = {
                column: table.arrays[column][frames] if len(table.arrays[column]) == NUM_FRAMES else array
                for column, array in empty.items()
            }
            num_frames = min(SEGMENT_FRAMES, NUM_FRAMES - index * SEGMENT_FRAMES)
            decode = {**table.attributes["decode"], "expected_frames": num_frames, "decoded_frames": num_frames}
            attributes = {"decode": decode, "segment_frames": SEGMENT_FRAMES}
            target.store_part(name, KEYS[name], index, rows, attributes)


def test_four_workers_on_one_content(tmp_path: Path) -> None:
    """The real engine in four processes; each round is a fresh folder, which all four begin at about the same time."""
    rounds, workers = 6, 4
    path = make_clip(tmp_path / "a.mp4", num_frames=NUM_FRAMES, width=96, height=64)
    jobs = [
        ClipJob(clip_id=f"copy {copy}", path=path, out=tmp_path / f"out{turn}", config=CONFIG)
        for turn in range(rounds)
        for copy in range(workers)
    ]
    outcomes = LocalExecutor().run(process_clip, jobs, resources=Resources(jobs=workers), timeout=120, retries=0)
    failed = [str(outcome.error) for outcome in outcomes if outcome.status != "ok"]
    assert failed == []
    expected = cache_digests(tmp_path / "out0")
    assert len(expected) == 6  # probe and five stages, no parts; identity's vectors are gone
    for turn in range(rounds):
        assert cache_digests(tmp_path / f"out{turn}") == expected
        tables = {path.read_bytes() for path in (tmp_path / f"out{turn}").glob("*/timeline.csv")}
        assert len(tables) == 1
