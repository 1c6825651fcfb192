"""A worker's memory guard: its share of the machine, and never all of a large one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vidfer.config import load_pipeline
from vidfer.engine import runner
from vidfer.executors import Resources
from vidfer.video.find import FoundVideo


class Stop(Exception):
    pass


class Recorder:
    """An executor that notes what its workers may take."""

    resources: Resources

    def run(self, fn: Any, items: Any, *, resources: Resources, **_: Any) -> Any:
        self.resources = resources
        raise Stop

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("share", "limit"), [(64 << 30, runner.MAX_WORKER_BYTES), (5 << 30, 5 << 30)])
def test_a_single_worker_may_not_take_the_whole_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: int, limit: int
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(runner, "open_executor", lambda *_: recorder)
    planned = Resources(jobs=1, threads_per_worker=4, max_rss_bytes=share)
    monkeypatch.setattr(runner, "plan_resources", lambda *_, **__: planned)
    (tmp_path / "a.mp4").write_bytes(b"x")
    video = FoundVideo(path=tmp_path / "a.mp4", relative=Path("a.mp4"))
    with pytest.raises(Stop):
        runner.run([video], tmp_path / "out", load_pipeline())
    assert recorder.resources.max_rss_bytes == limit
    assert recorder.resources.threads_per_worker == 4
