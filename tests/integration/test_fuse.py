"""``vidfer fuse`` over results of a real clip, with made scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from fixtures.forked import vidfer

from vidfer.labels import EMOTIONS


def test_scores_beside_a_processed_clip(sample_video: Path, tmp_path: Path) -> None:
    results, out = tmp_path / "results", tmp_path / "fused"
    settings = ("--fps", "15", "--set", "movements.enabled=true")
    done = vidfer("process", sample_video, "--out", results, *settings, "--no-plots", "--export", "csv,summary")
    assert done.returncode == 0, done.stderr
    rows = [f"sample,{second},{second + 1},0.1,0.8,0.1" for second in range(8)]
    (tmp_path / "voice.csv").write_text("\n".join(["clip,start,end,neutral,angry,fear", *rows]))
    (tmp_path / "labels.csv").write_text(
        f"clip_id,path,split,label,start_seconds,end_seconds\na,{sample_video},train,anger,0,3\n"
    )
    done = vidfer("fuse", results, "--with", tmp_path / "voice.csv", "--out", out, "--learn", tmp_path / "labels.csv")
    assert done.returncode == 0, done.stderr
    assert "learnt on 1 labelled row" in done.stdout
    assert "has no happiness, surprise, sadness, disgust, contempt" in done.stderr
    saved, fused = (pd.read_csv(folder / "sample" / "timeline.csv") for folder in (results, out))
    assert list(fused.columns) == [*saved.columns, "sources", "entropy"]
    assert set(fused["sources"]) == {"face+other", "other"}  # a stretch of the sample shows no face
    seen = saved["success"] == 1
    unknown = ["happiness", "surprise", "sadness", "disgust", "contempt"]
    np.testing.assert_allclose(fused.loc[seen, unknown], saved.loc[seen, unknown], atol=2e-6)
    assert (fused.loc[seen, "anger"] >= saved.loc[seen, "anger"]).mean() > 0.9
    np.testing.assert_allclose(fused[list(EMOTIONS)].sum(axis=1), 1, atol=1e-5)
    summary, before = (json.loads((folder / "sample" / "summary.json").read_text()) for folder in (out, results))
    for person, same in zip(summary["people"], before["people"], strict=True):
        kept = ("label", "face_ids", "seconds_on_screen", "median_size_px")
        assert {name: person[name] for name in kept} == {name: same[name] for name in kept}
        assert person["movements"]["blinks"] == same["movements"]["blinks"]
    assert summary["emotions"]["anger"]["share_of_time"] > before["emotions"]["anger"]["share_of_time"]
    episodes = pd.read_csv(out / "sample" / "segments.csv")
    assert (episodes["emotion"] == "anger").sum() == summary["emotions"]["anger"]["episodes"] > 0
    assert (out / "people.csv").read_bytes() == (results / "people.csv").read_bytes()
    shutil.copytree(results / "sample", results / "silent")
    done = vidfer("fuse", results, "--with", tmp_path / "voice.csv", "--out", tmp_path / "again")
    assert "no scores, so not fused: silent" in done.stderr
    done = vidfer("fuse", results, "--with", tmp_path / "voice.csv", "--out", results)
    assert done.returncode == 2
    assert "choose another --out" in done.stderr
