"""run.json: valid JSON whatever the files are called."""

from __future__ import annotations

import json
from pathlib import Path

from vidfer.config import PipelineConfig
from vidfer.engine.run_json import write_run_json
from vidfer.store.journal import ClipRecord


def test_names_of_any_kind_are_read_back_by_any_json_parser(tmp_path: Path) -> None:
    names = ["caf\udce9", 'a "b"\n<c>', "日本", "\\"]
    records = [
        ClipRecord(clip_id=name, path=f"/v/{name}.mp4", fingerprint="ab", status="ok", seconds=2.0, computed_frames=50)
        for name in names
    ]
    write_run_json(tmp_path / "run.json", records, frozenset({"日本"}), PipelineConfig())
    clips = json.loads((tmp_path / "run.json").read_bytes())["clips"]
    assert list(clips) == names
    assert [clip["path"] for clip in clips.values()] == [f"/v/{name}.mp4" for name in names]
    assert {clip["frames_per_second"] for clip in clips.values()} == {25.0}
    assert [name for name, clip in clips.items() if clip["cached"]] == ["日本"]
